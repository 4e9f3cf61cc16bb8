"""What the page of a job shows of the examples that it makes."""

from __future__ import annotations

from typing import Any

from engine import catalogue
from engine.protocol import EngineError
from jobs.automatic import threshold
from jobs.generation import examples, sources, sums
from jobs.models import Job

WINNERS = 5
REDRAWN = 50  # times while as many are made again: counting all of them at each step would cost more than making them


def makes_examples(job: Job) -> bool:
    """Whether the job's recipe generates; not when it is not installed any more."""
    try:
        return catalogue.recipe(job.recipe).makes == "examples"
    except EngineError:
        return False


def moment(job: Job) -> Any:
    """Changes when what is shown should be counted anew."""
    if not makes_examples(job):
        return None
    return job.status, job.save_to_id, job.event_count, job.current_step // max(1, job.current_step // REDRAWN)


def made(job: Job) -> dict[str, Any] | None:
    """Counts, generators and genres with their shares, and the newest winners; None for a job that makes none."""
    if not makes_examples(job):
        return None
    titles = sources.titles(job)
    found = sums.figures(job, titles)
    generators = [
        {"title": titles.get(name, name), "wins": wins, "mean": mean} for name, (wins, mean) in found.generators.items()
    ]
    winners = [{"row": row, "title": titles.get(row.winner, row.winner)} for row in examples.latest_kept(job, WINNERS)]
    return {
        "figures": found, "asked": job.config.get("examples", 0), "generators": generators,
        "genres": list(found.genres.items()), "winners": winners,
        "bar": threshold.bar_of(job.owner_id, job.save_to_id),
    }  # fmt: skip
