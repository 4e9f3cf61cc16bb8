"""The same verbs at the command line: who acts is said, errors are words, exit codes tell."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.control import cancel
from jobs.limits import set_limit
from jobs.models import Job, Limit, Node
from tests.world import make_job, make_node, run


def manage(*words, fails=None):
    """(standard output, standard error); `fails`: words of the error that ends it."""
    out, err = io.StringIO(), io.StringIO()
    if fails is None:
        call_command(*map(str, words), stdout=out, stderr=err, no_color=True)
    else:
        with pytest.raises((CommandError, SystemExit), match=fails):
            call_command(*map(str, words), stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


def status(job):
    return Job.objects.values_list("status", flat=True).get(pk=job.pk)


def test_the_first_superuser_acts_unless_told_otherwise_and_it_is_said(administrator, owner):
    job = make_job(owner)
    _, said = manage("jobs", "pause", job.pk)
    assert "Acting as admin." in said
    assert job.events.get(kind="paused").actor == administrator


def test_without_a_superuser_a_user_must_be_named(owner):
    manage("jobs", "list", fails="--user")
    _, said = manage("jobs", "list", "--user", "alice")
    assert said == ""
    manage("jobs", "list", "--user", "nobody", fails="no active user called 'nobody'")


def test_someone_elses_job_is_not_there(owner, stranger):
    job = make_job(owner, name="marker")
    _, said = manage("jobs", "cancel", job.pk, "--user", "mallory", fails="1 of 1 jobs refused")
    assert f"There is no job {job.pk} for you." in said
    assert status(job) == "queued"
    assert "marker" not in manage("jobs", "list", "--user", "mallory")[0]
    manage("jobs", "show", job.pk, "--user", "mallory", fails="There is no job")


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("cancel", "queued", "cancelled"), ("pause", "queued", "paused"), ("resume", "paused", "queued"),
        ("up", "queued", "queued"), ("down", "queued", "queued"), ("top", "queued", "queued"),
    ],
)  # fmt: skip
def test_each_verb_acts_on_all_jobs_that_are_named(administrator, owner, verb, before, after):
    jobs = [make_job(owner) for _ in range(2)]
    Job.objects.update(status=before)
    out, _ = manage("jobs", verb, *(job.pk for job in jobs))
    assert {status(job) for job in jobs} == {after}
    assert all(f"Job {job.pk}" in out for job in jobs)


def test_checkpoint_start_now_and_retry(administrator, owner):
    running = make_job(owner)
    run(running)
    later = make_job(owner, not_before=timezone.now() + timedelta(days=1))
    ended = cancel(make_job(owner), owner)
    assert "asked to checkpoint" in manage("jobs", "checkpoint", running.pk)[0]
    manage("jobs", "start-now", later.pk)
    manage("jobs", "retry", ended.pk)
    assert (status(later), status(ended)) == ("queued", "queued")


def test_the_priority_is_a_level_or_a_number(administrator, owner):
    job = make_job(owner)
    for value, number in (("high", 100), ("-5", -5)):
        manage("jobs", "priority", value, job.pk)
        assert Job.objects.get().priority == number
    manage("jobs", "priority", "soon", job.pk, fails="low, normal, high, urgent")


def test_a_job_that_refuses_is_told_and_the_others_are_done(administrator, owner):
    queued, ended = make_job(owner), cancel(make_job(owner), owner)
    _, said = manage("jobs", "cancel", queued.pk, ended.pk, "--reason", "enough", fails="1 of 2 jobs refused")
    assert status(queued) == "cancelled"
    assert f"Job {ended.pk} is cancelled" in said
    told, _ = manage("jobs", "cancel", ended.pk, "--json", fails="1 of 1")
    assert json.loads(told)["refused"][0]["job"] == ended.pk


def test_the_list_shows_active_jobs_and_why_they_wait(administrator, owner):
    waiting, ended = make_job(owner, name="waits"), cancel(make_job(owner, name="over"), owner)
    out, _ = manage("jobs", "list")
    assert "waits" in out
    assert "no node is running" in out
    assert "over" not in out
    assert "over" in manage("jobs", "list", "--status", "all")[0]
    told = json.loads(manage("jobs", "list", "--status", "cancelled", "--json")[0])
    assert [job["id"] for job in told] == [ended.pk]
    assert waiting.pk not in [job["id"] for job in told]


def test_one_job_is_shown(administrator, owner):
    job = make_job(owner, name="waits")
    assert "status: queued" in manage("jobs", "show", job.pk)[0]
    assert json.loads(manage("jobs", "show", job.pk, "--json")[0])["name"] == "waits"


@pytest.mark.parametrize(
    "words", [["cancel"], ["cancel", "x"], ["cancel", "0"], ["cancel", str(2**63)], ["explode", "1"]]
)
def test_a_wrong_command_line_is_refused(administrator, words):
    manage("jobs", *words, fails="Error|error|argument")


def test_nodes_are_listed_drained_resumed_and_forgotten(administrator, owner):
    job = make_job(owner)
    run(job)
    out, _ = manage("nodes", "list")
    assert "n1" in out
    assert "1 of 1" in out
    manage("nodes", "drain", "n1")
    (told,) = json.loads(manage("nodes", "list", "--json")[0])
    assert (told["state"], told["takes_jobs"], told["slots"][0]["job"]) == ("draining", False, job.pk)
    manage("nodes", "resume", "n1")
    assert Node.objects.get().takes_jobs
    manage("nodes", "forget", "n1", fails="is up")
    make_node("n2")
    manage("nodes", "forget", "n2")
    manage("nodes", "forget", "n2", fails="no node called 'n2'")


def test_nodes_are_changed_by_administrators_only(owner):
    make_node("n1")
    manage("nodes", "drain", "n1", "--user", "alice", fails="Only administrators")


def test_limits_are_set_listed_and_removed(administrator, owner):
    manage("limits", "set", "--everyone", "--running", 4)
    manage("limits", "set", "--of", "alice", "--running", 1, "--active", 9)
    assert Limit.objects.get(user=owner).max_active == 9
    told = json.loads(manage("limits", "list", "--json")[0])
    assert {(row["user"], row["max_running"]) for row in told} == {(None, 4), ("alice", 1)}
    assert "Limit of alice" in manage("limits", "list")[0]
    assert manage("limits")[0] == manage("limits", "list")[0]
    manage("limits", "remove", "--of", "alice")
    assert Limit.objects.get().user is None


def test_limits_that_make_no_sense_are_refused(administrator, owner):
    manage("limits", "set", "--of", "nobody", "--running", 1, fails="no user called 'nobody'")
    manage("limits", "set", "--subject", 9, "--running", 1, fails="no subject 9")
    manage("limits", "set", "--everyone", fails="--running or --active")
    manage("limits", "set", "--everyone", "--running", "many", fails="whole number")
    manage("limits", "set", "--running", 1, fails="required")
    manage("limits", "set", "--of", "alice", "--running", 1, "--user", "alice", fails="Only administrators")
    assert set_limit(administrator, max_running=1).max_running == 1
