"""`make faults`: break a real hub some hundred times, and see that it always tells the truth and loses nothing.

python -m faults [--smoke] [--trials N | --each N] [--kinds a,b] [--seed S] [--report FILE] [--log FILE] [--docs]
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
from pathlib import Path

from common.paths import PROJECT
from faults.isolation import isolated
from faults.kinds import KINDS


def main() -> int:
    wishes = _wishes()
    if wishes.list:
        for kind in KINDS.values():
            print(f"{kind.name:22} {kind.long:3} {kind.smoke:3}  {kind.title}")
        return 0
    if not wishes.seed:
        wishes.seed = random.SystemRandom().randrange(1, 10**6)
    counts = _counts(wishes)
    if not counts:
        print(f"There is no such kind; choose from {', '.join(KINDS)}.")
        return 2
    return isolated(lambda: _run(wishes, counts))


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="the short campaign of `make test`")
    parser.add_argument("--trials", type=int, help="about so many faults, shared out as in the long campaign")
    parser.add_argument("--each", type=int, help="so many faults of each kind")
    parser.add_argument("--kinds", default="", help="only these, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="decides order and moments; drawn and printed if not given")
    parser.add_argument("--lease", type=float, default=4.0, help="TRAINHUB_LEASE_SECONDS of the hub (seconds)")
    parser.add_argument("--slots", type=int, default=4, help="slots of the hub's node")
    parser.add_argument("--log", type=Path, help="the fault log, JSON lines (var/faults/<seed>.jsonl)")
    parser.add_argument("--report", type=Path, help="write the result to this file as JSON")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="list the kinds, with their trials, long and short")
    return parser.parse_args()


def _counts(wishes: argparse.Namespace) -> dict[str, int]:
    wanted = [name for name in wishes.kinds.split(",") if name] or list(KINDS)
    kinds = {name: KINDS[name] for name in wanted if name in KINDS}
    if len(kinds) < len(wanted):
        return {}
    if wishes.each:
        return dict.fromkeys(kinds, wishes.each)
    counts = {name: kind.smoke if wishes.smoke else kind.long for name, kind in kinds.items()}
    if wishes.trials:
        share = wishes.trials / sum(counts.values())
        counts = {name: max(1, round(count * share)) for name, count in counts.items()}
    return {name: count for name, count in counts.items() if count}


def _command(wishes: argparse.Namespace) -> str:
    """What repeats this campaign: the same faults in the same order."""
    options = ["--smoke"] if wishes.smoke else []
    for name in ("trials", "each", "kinds", "seed"):
        if value := getattr(wishes, name):
            options += [f"--{name}", str(value)]
    return shlex.join(["python", "-m", "faults", *options])


def _run(wishes: argparse.Namespace, counts: dict[str, int]) -> int:
    from faults import report
    from faults.campaign import Campaign, Plan
    from faults.lab import Lab

    plan = Plan(wishes.seed, counts)
    log = wishes.log or PROJECT / "var" / "faults" / f"{plan.seed}.jsonl"
    print(f"seed {plan.seed}: {sum(counts.values())} trials of {len(counts)} kinds, fault log {log}", flush=True)
    lab = Lab(lease=wishes.lease, slots=wishes.slots)
    outcome = Campaign(lab, plan, log).run()
    command = _command(wishes)
    text = (
        f"{report.about(outcome, plan, wishes.lease, wishes.slots, command)}\n\n{report.table(outcome, wishes.lease)}"
    )
    print(f"\n{text}\n")
    late = report.late(outcome, wishes.lease)
    failed = report.failed(outcome)
    for violation in outcome.violations:
        print(f"VIOLATION  {violation}")
    for record in failed:
        print(f"NOT RECOVERED  {record.kind} {record.number}, job {record.job}: {record.note}")
    for words in late:
        print(f"LATE  {words}")
    if wishes.report:
        result = {
            "seed": plan.seed,
            "records": [record.line() for record in outcome.records],
            "violations": [str(violation) for violation in outcome.violations],
            "late": late,
            "jobs": outcome.jobs,
            "samples": outcome.samples,
        }
        wishes.report.write_text(json.dumps(result, indent=1))
    if wishes.docs:
        report.write(PROJECT / "docs" / "reliability.md", text)
    return 1 if outcome.violations or failed or late else 0


if __name__ == "__main__":
    sys.exit(main())
