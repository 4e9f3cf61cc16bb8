"""The pages of schedules and templates: made from a job, seen before they are saved, changed, and told of in words."""

import re

import pytest
from django.utils import timezone

from datasets.freezing import versions
from jobs import blueprints, schedules
from jobs.firing import fire_due
from jobs.models import Job, JobTemplate, Schedule
from tests.world import make_dataset, make_job

FORM = {"name": "Nightly", "kind": "daily", "at": "02:30", "zone": "Europe/Berlin", "overlap": "skip"}
HTMX = {"HX-Request": "true"}


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


@pytest.fixture
def job(owner):
    return make_job(owner, config={"steps": 7})


def test_a_job_is_repeated_from_its_page(page, job):
    link = f"/schedules/new?job={job.pk}"
    assert link in page.get(f"/jobs/{job.pk}").content.decode()
    form = page.get(link)
    assert f'value="job:{job.pk}" selected' in form.content.decode()
    answer = page.post("/schedules/new", FORM | {"source": f"job:{job.pk}"}, follow=True)
    assert "It makes a job every day at 02:30, Europe/Berlin. The first one comes on" in text_of(answer)
    schedule = Schedule.objects.get()
    assert schedule.request["config"]["steps"] == 7
    shown = text_of(page.get(f"/schedules/{schedule.pk}"))
    assert "Makes a job every day at 02:30, Europe/Berlin" in shown
    assert len(re.findall(r"02:30 CES?T", shown)) == 5
    assert "Nightly" in text_of(page.get("/schedules"))


def test_a_template_is_saved_started_and_repeated(page, job):
    page.post("/templates/new", {"job": job.pk, "name": "Small"})
    template = JobTemplate.objects.get()
    answer = page.post(f"/templates/{template.pk}/start", follow=True)
    assert "is in the queue" in text_of(answer)
    assert Job.objects.count() == 2
    link = f"/schedules/new?source=template:{template.pk}"
    assert link in page.get("/templates").content.decode()
    assert f'value="template:{template.pk}" selected' in page.get(link).content.decode()
    page.post("/schedules/new", FORM | {"source": f"template:{template.pk}"})
    assert Schedule.objects.get().template == template
    refused = page.post(f"/templates/{template.pk}/delete", follow=True)
    assert refused.redirect_chain == [("/templates", 302)]
    assert "is used by the schedule &#x27;Nightly&#x27;." in text_of(refused)
    assert page.post(f"/templates/{template.pk}/delete", headers=HTMX).status_code == 409


def test_a_job_is_started_of_a_template_with_changes(page, owner, stranger):
    template = blueprints.save(
        owner, "Base", {"recipe": "simulate", "config": {"steps": 7}, "seed": 5, "max_seconds": 5400, "priority": 100}
    )
    link = f"/jobs/new?template={template.pk}"
    assert link in page.get("/templates").content.decode()
    html = page.get(link).content.decode()
    for shown in ("template 'Base'", 'value="7"', 'value="5"', 'value="1 h 30 min"', 'value="100" selected'):
        assert shown in html, shown
    theirs = blueprints.save(stranger, "Theirs", {"recipe": "simulate"})
    assert page.get(f"/jobs/new?template={theirs.pk}").status_code == 404
    dataset = make_dataset(owner)
    frozen = versions.freeze(dataset, owner)
    kept = blueprints.save(owner, "Pinned", {"recipe": "text-generation", "dataset_version": frozen.pk})
    assert f'value="{dataset.pk}" selected' in page.get(f"/jobs/new?template={kept.pk}").content.decode()
    JobTemplate.objects.filter(pk=kept.pk).update(request=kept.request | {"dataset_version": 999_999})
    assert page.get(f"/jobs/new?template={kept.pk}").status_code == 200, "its version is gone"


def test_a_template_is_renamed_and_takes_over_the_settings_of_another_job(page, owner, stranger, job):
    template = blueprints.save(owner, "Base", {"recipe": "simulate", "config": {"steps": 3}})
    address = f"/templates/{template.pk}/edit"
    assert address in page.get("/templates").content.decode()
    assert 'value="Base"' in page.get(address).content.decode()
    assert "is changed" in text_of(page.post(address, {"name": "Small", "job": ""}, follow=True))
    template.refresh_from_db()
    assert (template.name, template.request["config"]["steps"]) == ("Small", 3)
    page.post(address, {"name": "Small", "job": f"#{job.pk}"})
    template.refresh_from_db()
    assert template.request["config"]["steps"] == 7
    for wrong in ("x", "999999", str(make_job(stranger).pk)):
        answer = page.post(address, {"name": "Other", "job": wrong})
        assert answer.status_code == 400 and f"There is no job {wrong} for you" in text_of(answer)
        assert f'value="{wrong}"' in answer.content.decode()
    assert page.post(address, {"name": " ", "job": ""}).status_code == 400
    template.refresh_from_db()
    assert template.name == "Small"


def test_a_template_that_was_refused_can_be_opened_again_and_without_a_job_says_what_to_do(page, job):
    page.post("/templates/new", {"job": job.pk, "name": "Small"})
    form = page.post("/templates/new", {"job": job.pk, "name": "Small"}).content.decode()
    assert f'action="/templates/new?job={job.pk}"' in form
    assert page.get(f"/templates/new?job={job.pk}").status_code == 200
    answer = page.get("/templates/new")
    assert answer.status_code == 400 and "Press Save as template on the job" in text_of(answer)


def test_a_name_that_is_taken_is_told_on_the_form(page, job):
    page.post("/templates/new", {"job": job.pk, "name": "Small"})
    answer = page.post("/templates/new", {"job": job.pk, "name": "Small"})
    assert answer.status_code == 409
    assert "There is a template called &#x27;Small&#x27; already" in answer.content.decode()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"kind": "weekly", "days": ["mon", "fri"], "at": "08:00"}, "every Monday and Friday at 08:00"),
        ({"kind": "monthly", "day": "31", "at": "08:00"}, "on day 31 of every month, or on its last day, at 08:00"),
        ({"kind": "every", "count": "6", "unit": "60"}, "every 6 hours"),
        ({"kind": "cron", "expression": "0 4 * * sun"}, "at 04:00 on Sunday (0 4 * * SUN)"),
        (
            {"kind": "cron", "expression": "30 2 31 * 1"},
            "at 02:30 on the 31st day of month or on Monday (30 2 31 * 1)",
        ),
    ],
)
def test_the_next_times_are_shown_while_one_types_and_saved_as_shown(page, job, typed, words):
    form = {"name": "Nightly", "zone": "UTC", "overlap": "skip", "source": f"job:{job.pk}"} | typed
    shown = page.get("/schedules/preview", form, headers=HTMX)
    assert f"Comes {words}, UTC. The next times:" in text_of(shown)
    assert shown.content.decode().count("<li>") == 5
    page.post("/schedules/new", form)
    schedule = Schedule.objects.get()
    assert schedules.in_words(schedule) == f"{words}, UTC"
    form = page.get(f"/schedules/{schedule.pk}/edit").content.decode()
    assert all(f'value="{value}"' in form for value in typed.values() if isinstance(value, str) and ":" in value)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"at": ""}, "The time of day is missing or wrong"),
        ({"kind": "weekly", "days": []}, "The days are missing"),
        ({"kind": "every", "count": "0", "unit": "1"}, "The number of minutes is out of range"),
        ({"kind": "cron", "expression": "soon"}, "does not have five fields"),
        ({"kind": "cron", "expression": "0 0 30 2 *"}, "names a date that never comes"),
        ({"kind": "cron", "expression": "0 0 32 2 *"}, "has a wrong day-of-month"),
        ({"zone": "Atlantis"}, "There is no time zone called"),
        ({"name": ""}, "The name is missing. Type a name of up to 200 characters."),
        ({"name": "x" * 201}, "The name is too long. Type a name of up to 200 characters."),
        ({"source": ""}, "Say what the schedule makes"),
        ({"source": "template:99999"}, "There is no job template"),
        ({"kind": "nonsense"}, "kind is not known"),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_is_kept(page, job, typed, told):
    answer = page.post("/schedules/new", FORM | {"source": f"job:{job.pk}", "overlap": "queue"} | typed)
    assert answer.status_code in {400, 404}
    assert told in text_of(answer)
    assert 'value="queue" selected' in answer.content.decode()
    assert not Schedule.objects.exists()


def test_only_the_fields_of_the_chosen_kind_are_asked_for(page, job):
    form = page.get("/schedules/new", FORM | {"kind": "monthly", "job": job.pk}, headers=HTMX).content.decode()
    assert 'name="day"' in form
    assert 'name="expression"' not in form
    form = page.get("/schedules/new", FORM | {"kind": "weekly", "job": job.pk}, headers=HTMX).content.decode()
    assert form.count(" checked") == 1, "a day to begin with"
    assert "<html" not in form


def test_a_schedule_is_changed_paused_resumed_run_and_deleted(page, job, owner):
    page.post("/schedules/new", FORM | {"source": f"job:{job.pk}"})
    schedule = Schedule.objects.get()
    address = f"/schedules/{schedule.pk}"
    assert 'value="02:30"' in page.get(f"{address}/edit").content.decode()
    page.post(f"{address}/edit", FORM | {"name": "Early", "at": "04:00", "source": "own"})
    schedule.refresh_from_db()
    assert (schedule.name, schedule.rule["at"]) == ("Early", "04:00")
    assert schedule.request["config"]["steps"] == 7, "what it makes stays"
    assert "makes no more jobs until you resume it" in text_of(page.post(f"{address}/pause", follow=True))
    assert "None while it is paused" in text_of(page.get(address))
    page.post(f"{address}/resume")
    answer = page.post(f"{address}/run", follow=True)
    assert "The schedule's own times stay" in text_of(answer).replace("&#x27;", "'")
    assert schedule.jobs.count() == 1
    page.post(f"{address}/pause")
    refused = page.post(f"{address}/run", follow=True)
    assert refused.redirect_chain == [(address, 302)], "told on the schedule's page, not on one of its own"
    assert "has not ended" in text_of(refused)
    assert "Those that it made stay" in text_of(page.get(f"{address}/delete"))
    page.post(f"{address}/delete")
    assert not Schedule.objects.exists()
    assert Job.objects.count() == 2


def test_an_interval_that_is_not_changed_keeps_its_beat(page, job):
    form = {"name": "Often", "kind": "every", "count": "90", "unit": "1", "zone": "UTC", "overlap": "skip"}
    page.post("/schedules/new", form | {"source": f"job:{job.pk}"})
    before = Schedule.objects.get()
    page.post(f"/schedules/{before.pk}/edit", form | {"name": "Renamed", "source": "own"})
    after = Schedule.objects.get()
    assert (after.name, after.rule, after.next_at) == ("Renamed", before.rule, before.next_at)


def test_why_a_time_made_no_job_is_told_on_its_page(page, owner, job):
    schedule = schedules.create(
        owner, name="Nightly", rule={"kind": "every", "minutes": 60}, zone="UTC", request={"recipe": "simulate"}
    )
    for _ in range(2):
        Schedule.objects.update(next_at=timezone.now())
        fire_due()
    made = schedule.jobs.get()
    shown = text_of(page.get(f"/schedules/{schedule.pk}"))
    assert "Its last time made no job." in shown
    assert f"Job {made.pk}" in shown
    assert "Last time left out" in text_of(page.get("/schedules"))
    assert f"Made by the schedule {schedule.pk}" in text_of(page.get(f"/jobs/{made.pk}"))
    schedules.pause(schedule, owner)
    for address in ("/schedules", f"/schedules/{schedule.pk}"):
        shown = page.get(address).content.decode()
        assert "Paused" in shown and "schedule-error" not in shown, "what a person paused is no failure"


def test_a_schedule_that_switched_itself_off_says_why_and_what_to_do(page, owner):
    schedule = schedules.create(
        owner, name="Nightly", rule={"kind": "every", "minutes": 60}, zone="UTC", request={"recipe": "simulate"}
    )
    Schedule.objects.update(next_at=timezone.now(), zone="Atlantis/Gone")
    fire_due()
    Schedule.objects.update(zone="UTC")
    shown = text_of(page.get(f"/schedules/{schedule.pk}"))
    assert "Switched off" in shown and "It makes no more jobs." in shown and "Correct it under Change" in shown


def test_a_stranger_can_do_nothing_with_a_schedule_or_template(client, stranger, world):
    client.force_login(stranger)
    for address in (
        f"/schedules/{world.schedule.pk}/run",
        f"/schedules/{world.schedule.pk}/pause",
        f"/schedules/{world.schedule.pk}/edit",
        f"/templates/{world.template.pk}/start",
        f"/templates/{world.template.pk}/delete",
    ):
        assert client.post(address, FORM).status_code == 404, address
    for source in (f"job:{world.job.pk}", f"template:{world.template.pk}"):
        assert client.post("/schedules/new", FORM | {"source": source}).status_code == 404
    assert Job.objects.count() == Schedule.objects.count() == 1
