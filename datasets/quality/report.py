"""Reading what is known of a dataset's quality, for pages and API."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count, F, QuerySet, Sum

from datasets.models import Dataset, Edit, Finding, Item, QualityRun
from datasets.quality import ranges, score
from datasets.quality.acts import open_findings
from datasets.quality.codes import CHECKS, Check

BINS = 10
EDITS = 5


@dataclass
class Reason:
    """Why the score is below 100: what a check found, how often, and what that takes from the dataset's 100."""

    check: Check
    items: int = 0
    rows: int = 0
    points: float = 0.0
    said: str = ""  # of the dataset as a whole

    @property
    def code(self) -> str:
        return self.check.code


@dataclass(frozen=True)
class Bar:
    """How many items are worth from `low` to `high`."""

    low: int
    high: int
    count: int


@dataclass
class Found:
    """An item among those of a group, and what was found of it."""

    item: Item
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Report:
    """All that the page says first."""

    score: float | None
    word: str
    run: QualityRun | None  # the open one, else the latest
    checked: QualityRun | None  # the latest that came to its end
    reasons: list[Reason]
    histogram: list[int]
    dismissed: int
    aside: dict[str, int]
    rows_aside: dict[str, int]

    @property
    def items(self) -> int:
        return sum(self.histogram)

    @property
    def bars(self) -> list[Bar]:
        """The histogram from its best end."""
        ends = [10 * place + 9 for place in range(BINS - 1)] + [100]
        made = [Bar(10 * place, ends[place], count) for place, count in enumerate(self.histogram)]
        return made[::-1]


def of(dataset: Dataset) -> Report:
    checked = score.newest(dataset)
    return Report(
        score=dataset.quality,
        word=score.in_words(dataset.quality),
        run=dataset.quality_runs.order_by("-id").first(),
        checked=checked,
        reasons=reasons(dataset, checked),
        histogram=histogram(dataset),
        dismissed=Finding.objects.filter(dataset=dataset, dismissed_at__isnull=False).count(),
        aside=dict(dataset.items.filter(aside__in=CHECKS).order_by().values_list("aside").annotate(count=Count("id"))),
        rows_aside=_rows_aside(dataset),
    )


def reasons(dataset: Dataset, checked: QualityRun | None) -> list[Reason]:
    """What takes from the score, most first."""
    items = max(1, dataset.items.filter(aside="", quality__isnull=False).count())
    found: dict[str, Reason] = {}
    whole_items = open_findings(dataset).filter(row=None).order_by().values("code")
    for row in whole_items.annotate(count=Count("id"), sum=Sum("points")):
        reason = found.setdefault(row["code"], Reason(CHECKS[row["code"]]))
        reason.items, reason.points = row["count"], row["sum"] / items
    of_rows = open_findings(dataset).filter(row__isnull=False).order_by().values("code", "item", "item__facts__rows")
    for row in of_rows.annotate(count=Count("id"), sum=Sum("points")):
        reason = found.setdefault(row["code"], Reason(CHECKS[row["code"]]))
        reason.rows += row["count"]
        reason.points += row["sum"] / max(1, row["item__facts__rows"] or 1) / items
    for entry in checked.summary.get("whole", []) if checked else []:
        found[entry["code"]] = Reason(CHECKS[entry["code"]], points=entry["points"], said=entry["reason"])
    return sorted(found.values(), key=lambda reason: -reason.points)


def histogram(dataset: Dataset) -> list[int]:
    """How many items are worth 0–9, 10–19, …, 90–100."""
    known = dataset.items.filter(aside="", quality__isnull=False)
    rows = known.order_by().values_list(F("quality") / 10).annotate(count=Count("id"))
    bins = [0] * BINS
    for place, count in rows:
        bins[min(BINS - 1, place)] += count
    return bins


def findings(dataset: Dataset, code: str | None = None, *, dismissed: bool = False) -> QuerySet[Finding]:
    """Findings with their items; those of one group side by side."""
    if dismissed:
        found = Finding.objects.filter(dataset=dataset, dismissed_at__isnull=False)
        found = found if code is None else found.filter(code=code)
    else:
        found = open_findings(dataset, code)
    return found.select_related("item").order_by("cluster", "item", "row", "id")


def groups(dataset: Dataset, page: list[Finding]) -> list[list[Found]]:
    """A page of findings as it is shown: the items of a group together, behind its first one, of which may be nothing
    to say; each with all that was found of it."""
    together: dict[int, dict[int, Found]] = defaultdict(dict)
    for finding in page:
        members = together[finding.cluster or -finding.pk]
        members.setdefault(finding.item_id, Found(finding.item)).findings.append(finding)
    firsts = dataset.items.in_bulk([key for key in together if key > 0])
    made: list[list[Found]] = []
    for key, members in together.items():
        first = firsts.get(key)
        leads = first is not None and first.pk not in members
        made.append([*([Found(first)] if leads else []), *members.values()])
    return made


def set_aside_lately(dataset: Dataset) -> QuerySet[Edit]:
    """Edits that set items aside for what a check found, and were not undone; newest first."""
    edits = dataset.edits.filter(field="aside", undone_at=None, value__in=list(CHECKS))
    return edits.select_related("by").defer("by__password").order_by("-id")[:EDITS]


def runs(dataset: Dataset) -> QuerySet[QualityRun]:
    """Newest first."""
    return dataset.quality_runs.select_related("created_by").defer("created_by__password").order_by("-id")


def _rows_aside(dataset: Dataset) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for of in dataset.items.filter(facts__has_key="aside_for").values_list("facts__aside_for", flat=True):
        for code, parts in of.items():
            counts[code] += ranges.count(parts)
    return dict(counts)
