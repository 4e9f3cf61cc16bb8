"""The administration: verbs as actions, nothing that the hub keeps is edited, and lists stay cheap."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from jobs.models import Job
from tests.world import make_job, make_version, make_world

OURS = {"accounts", "datasets", "registry", "jobs", "history", "performance"}
UNSEEN = {"ProgressRow", "ProgressSummary", "LogLine"}  # shown on the job's own page, by the million


def our_models():
    return [model for model in apps.get_models() if model._meta.app_label in OURS]


def address(model, page="changelist", *arguments):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


@pytest.fixture
def boss(client, administrator):
    client.force_login(administrator)
    return client


def test_every_model_has_its_page():
    missing = {model.__name__ for model in our_models() if not admin.site.is_registered(model)}
    assert missing <= UNSEEN


def test_every_list_and_form_opens(boss, owner):
    make_world(owner)
    for model in our_models():
        if admin.site.is_registered(model):
            assert boss.get(address(model)).status_code == 200, model
            assert boss.get(address(model) + "?q=marker").status_code == 200, model
            for row in model.objects.all()[:1]:
                assert boss.get(address(model, "change", row.pk)).status_code == 200, model


def test_no_list_runs_a_query_per_row(boss, owner, stranger, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_world(owner)
    registered = [model for model in our_models() if admin.site.is_registered(model)]
    few = {}
    for model in registered:
        boss.get(address(model))
        with CaptureQueriesContext(connection) as queries:
            boss.get(address(model))
        few[model] = len(queries)
    make_world(stranger)
    for number in range(4):
        make_job(owner, name=f"more {number}")
        make_version(owner, f"more {number}")
    for model in registered:
        with django_assert_max_num_queries(few[model] + 1, info=str(model)):  # a filter may list one more thing
            boss.get(address(model))


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("cancel", "queued", "cancelled"), ("pause", "queued", "paused"), ("resume", "paused", "queued")],
)
def test_a_verb_is_an_action(boss, owner, action, before, after):
    job = make_job(owner)
    Job.objects.filter(pk=job.pk).update(status=before)
    boss.post(address(Job), {"action": action, "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.status == after


def test_a_cancelled_job_is_retried_by_action(boss, owner):
    job = make_job(owner)
    boss.post(address(Job), {"action": "cancel", "_selected_action": [job.pk]})
    boss.post(address(Job), {"action": "retry", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.status == "queued"


def test_the_priority_of_many_is_changed_by_action(boss, owner):
    jobs = [make_job(owner) for _ in range(3)]
    boss.post(
        address(Job), {"action": "change_priority", "priority": "7", "_selected_action": [job.pk for job in jobs]}
    )
    assert set(Job.objects.values_list("priority", flat=True)) == {7}


def test_jobs_that_refuse_a_verb_say_why_and_the_others_are_done(boss, owner):
    queued, ended = make_job(owner), make_job(owner)
    boss.post(address(Job), {"action": "cancel", "_selected_action": [ended.pk]})
    page = boss.post(address(Job), {"action": "cancel", "_selected_action": [queued.pk, ended.pk]}, follow=True)
    text = page.content.decode()
    assert f"Job {ended.pk} is cancelled" in text
    assert "1 job cancelled" in text


def test_staff_without_the_right_get_no_verbs(client, django_user_model, owner):
    from django.contrib.auth.models import Permission

    clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(clerk)
    job = make_job(owner)
    assert 'value="cancel"' not in client.get(address(Job)).content.decode()
    client.post(address(Job), {"action": "cancel", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.status == "queued"


def test_status_and_history_can_not_be_edited(boss, owner):
    job = make_job(owner)
    boss.post(address(Job, "change", job.pk), {"status": "completed", "name": "x"})
    job.refresh_from_db()
    assert (job.status, job.name) == ("queued", "Rehearsal")
    assert boss.get(address(Job, "add")).status_code == 403
    assert boss.get(address(Job, "delete", job.pk)).status_code == 403


def test_only_superusers_reach_django_q2s_own_pages(client, boss, django_user_model):
    from django.contrib.auth.models import Permission

    pages = [reverse(f"admin:django_q_{name}_changelist") for name in ("schedule", "success", "failure", "ormq")]
    assert {boss.get(page).status_code for page in pages} == {200}
    clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="django_q"))
    client.force_login(clerk)
    assert {client.get(page).status_code for page in pages} == {403}
    assert client.get(reverse("admin:django_q_schedule_add")).status_code == 403


def test_an_ordinary_person_does_not_come_in(client, owner):
    client.force_login(owner)
    assert client.get(address(Job)).status_code == 302
