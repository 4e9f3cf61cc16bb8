"""Looking through a dataset's items: filters, order, pages. Any page costs the server less than a tenth of a second.

Pages are found by key and not by number, so the last costs as much as the first. What an index can't answer is looked
for stretch by stretch, for a limited time: a page may then hold fewer items than asked for, or none, and says where to
go on. Numbers beyond 10,000 are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.db.models import Case, Exists, F, Func, JSONField, OuterRef, Q, QuerySet, When

from datasets.freezing import membership
from datasets.items.filters import Filters
from datasets.items.paging import BUDGET, FIRST_STRETCH, Cursor, Segment, Slice, Source, walk
from datasets.items.search import in_content
from datasets.models import Dataset, Finding, Item

PAGE = 48
COUNTED = 10_000
RARE = 1_000  # so many items of one kind are looked up by their ids
COUNTED_STRETCH = 4_000
SHOWN_BYTES = 20_000  # a row's content is listed up to this size

EXPORTED = (
    "id", "name", "label", "caption", "group", "quality", "review", "governance", "aside", "media_type", "bytes",
    "sha256",
)  # fmt: skip

BY_ID = [Segment("i", Q(), ("id",))]
# Items that were not checked yet have no quality and come last.
BY_QUALITY = [Segment("q", Q(quality__isnull=False), ("quality", "id")), Segment("n", Q(quality=None), ("id",))]
SORTS = {"id": (BY_ID, False), "-id": (BY_ID, True), "quality": (BY_QUALITY, False), "-quality": (BY_QUALITY, True)}
SORT_NAMES = {"id": "As imported", "-id": "Newest first", "quality": "Lowest quality first", "-quality": "Best first"}
# An index has these in the order of ids; the others are looked for while walking.
IN_ORDER = ("label", "group", "aside", "review", "governance")


@dataclass(frozen=True)
class Total:
    """How many items fit; when not `exact`, at least so many."""

    number: int
    exact: bool

    def __str__(self) -> str:
        if self.exact:
            return f"{self.number:,}"
        return f"{COUNTED:,}+" if self.number >= COUNTED else f"at least {self.number:,}"


def page(
    dataset: Dataset, filters: Filters, *, sort: str = "id", after: str = "", before: str = "", size: int = PAGE
) -> Slice:
    """One page of the items that fit. An unknown cursor or sort begins at the start."""
    if filters.version is not None:
        return _page_of_version(dataset, filters, after, size)
    segments, descending = SORTS.get(sort, SORTS["id"])
    source = _source(dataset, filters, by_quality=segments is BY_QUALITY)
    return walk(replace(source, shown=listed), segments, descending=descending, after=after, before=before, size=size)


def total(dataset: Dataset, filters: Filters) -> Total:
    """How many items fit, counted up to 10,000 and within the first stretch of what no index answers."""
    active = filters.active()
    if not active:
        return Total(dataset.item_count, True)
    if filters.version is not None:
        counts = filters.version.counts
        number = counts.get(filters.split, 0) if filters.split else sum(counts.values())
        return Total(number, True) if active <= {"version", "split"} else Total(0, False)
    if active == {"label"}:
        row = dataset.label_counts.filter(label=filters.label).first()
        return Total(row.count if row else 0, True)
    source = _source(dataset, filters, by_quality=active <= {"quality_from", "quality_to"})
    fitting, end = source.fitting, None
    if not source.indexed:
        stretch = FIRST_STRETCH if filters.search else COUNTED_STRETCH
        end = source.base.order_by("id").values_list("pk", flat=True)[stretch : stretch + 1].first()
        fitting = fitting if end is None else fitting.filter(pk__lt=end)
    number = fitting.order_by().values("pk")[: COUNTED + 1].count()
    return Total(min(number, COUNTED), end is None and number <= COUNTED)


def matching(dataset: Dataset, filters: Filters) -> QuerySet[Item] | Iterator[int]:
    """All items that fit, for an edit: a queryset, or one by one the ids of those that a version holds."""
    fitting = dataset.items.filter(condition(dataset, filters))
    return fitting if filters.version is None else _ids_of_version(fitting, filters)


def exported(dataset: Dataset, filters: Filters) -> Iterator[tuple[Any, ...]]:
    """All items that fit as rows of EXPORTED, in constant memory."""
    found = matching(dataset, filters)
    if isinstance(found, QuerySet):
        yield from found.order_by("id").values_list(*EXPORTED).iterator(2000)
        return
    while part := list(islice(found, membership.LINES)):
        yield from dataset.items.filter(pk__in=part).order_by("id").values_list(*EXPORTED)


def listed(items: QuerySet[Item]) -> QuerySet[Item]:
    """Items with what a list shows: `measured` are facts without previews, `shown` is a content that is not long."""
    facts = Func(F("facts"), template="(%(expressions)s - '{head,profile}'::text[])", output_field=JSONField())
    content = Case(When(bytes__lte=SHOWN_BYTES, then=F("content")), output_field=JSONField())
    return items.defer("facts", "content", "origin", "generated").annotate(measured=facts, shown=content)


def neighbours(item: Item) -> tuple[int | None, int | None]:
    """The ids of the items before and after this one, in the order of import."""
    ids = Item.objects.filter(dataset=item.dataset_id).values_list("pk", flat=True)
    return ids.filter(pk__lt=item.pk).order_by("-pk").first(), ids.filter(pk__gt=item.pk).order_by("pk").first()


def condition(dataset: Dataset, filters: Filters) -> Q:
    """Everything that an item must fulfil, but for its place in a version."""
    fits = Q()
    for part in _parts(dataset, filters).values():
        fits &= part
    if filters.search:
        fits &= Q(name__icontains=filters.search) | Q(in_content(filters.search))
    return fits


def _parts(dataset: Dataset, filters: Filters) -> dict[str, Q]:
    """Each condition that an index can answer, those first that few items fulfil."""
    parts: dict[str, Q] = {}
    if filters.finding:
        found = Finding.objects.filter(dataset=dataset, code=filters.finding, dismissed_at=None)
        parts["finding"] = Q(Exists(found.filter(item=OuterRef("pk"))))
    if filters.group:
        parts["group"] = Q(group=filters.group) & ~Q(group="")  # the index leaves the empty ones out
    if filters.aside:
        parts["aside"] = {"yes": ~Q(aside=""), "no": Q(aside="")}.get(
            filters.aside, Q(aside=filters.aside) & ~Q(aside="")
        )
    quality = Q()
    if filters.quality_from is not None:
        quality &= Q(quality__gte=filters.quality_from)
    if filters.quality_to is not None:
        quality &= Q(quality__lte=filters.quality_to)
    if quality:
        parts["quality"] = quality
    for name in ("review", "governance"):
        if value := getattr(filters, name):
            parts[name] = Q(**{name: value})
    if filters.label is not None:
        parts["label"] = Q(label=filters.label)
    return parts


def _source(dataset: Dataset, filters: Filters, *, by_quality: bool) -> Source:
    """The smallest set that an index gives, in whose order the rest of the filters is looked for."""
    parts = _parts(dataset, filters)
    fits = condition(dataset, filters)
    for name, part in parts.items():
        rare = _rare(dataset, filters, name, part)
        if rare is not None:
            return Source(rare, rare.filter(fits), True)
    in_order = ["quality"] if by_quality else [name for name in IN_ORDER if name in parts]
    if filters.aside in {"yes", "no"} and "aside" in in_order:
        in_order.remove("aside")
    walked = next((parts[name] for name in in_order if name in parts), Q())
    alone = not filters.search and len(parts) == len(in_order[:1])
    return Source(dataset.items.filter(walked), dataset.items.filter(fits), alone and (not parts or bool(walked)))


def _rare(dataset: Dataset, filters: Filters, name: str, part: Q) -> QuerySet[Item] | None:
    """The items that fulfil one condition, when they are few; None when they are many."""
    if name == "aside" and filters.aside == "no":
        return None
    if name == "finding":
        found = Finding.objects.filter(dataset=dataset, code=filters.finding, dismissed_at=None)
        ids = list(found.order_by().values_list("item", flat=True)[: RARE + 1])
    else:
        ids = list(dataset.items.filter(part).order_by().values_list("pk", flat=True)[: RARE + 1])
    return dataset.items.filter(pk__in=ids) if len(ids) <= RARE else None


def _page_of_version(dataset: Dataset, filters: Filters, after: str, size: int) -> Slice:
    """A page of what a frozen version holds, in the order of its manifest. It leads forward only."""
    start = Cursor.read(after)
    offset = start.key[0] if start and start.segment == "v" else 0
    fitting = listed(dataset.items.filter(condition(dataset, filters)))
    made, last = Slice(), offset
    for part in membership.parts(filters.version, filters.split, offset, BUDGET):
        found = fitting.in_bulk(part)
        for pk, place in part.items():
            if pk in found:
                if len(made.items) == size:
                    made.after, made.looked = Cursor("v", (last,)), False
                    return made
                made.items.append(found[pk])
            last = place
        made.after, made.looked = Cursor("v", (last,)), True
    if made.after and next(membership.lines(filters.version, filters.split, made.after.key[0]), None) is None:
        made.after, made.looked = None, False
    return made


def _ids_of_version(fitting: QuerySet[Item], filters: Filters) -> Iterator[int]:
    wanted: Any = membership.ids(filters.version, filters.split)
    while part := list(islice(wanted, membership.LINES)):
        yield from fitting.filter(pk__in=part).values_list("pk", flat=True)
