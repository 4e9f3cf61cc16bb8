"""Whether a version fulfils the rules of its model. `judge` decides from facts alone; `check` fetches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from common.wording import is_share, number
from common.wording import metric as said
from registry import figures
from registry.models import ModelVersion, PromotionEvidence, PromotionPolicy
from registry.promotion import aliases, held_out, policy
from registry.promotion import evidence as tests
from registry.promotion.held_out import HeldOut

Test = PromotionPolicy.Test
# A difference of two figures is rarely the number that was typed as margin: 0.92 - 0.90 is more than 0.02.
ROUNDING = 1e-9
TESTS = {Test.AB: "A/B test", Test.SHADOW: "shadow test"}


@dataclass(frozen=True)
class Check:
    """One rule: whether it is fulfilled, in words, with what to do when it is not, and the figures it rests on."""

    rule: str
    title: str
    passed: bool
    words: str
    hint: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """All rules of a model about one version."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(check) for check in self.checks]


@dataclass(frozen=True)
class Facts:
    """As much of a version as rules ask about."""

    name: str
    recipe: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    held_out: HeldOut = field(default_factory=HeldOut)
    why_not: str = ""  # why it can't be used at all


@dataclass(frozen=True)
class SameRows:
    """Version and champion on the very same held-out rows: the figures of each by quantity."""

    rows: int
    version: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a test against the champion ended."""

    passed: bool
    at: str
    evidence: dict[str, Any] = field(default_factory=dict)


def check(version: ModelVersion, rules: PromotionPolicy | None = None) -> Verdict:
    """The verdict about a version now; `rules` None: those of its model. The champion itself passes."""
    rules = rules or policy.of(version.model)
    champion = aliases.champion(version.model)
    champion = None if champion == version else champion
    found = test_result_for(version, rules.needs_test, champion)
    test = Ended(found.passed, f"{found.at:%Y-%m-%d}", found.evidence) if found else None
    same = same_rows(version, champion) if champion and rules.margin is not None and rules.same_held_out else None
    return judge(rules, facts(version), facts(champion) if champion else None, test, same)


def same_rows(version: ModelVersion, champion: ModelVersion) -> SameRows | None:
    """What is known of both on the same held-out rows; None when nobody asked them for the same."""
    found = tests.newest(version, PromotionEvidence.Kind.SAME_ROWS, champion)
    if found is None:
        return None
    told = found.evidence.get("figures") or {}
    sides = ({name: float(pair[side]) for name, pair in told.items()} for side in ("version", "champion"))
    return SameRows(int(found.evidence.get("rows") or 0), *sides)


def facts(version: ModelVersion) -> Facts:
    return Facts(
        name=f"v{version.number}",
        recipe=version.model.recipe,
        metrics=version.metrics,
        held_out=held_out.of(version),
        why_not=aliases.why_not(version),
    )


def test_result_for(version: ModelVersion, kind: str, champion: ModelVersion | None) -> PromotionEvidence | None:
    """The last test of this kind that the version had against the champion; None when it had none."""
    return tests.newest(version, kind, champion) if champion and kind != Test.NONE else None


def judge(
    rules: PromotionPolicy,
    version: Facts,
    champion: Facts | None,
    test: Ended | None = None,
    same: SameRows | None = None,
) -> Verdict:
    """The verdict from facts alone. Rules that ask for nothing are not listed. Where figures are of different data and
    both were asked for the `same` rows, the figures of these count."""
    checks = [_usable(version)]
    name = rules.metric or figures.key_figure(figures.own(version.metrics), version.recipe)
    if rules.margin is not None:
        apart = rules.same_held_out and champion is not None and not _alike(version, champion)
        used = same if apart and same and _quantity(name) in same.version.keys() & same.champion.keys() else None
        checks.append(_figure(rules.margin, name, *_on(used, name, version, champion)))
        if rules.same_held_out and champion:
            checks.append(_same_data(version, champion, used))
    if rules.minimum_examples:
        checks.append(_examples(rules.minimum_examples, name, version))
    if rules.needs_test != Test.NONE:
        checks.append(_test(Test(rules.needs_test), champion, test))
    return Verdict(tuple(checks))


def _usable(version: Facts) -> Check:
    words = version.why_not or "Its files are there, and whole."
    hint = "Choose another version." if version.why_not else ""
    return Check("usable", "Can be used", not version.why_not, words, hint)


def _figure(margin: float, name: str, version: Facts, champion: Facts | None) -> Check:
    """No worse than the champion by more than the margin."""
    title = f"{figures.title(name) or 'Key figure'} beside the champion"
    value = _value(version, name)
    found = {"metric": name, "value": value, "champion": None, "margin": margin, "worse_by": None}
    if value is None:
        words = f"{version.name} has no figure '{name}'." if name else f"{version.name} has no figures."
        return Check("figure", title, False, words, "Name a figure that it has in the policy, or train it anew.", found)
    if champion is None:
        words = f"It has {said(name, value)}; there is no champion to compare it with."
        return Check("figure", title, True, words, "", found)
    other = _value(champion, name)
    higher = figures.higher_is_better(name, version.recipe)
    if other is None or higher is None:
        words = f"The champion {champion.name} has no figure '{name}', so nothing can be compared."
        if other is not None:
            words = f"Nobody knows whether more or less of '{name}' is better."
        return Check("figure", title, False, words, "Name another figure in the policy.", found)
    worse = other - value if higher else value - other
    passed = worse <= margin + ROUNDING * max(1.0, abs(other))
    allowed = f"at most {amount(name, margin)} worse" if margin else "no worse"
    words = f"It has {said(name, value)}, the champion {champion.name} has {said(name, other)}: {_apart(name, worse)}; "
    words += f"{allowed} is allowed."
    hint = "" if passed else "Train it further or on more data, or widen the margin of the policy."
    return Check("figure", title, passed, words, hint, found | {"champion": other, "worse_by": worse})


def _alike(version: Facts, champion: Facts) -> bool:
    """Whether the recorded figures of both are of the same examples."""
    return version.held_out.key is not None and version.held_out.key == champion.held_out.key


def _quantity(name: str) -> str:
    return name.rpartition("/")[2]


def _on(same: SameRows | None, name: str, version: Facts, champion: Facts | None) -> tuple[Facts, Facts | None]:
    """Both with the figure that they have on the same rows."""
    if same is None or champion is None:
        return version, champion
    mine, other = same.version[_quantity(name)], same.champion[_quantity(name)]
    return (
        replace(version, metrics={**version.metrics, name: mine}),
        replace(champion, metrics={**champion.metrics, name: other}),
    )


def _same_data(version: Facts, champion: Facts, same: SameRows | None = None) -> Check:
    """Both figures are of the same examples."""
    mine, other = version.held_out, champion.held_out
    found = {"data": mine.data, "champion_data": other.data}
    if same is not None:
        words = f"Both were asked for the same {same.rows:,} held-out rows, from which neither learned."
        return Check("same_held_out", "Same held-out data", True, words, "", found | {"rows": same.rows})
    if _alike(version, champion):
        words = f"Both were judged by the same held-out part of {mine.data}."
        return Check("same_held_out", "Same held-out data", True, words, "", found)
    if mine.key is None or other.key is None:
        who = version.name if mine.key is None else champion.name
        words = f"Nothing is known of the data that {who} was judged by."
    elif mine.data == other.data:
        words = f"Both are of {mine.data}, but its rows were divided by other settings or another seed."
    else:
        words = (
            f"It was judged by the held-out part of {mine.data}, the champion {champion.name} by that of {other.data}."
        )
    data, others = mine.data or "the data of this version", other.data or "those of the champion"
    hint = (
        f"The champion must be evaluated on the same data: run the job of {champion.name} again on {data}, or this "
        f"version's on {others}, with the same split. A retraining asks both for the same rows by "
        "itself: accuracy, macro F1, mae, rmse and r2 of these count. A shadow test compares both on the same "
        "requests, but counts only where the policy asks for one and not for this figure."
    )
    return Check("same_held_out", "Same held-out data", False, words, hint, found)


def _examples(least: int, name: str, version: Facts) -> Check:
    """Enough examples in the part that the figure was taken on."""
    part = name.partition("/")[0]
    part = part if part in figures.HELD_OUT else "validation"
    count = version.held_out.examples.get(part)
    found = {"part": part, "examples": count, "minimum": least}
    if count is None:
        words = f"How many examples its {part} part has is not known; at least {least:,} are needed."
    else:
        about = "about " if version.held_out.about and count else ""
        words = f"Its {part} part has {about}{count:,} examples; at least {least:,} are needed."
    passed = count is not None and count >= least
    hint = "" if passed else "Add data, or freeze it with a larger share for that part, and train again."
    return Check("minimum_examples", "Enough held-out examples", passed, words, hint, found)


def _test(kind: PromotionPolicy.Test, champion: Facts | None, test: Ended | None) -> Check:
    """It passed the test that the policy asks for, against the champion of now."""
    title, what = f"Passed {'an' if kind == Test.AB else 'a'} {TESTS[kind]}", TESTS[kind]
    if champion is None:
        return Check("test", title, True, "There is no champion to test it against.", "", {"kind": kind})
    if test is None:
        words = f"It had no {what} against the champion {champion.name}."
        return Check("test", title, False, words, "Start one under Performance → Experiments.", {"kind": kind})
    more = str(test.evidence.get("words") or "")[:300]
    found = {"kind": kind, "at": test.at, "evidence": test.evidence}
    words = f"It {'passed' if test.passed else 'did not pass'} the {what} against {champion.name} on {test.at}."
    hint = "" if test.passed else "Look at the test, correct the version, and test the next one."
    return Check("test", title, test.passed, f"{words} {more}".strip(), hint, found)


def _value(version: Facts, name: str) -> float | None:
    value = version.metrics.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _apart(name: str, worse: float) -> str:
    if abs(worse) < ROUNDING:
        return "the same"
    return f"{amount(name, abs(worse))} {'worse' if worse > 0 else 'better'}"


def amount(name: str, difference: float) -> str:
    """A difference in the figure's own unit."""
    if not is_share(name):
        return number(difference)
    points = number(100 * difference)
    return f"{points} percentage point{'' if points == '1' else 's'}"
