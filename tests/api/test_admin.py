"""The administration: verbs as actions, nothing that the hub keeps is edited, and lists stay cheap."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from datasets.subjects.subjects import create as create_subject
from jobs import nodes
from jobs.limits import set_limit
from jobs.models import Job, Limit, Node
from jobs.queue import ready
from tests.world import make_job, make_node, make_version, make_world, run

OURS = {"accounts", "datasets", "registry", "jobs", "history", "performance"}
# Shown on the page of their job, by the million.
UNSEEN = {
    "ProgressRow", "ProgressSummary", "LogLine", "EditedItem", "JobSample", "GeneratedExample", "ExampleSum",
    "SessionDay", "SessionDayShare", "Touched",
}  # fmt: skip


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


def keep_busy(person, boss, name):
    """A machine that runs a job of this person and is drained, a job after it, a limit."""
    first = make_job(person, name=f"first on {name}", priority=900)
    run(first, name)
    make_job(person, name="second", after=[first])
    nodes.drain(Node.objects.get(name=name), boss)
    set_limit(boss, user=person, max_running=7)
    set_limit(boss, subject=create_subject(person, name=f"of {name}"), max_running=7)


def test_no_list_runs_a_query_per_row(boss, administrator, owner, stranger, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_world(owner)
    keep_busy(owner, administrator, "n1")
    registered = [model for model in our_models() if admin.site.is_registered(model)]
    few = {}
    for model in registered:
        boss.get(address(model))
        with CaptureQueriesContext(connection) as queries:
            boss.get(address(model))
        few[model] = len(queries)
    make_world(stranger)
    for name in ("n2", "n3", "n4"):
        keep_busy(stranger, administrator, name)
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


def test_a_priority_may_be_a_level_and_a_wrong_one_is_said_in_words(boss, owner):
    job = make_job(owner)
    boss.post(address(Job), {"action": "change_priority", "priority": "high", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.priority == 100
    page = boss.post(
        address(Job), {"action": "change_priority", "priority": "soon", "_selected_action": [job.pk]}, follow=True
    )
    assert "low, normal, high, urgent" in page.content.decode()


def test_jobs_are_moved_in_the_queue_by_action(boss, owner):
    ids = [make_job(owner).pk for _ in range(4)]

    def order():
        return list(ready().values_list("pk", flat=True))

    boss.post(address(Job), {"action": "top", "_selected_action": [ids[3], ids[2]]})
    assert order() == [ids[2], ids[3], ids[0], ids[1]]
    boss.post(address(Job), {"action": "down", "_selected_action": [ids[2], ids[3]]})
    assert order() == [ids[0], ids[2], ids[3], ids[1]]
    boss.post(address(Job), {"action": "up", "_selected_action": [ids[1]]})
    assert order() == [ids[0], ids[2], ids[1], ids[3]]


def test_a_checkpoint_is_asked_for_and_a_pending_job_started_by_action(boss, owner):
    running = make_job(owner)
    run(running)
    later = make_job(owner, not_before=timezone.now() + timedelta(days=1))
    boss.post(address(Job), {"action": "checkpoint", "_selected_action": [running.pk]})
    boss.post(address(Job), {"action": "start_now", "_selected_action": [later.pk]})
    running.refresh_from_db()
    later.refresh_from_db()
    assert (running.request, later.status) == ("checkpoint", "queued")


def test_a_node_is_drained_resumed_and_forgotten_by_action(boss, db):
    node = make_node("n7", state=Node.State.ACTIVE)
    boss.post(address(Node), {"action": "drain", "_selected_action": [node.pk]})
    node.refresh_from_db()
    assert node.draining
    boss.post(address(Node), {"action": "resume", "_selected_action": [node.pk]})
    node.refresh_from_db()
    assert not node.draining
    page = boss.post(address(Node), {"action": "forget", "_selected_action": [node.pk]}, follow=True)
    assert "is up" in page.content.decode()
    make_node("n7")
    boss.post(address(Node), {"action": "forget", "_selected_action": [node.pk]})
    assert not Node.objects.filter(pk=node.pk).exists()


def test_a_limit_is_made_changed_and_taken_away_by_the_rules_of_the_verb(boss, owner):
    boss.post(address(Limit, "add"), {"user": owner.pk, "max_running": 2})
    limit = Limit.objects.get()
    assert (limit.user, limit.max_running, limit.max_active) == (owner, 2, None)
    boss.post(address(Limit, "change", limit.pk), {"max_running": "", "max_active": 9})
    limit.refresh_from_db()
    assert (limit.user, limit.max_running, limit.max_active) == (owner, None, 9)
    boss.post(address(Limit, "delete", limit.pk), {"post": "yes"})
    assert not Limit.objects.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_running": 2_000_000}, "from 0 to 1,000,000"),
        ({}, "Neither number is given"),
        ({"max_running": -1}, "greater than or equal to 0"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_in_words(boss, given, words):
    page = boss.post(address(Limit, "add"), given)
    assert page.status_code == 200
    assert words in page.content.decode()
    assert not Limit.objects.exists()


def test_a_limit_is_of_a_user_or_of_a_subject(boss, owner):
    world = make_world(owner)
    page = boss.post(address(Limit, "add"), {"user": owner.pk, "subject": world.subject.pk, "max_running": 1})
    assert "for a user or for a subject" in page.content.decode()
    assert not Limit.objects.exists()


def test_a_limit_for_everyone_is_made_once(boss):
    for number in (1, 2):
        page = boss.post(address(Limit, "add"), {"max_running": number})
    assert page.status_code == 200
    assert Limit.objects.get().max_running == 1


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
