"""What must be looked at again and again, since any process may die between two lines.

Each part is idempotent and guarded, so several nodes may sweep at the same time.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django_q.conf import Conf
from django_q.models import OrmQ

from common.background import QUEUE, is_long_work_alive
from datasets.collecting import sweep_store
from datasets.gating import governance
from datasets.intake.imports import sweep_imports
from datasets.intake.pieces import sweep_uploads
from datasets.models import Import, QualityRun, Rendering
from datasets.quality.runs import LONG, sweep_quality
from datasets.rendering.renderings import sweep_renderings
from jobs import outbox
from jobs.automatic import mail, threshold
from jobs.firing import fire_due
from jobs.folders import sweep_folders
from jobs.models import Slot
from jobs.preemption import make_room
from jobs.queue import knock, ready
from jobs.recovery import release_lost
from jobs.search import running as searches
from jobs.waiting import release_due
from registry import removal
from registry.exporting import sweep_exports
from registry.logged import retention as predictions
from registry.logged import spool
from registry.merging import sweep_merges

UNANSWERED_SECONDS = 10
BACKGROUND_SECONDS = 60
LONGEST_SECONDS = 1200  # so long may be taken by work that says it is long (`common.background.long_work`)
KNOCKS_BY_SWEEP = 64


def knock_where_work_waits() -> None:
    if ready().exists():
        knock(at_most=KNOCKS_BY_SWEEP)
        make_room()


# End lost attempts, make the jobs of schedules, queue what need wait no longer, knock, wake imports and recording that
# were left lying, have rules applied, remove uploads that nobody finished and what ended jobs left on disk.
SWEEPS = (
    release_lost,
    fire_due,
    release_due,
    knock_where_work_waits,
    sweep_imports,
    sweep_uploads,
    sweep_store,
    sweep_renderings,
    sweep_quality,
    sweep_merges,
    sweep_exports,
    removal.sweep,
    spool.sweep,
    predictions.sweep,
    governance.sweep,
    searches.sweep,
    threshold.sweep,
    mail.sweep,
    outbox.sweep,
    outbox.have_looked,
    sweep_folders,
)


def deaf_queues(node_id: int) -> list[str]:
    """Queues of free slots where a knock lies unanswered: their clusters hang and must be restarted.

    A knock's row is deleted when it is answered, so any row that is older than ten seconds is one that nobody
    answered, whether it was never taken or was taken and lost.
    """
    # A worker that goes from one short job to the next is free for moments, and takes up its knocks at the end.
    quiet = Q(answered_at__isnull=True) | Q(answered_at__lt=Now() - timedelta(seconds=UNANSWERED_SECONDS))
    queues = Slot.objects.filter(quiet, held_by=None, node_id=node_id, enabled=True).values_list("queue", flat=True)
    return [queue for queue in queues if oldest(queue) > UNANSWERED_SECONDS]


def oldest(queue: str) -> float:
    """Seconds since the oldest task that still lies in a queue was put or taken; 0 for an empty queue."""
    retry = timedelta(seconds=Conf.RETRY)
    # A waiting row's lock is the time it was put; a taken one's is the time it was taken, plus `retry`.
    locks = OrmQ.objects.filter(key=queue).annotate(now=Now()).values_list("now", "lock")
    ages = [(now - (lock if lock < now + retry / 2 else lock - retry)).total_seconds() for now, lock in locks[:100]]
    return max(ages, default=0.0)


def background_hangs() -> bool:
    """Whether background work lies untouched although nothing long is at work."""
    age = oldest(QUEUE)
    if age < BACKGROUND_SECONDS or (age < LONGEST_SECONDS and is_long_work_alive()):
        return False
    fresh = Now() - timedelta(seconds=BACKGROUND_SECONDS)
    # What is fetched from elsewhere has a process of its own, and so has a long check.
    here = Q(origin={}) | Q(origin__kind="items")
    long = (Import.objects.filter(here), QualityRun.objects.exclude(LONG), Rendering.objects.all())
    return not any(work.filter(status="running", heartbeat_at__gt=fresh).exists() for work in long)
