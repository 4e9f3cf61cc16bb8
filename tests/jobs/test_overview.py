"""What pages say of jobs as a whole reads few rows, however many have ended."""

from __future__ import annotations

from django.db import connection
from django.utils import timezone

from jobs import overview
from jobs.models import Job
from jobs.states import ACTIVE, Status
from tests.world import make_job


def plan(rows) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of few rows is read whole otherwise
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


def test_the_jobs_that_ended_last_come_from_an_index(owner, stranger, django_user_model):
    for person in (owner, stranger, stranger, stranger):
        for number in range(10):
            end = {"status": Status.COMPLETED, "completed_at": timezone.now()}
            if number % 2:
                end |= {"status": Status.FAILED, "failure_code": "CODE_ERROR", "failure_message": "It broke."}
            Job.objects.filter(pk=make_job(person).pk).update(**end)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")  # or the planner has an idea of the table that another test left there
    mine = plan(overview.latest_completed(owner).values("pk"))
    assert "job_owner_ended" in mine and "Sort" not in mine
    everyones = plan(overview.latest_completed(django_user_model(is_staff=True, pk=0)).values("pk"))
    assert "job_ended" in everyones and "Sort" not in everyones
    assert "job_owner_ended" in plan(overview.recent_failures(owner).values("pk"))


def test_states_that_are_not_asked_for_are_not_counted(owner):
    make_job(owner)
    assert overview.counts(owner)[Status.QUEUED] == 1
    assert set(overview.counts(owner, ACTIVE)) == {status.value for status in ACTIVE}
    assert overview.counts(owner, ACTIVE)[Status.QUEUED] == 1
