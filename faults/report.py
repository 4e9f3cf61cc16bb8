"""The table of a campaign, for the terminal and for docs/reliability.md."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

from faults.campaign import Outcome, Plan
from faults.kinds import KINDS
from faults.kinds.registry import Kind
from faults.trial import Record

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
HEAD = (
    "Fault", "Trials", "Recovered", "Truthful after, median", "p95", "Going on after, median", "p95", "max", "Target",
    "Steps lost, median", "max",
)  # fmt: skip


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


def late(outcome: Outcome, lease: float) -> list[str]:
    """Kinds whose struck jobs were not on their way again in time, in words."""
    found = []
    for name, records in _by_kind(outcome.records).items():
        limit = KINDS[name].limit(lease)
        times = [record.again for record in records if record.again is not None]
        if limit is not None and times and quantile(times, 0.95) > limit:
            found.append(f"{KINDS[name].title}: p95 {quantile(times, 0.95):.2f} s, target {limit:g} s")
    return found


def failed(outcome: Outcome) -> list[Record]:
    return [record for record in outcome.records if not record.recovered and not record.skipped]


def table(outcome: Outcome, lease: float) -> str:
    """One line for each kind of fault, in Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", f"|---|{'---:|' * (len(HEAD) - 1)}"]
    by_kind = _by_kind(outcome.records)
    for name, kind in KINDS.items():
        if name in by_kind:
            lines.append(_line(kind, by_kind[name], lease))
    return "\n".join(lines)


def about(outcome: Outcome, plan: Plan, lease: float, slots: int, command: str) -> str:
    """Where, when and how it was measured."""
    faults = sum(1 for record in outcome.records if not record.skipped)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    skipped = {record.kind: record.skipped for record in outcome.records if record.skipped}
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, seed {plan.seed}, `{command}`: {faults} faults in {outcome.seconds / 60:.1f} "
        f"minutes, {outcome.jobs} jobs, {outcome.completed} of them completed. Lease {lease:g} s, {slots} slots, "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}.",
        f"Violations found by the oracle: {len(outcome.violations)}. Looks for two trainers of one job: "
        f"{outcome.samples:,}; for two open attempts of one job or slot: {outcome.database_samples:,}.",
    ]
    lines += [f"Skipped: {KINDS[kind].title}: {reason}." for kind, reason in skipped.items()]
    return "\n\n".join(lines)


def write(path: Path, text: str) -> None:
    """Put the result between the markers of a document."""
    document = path.read_text(encoding="utf-8")
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


def _by_kind(records: list[Record]) -> dict[str, list[Record]]:
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    return kinds


def _line(kind: Kind, records: list[Record], lease: float) -> str:
    done = [record for record in records if not record.skipped]
    if not done:
        return f"| {kind.title} | skipped |{' |' * (len(HEAD) - 2)}"
    recovered = sum(record.recovered for record in done)
    truthful = [record.truthful for record in done if record.truthful is not None]
    again = [record.again for record in done if record.again is not None]
    lost = [record.lost for record in done if record.lost is not None]
    limit = kind.limit(lease)
    cells = [
        kind.title, str(len(done)), str(recovered),
        *_figures(truthful, (0.5, 0.95), "{:.2f} s"), *_figures(again, (0.5, 0.95, 1.0), "{:.2f} s"),
        "" if limit is None else f"{limit:g} s",
        *_figures([float(steps) for steps in lost], (0.5, 1.0), "{:.0f}"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _figures(values: list[float], shares: tuple[float, ...], shape: str) -> list[str]:
    if not values:
        return ["–"] * len(shares)
    return [shape.format(statistics.median(values) if share == 0.5 else quantile(values, share)) for share in shares]
