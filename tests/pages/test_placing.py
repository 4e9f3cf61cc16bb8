"""When and where a job runs, as it is typed: the form of a new job, a copy of another, and changes on its page."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from jobs import control, placing
from jobs.models import Attempt, Job
from tests.pages.conftest import HTMX
from tests.pages.test_live import run
from tests.world import make_job

FORM = {"recipe": "simulate", "settings_of": "simulate"}


def test_everything_that_is_typed_reaches_the_job(page, owner):
    first = make_job(owner, name="First")
    typed = {
        "priority": "100", "device": "cuda", "devices": "2", "memory_gib": "39,5", "labels": "A100, fast-disk",
        "not_before": "2199-07-01T14:30", "zone": "Europe/Berlin", "after": f"#{first.pk}", "after_failure": "run",
        "preemptible": "on", "max_seconds": "1 h 30 min", "stall_seconds": "20min",
    }  # fmt: skip
    answer = page.post("/jobs/new", FORM | typed, follow=True)
    job = Job.objects.latest("pk")
    assert answer.redirect_chain[-1][0] == f"/jobs/{job.pk}"
    assert job.resources == {"device": "cuda", "devices": 2, "memory_gib": 39.5, "labels": ["a100", "fast-disk"]}
    assert (job.priority, job.preemptible, job.max_seconds, job.stall_seconds) == (100, True, 5400, 1200)
    assert job.not_before == datetime(2199, 7, 1, 12, 30, tzinfo=UTC)
    assert (job.status, job.after_failure, job.dependencies.get().needs_id) == ("pending", "run", first.pk)
    html = answer.content.decode()
    for shown in ("waits. Starts after job", "2 GPUs with 39.5 GiB each", "1 h 30 m 00 s", f'href="/jobs/{first.pk}"',
                  "start_now-job", "High priority", "Gives way"):  # fmt: skip
        assert shown in html, shown


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("devices", "0", "from 1 to 64"), ("devices", "two", "from 1 to 64"), ("memory_gib", "lots", "GiB from 0"),
        ("memory_gib", "-1", "GiB from 0"), ("memory_gib", "nan", "GiB from 0"), ("labels", "no/slash", "lower-case"),
        ("not_before", "tomorrow", "Choose a date"), ("not_before", "2001-01-01T00:00", "passed. Choose a later one"),
        ("not_before", "0001-01-01T00:00", ""), ("not_before", "9999-12-31T23:59", ""),
        ("after", "fox", "Write the numbers"), ("after", "999999", "no job 999999"), ("after_failure", "explode", ""),
        ("max_seconds", "soon", "such as 90 min"), ("max_seconds", "0 s", "such as 90 min"),
        ("max_seconds", "400 d", "such as 90 min"), ("stall_seconds", "5 parsecs", "such as 90 min"),
        ("priority", "number", ""), ("priority", "1001", "from -1000 to 1000"), ("device", "toaster", "Choose one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_marked_and_everything_typed_is_kept(page, field, text, told):
    typed = {"name": "Kept", "labels": "kept-label", "max_seconds": "7 h", "zone": "America/New_York", field: text}
    if field == "priority" and text == "number":
        typed["priority_number"] = "1e9"
    answer = page.post("/jobs/new", FORM | typed)
    html = answer.content.decode()
    assert answer.status_code == 400 and not Job.objects.exists()
    assert f'id="{field}-error"' in html and told in html
    assert 'id="placing" open' in html and 'value="Kept"' in html
    for name in {"labels", "max_seconds"} - {field}:
        assert f'value="{typed[name]}"' in html, name


def test_a_job_of_someone_else_is_not_waited_for(page, stranger):
    theirs = make_job(stranger, name="Secret")
    html = page.post("/jobs/new", FORM | {"after": str(theirs.pk)}).content.decode()
    assert 'id="after-error"' in html and "Secret" not in html
    assert Job.objects.count() == 1


def test_the_part_is_closed_until_something_in_it_was_chosen(page, owner):
    assert 'id="placing" open' not in page.get("/jobs/new").content.decode()
    job = make_job(owner, priority=-3, preemptible=True, max_seconds=5400, resources={"labels": ["a100"]})
    html = page.get(f"/jobs/new?from={job.pk}").content.decode()
    assert 'id="placing" open' in html and 'value="1 h 30 min"' in html and 'value="a100"' in html
    assert 'value="number" selected' in html and 'value="-3"' in html


def test_asking_for_the_form_again_keeps_when_and_where(page):
    typed = {"devices": "3", "preemptible": "on", "zone": "Asia/Tokyo", "not_before": "2199-01-01T10:00"}
    html = page.get("/jobs/new", FORM | typed, headers=HTMX).content.decode()
    assert 'value="3"' in html and "checked" in html and "Asia/Tokyo" in html and 'value="2199-01-01T10:00"' in html


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", None), ("90 min", 5400), ("1h30m", 5400), ("1 d 2 h", 93_600), ("1,5 h", 5400)]
)
def test_lengths_of_time(text, seconds):
    if seconds is None:
        with pytest.raises(InvalidInputError):
            placing.length({"x": text}, "x")
    else:
        assert placing.length({"x": text}, "x") == seconds
        assert placing.length({"x": placing.length_shown(seconds)}, "x") == seconds


@pytest.mark.parametrize("zone", ["", "No/Where", "../../etc/passwd", "\x00", "x" * 400, "/etc/localtime"])
def test_a_zone_that_is_none_counts_as_utc(zone):
    read = placing.moment({"not_before": "2199-01-01T10:00", "zone": zone})
    assert read == datetime(2199, 1, 1, 10, tzinfo=UTC)


def test_a_job_is_changed_on_its_page_and_the_answer_tells_its_place(page, owner):
    make_job(owner, name="Other")
    job = make_job(owner, name="Mine")
    given = {"priority": "500", "preemptible": "on", "max_seconds": "2 h"}
    html = page.post(f"/jobs/{job.pk}/change", given, headers=HTMX).content.decode()
    for told in ("has the priority Urgent now", "It is number 1 in line", "gives way to higher", "2 h 00 m 00 s"):
        assert told in html, told
    job.refresh_from_db()
    assert (job.priority, job.preemptible, job.max_seconds) == (500, True, 7200)
    assert page.post(f"/jobs/{job.pk}/change", {"max_seconds": "soon"}, headers=HTMX).status_code == 400
    control.cancel(job, owner)
    assert page.post(f"/jobs/{job.pk}/change", {"max_seconds": "3 h"}, headers=HTMX).status_code == 409


def test_the_time_limit_of_a_failed_job_is_raised_where_the_failure_says_so(page, owner):
    job = make_job(owner, max_seconds=60)
    Job.objects.filter(pk=job.pk).update(
        status="failed", failure_code="TIME_LIMIT", failure_message="It has run for 1 m.", completed_at=timezone.now()
    )
    assert 'value="1 min"' in page.get(f"/jobs/{job.pk}").content.decode()
    html = page.post(f"/jobs/{job.pk}/change", {"max_seconds": "2 h"}, headers=HTMX).content.decode()
    assert "Retry goes on from its last checkpoint" in html
    given = {"max_seconds": "", "stall_seconds": "45 min"}
    html = page.post(f"/jobs/{job.pk}/change", given, headers=HTMX).content.decode()
    assert "It may run as long as it needs. It may be without progress for 45 m 00 s." in html
    job.refresh_from_db()
    assert (job.max_seconds, job.stall_seconds) == (None, 2700)
    assert 'value="45 min"' in page.get(f"/jobs/{job.pk}").content.decode()


def test_a_running_job_saves_a_checkpoint_and_says_so_meanwhile(page, owner):
    job = make_job(owner, name="Runner")
    run(job, current_step=10)
    html = page.post(f"/jobs/{job.pk}/checkpoint", headers=HTMX).content.decode()
    assert "saves a checkpoint at the next step and goes on" in html
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "Saving a checkpoint" in html and "checkpoint-job" not in html and "pause-job" in html
    page.post(f"/jobs/{job.pk}/cancel")
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "Cancelling" in html and "pause-job" not in html


def test_the_attempts_tell_where_from_which_step_and_how_they_ended(page, owner, node):
    job = make_job(owner)
    now = timezone.now()
    who = {"host": "bench", "boot_id": "b", "supervisor_pid": 1, "supervisor_start": 1, "lease_until": now}
    Attempt.objects.create(
        job=job, number=1, slot=node.slots.get(), devices=["cuda:0", "cuda:1"], first_step=1200, outcome="lost",
        code="LOST_NODE", reason="The node fell silent.", started_at=now - timedelta(minutes=3), ended_at=now, **who,
    )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(
        status="pending", attempt_number=1, waiting_for="Tried again after a while.",
        not_before=now + timedelta(seconds=45),
    )  # fmt: skip
    html = page.get(f"/jobs/{job.pk}").content.decode()
    for shown in ("cuda:0, cuda:1", "1,200", "Worker lost", "LOST_NODE", "The node fell silent.", "3 m 00 s",
                  'href="/nodes/bench-1"', 'data-prefix="Tried again"', "Attempt 1 ended"):  # fmt: skip
        assert shown in html, shown
    page.post(f"/jobs/{job.pk}/start_now")
    job.refresh_from_db()
    assert job.status == "queued"
