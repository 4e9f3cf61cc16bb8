"""A run that ended is recorded before its job starts anew: the next run takes the place of what the record is made of.

Who records registers a function here, in its AppConfig.ready. Mostly a run is recorded long before; this is for when
the recording is late.
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ConflictError
from jobs.generation import examples
from jobs.generation.shown import makes_examples
from jobs.models import Job, OutboxMessage
from jobs.runs import ENDED
from jobs.states import Status

Recorder = Callable[[OutboxMessage], None]
AT_ONCE = 20_000  # examples that are put into their dataset while a person waits: some seconds
_recorders: list[Recorder] = []


def register_recorder(recorder: Recorder) -> None:
    """`recorder` takes up a message of a run that ended, in the present transaction; it raises when it can't."""
    if recorder not in _recorders:
        _recorders.append(recorder)


def settle(job: Job) -> None:
    """Record what the job's last run has made, in the transaction that lets it start again; before its row is locked,
    as whoever records holds the message first. ConflictError when that would take long, or can't be done."""
    late = OutboxMessage.objects.filter(
        topic=ENDED, job=job, processed_at__isnull=True, job__status__in=(Status.FAILED, Status.CANCELLED)
    )
    if not makes_examples(job) or not late.exists():
        return
    if job.save_to_id and (count := examples.unsaved(job).count()) > AT_ONCE:
        raise ConflictError(
            f"The {count:,} examples of the last run are still being saved.",
            "Retry when they lie in the dataset: that goes on by itself.",
        )
    for message in late.select_related("job__model_version").select_for_update(of=("self",)).order_by("pk"):
        for recorder in _recorders:
            recorder(message)
