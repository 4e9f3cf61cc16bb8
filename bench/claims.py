"""How long a claim takes when 100,000 jobs wait. A process of its own: Django can be set up once."""

from __future__ import annotations

import time

from bench import scratch
from bench.report import line, spread

QUEUED = 100_000
CLAIMS = 100


def main() -> None:
    with scratch.database():
        _measure()


def _measure() -> None:
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.utils import timezone

    from jobs.creation import create_job
    from jobs.models import Job, Node, Slot
    from jobs.queue import Owner, claim

    owner = get_user_model().objects.create_superuser("bench", "", "correct horse battery")
    pattern, _ = create_job(owner, recipe="simulate")
    # The columns of a job that was made by its own verb, so that new ones are right here too.
    fixed = {field.attname: getattr(pattern, field.attname) for field in Job._meta.fields if not field.primary_key}
    for _ in range(QUEUED // 1000):
        Job.objects.bulk_create(Job(**fixed | {"priority": number % 7}) for number in range(1000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    now = timezone.now()
    node = Node.objects.create(name="bench", host="bench", started_at=now, heartbeat_at=now)
    me = Owner("elsewhere", "", 1, 1)
    times = []
    for index in range(CLAIMS):
        slot = Slot.objects.create(node=node, index=index, device="cpu", queue=f"bench.{index}")
        started = time.perf_counter()
        attempt = claim(slot, me)
        times.append(time.perf_counter() - started)
        assert attempt is not None
        assert attempt.job.priority == 6, attempt.job.priority
    line(f"claim, {QUEUED:,} jobs queued", spread(times))
    connection.close()


if __name__ == "__main__":
    main()
