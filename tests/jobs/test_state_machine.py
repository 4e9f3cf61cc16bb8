"""Verbs, workers, deaths and sweeps in any order, against a simple model; then many of them at the same moment.

The examples are the same each time. To look further, with others and for longer:

    HYPOTHESIS_EXAMPLES=2000 .venv/bin/python -m pytest tests/jobs/test_state_machine.py

which prints how to repeat an example that failed.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from common.errors import ConflictError, InvalidInputError, ProblemError
from engine.launch import boot_id, start_time_of
from jobs import conclusion, nodes
from jobs.conclusion import Ended, Ending
from jobs.control import VERBS, change
from jobs.creation import create_job
from jobs.lifecycle import StaleAttemptError
from jobs.models import Attempt, Job, Limit, Node, Slot
from jobs.places import ORDER
from jobs.preemption import make_room
from jobs.progress import ProgressWriter, renew_lease
from jobs.queue import Owner, claim
from jobs.recovery import release_lost
from jobs.states import ACTIVE, REQUEST_RANK, TERMINAL
from jobs.sweep import knock_where_work_waits
from jobs.waiting import release_due
from registry.models import Model
from tests.jobs.invariants import check_all

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))
PROFILE = settings(
    max_examples=EXAMPLES or 20,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),  # looking for a shorter one takes minutes
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
FEW = 5  # jobs of an example: with many, most of what is done meets no other
MOST = 5  # attempts in a row that may get nowhere
UNWELL = {"failed", "cancelled"}
# How a trainer may end, as its supervisor hands it on.
ENDS = {
    "completed": Ending(Ended(code=0), {"event": "completed", "step": 9, "metrics": {}, "artifact": []}),
    "paused": Ending(Ended(code=3), {"event": "paused", "step": 1}),
    "stopped": Ending(Ended(code=5), {"event": "stopped", "step": 1}),
    "cancelled": Ending(Ended(code=4), {"event": "cancelled", "step": 1}),
    "code": Ending(Ended(code=1), {"event": "failed", "code": "CODE_ERROR", "message": "no", "hint": "", "step": 1}),
    "disk": Ending(Ended(code=1), {"event": "failed", "code": "DISK_FULL", "message": "full", "hint": "", "step": 1}),
    "killed": Ending(Ended(signal=9)),
    "crashed": Ending(Ended(signal=11)),
    "left": Ending(Ended(code=7)),
    "oom": Ending(Ended(signal=9, oom=True)),
    "overdue": Ending(Ended(signal=9), overdue=True),
    "limit": Ending(Ended(signal=9), limit=conclusion.Limited("TIME_LIMIT", "too long", "")),
}
GOT_NOWHERE = {"disk", "killed", "crashed", "left", "lost"}


def here() -> Owner:
    return Owner(socket.gethostname(), boot_id(), os.getpid(), start_time_of(os.getpid()) or 0)


def report(job_id: int, number: int, *, step: int | None = None, checkpoint: int | None = None) -> None:
    """What a supervisor writes for its attempt."""
    attempt = Attempt.objects.select_related("job").get(job_id=job_id, number=number)
    writer = ProgressWriter(attempt.job, number, attempt.flushes)
    if step is not None:
        writer.step({"event": "step", "step": step, "epoch": 0.1, "time": 1e9 + step, "metrics": {"train/loss": 1.0}})
    if checkpoint is not None:
        writer.checkpoint({"event": "checkpoint", "step": checkpoint, "name": f"step-{checkpoint:08d}", "bytes": 1})
    writer.log("a line")
    writer.flush()


@dataclass
class Expected:
    """What the model knows of one job."""

    pk: int
    owner: int
    request: dict
    status: str
    model: int | None = None
    number: int = 0
    wish: str = ""
    wasted: int = 0
    step: int = 0
    later: bool = False
    needs: list[int] = field(default_factory=list)
    after_failure: str = "cancel"
    checkpoints: set[int] = field(default_factory=set)

    def leave_running(self, to: str) -> None:
        self.status, self.wish = to, ""
        if to in TERMINAL or to == "queued":
            self.later = False


class Verbs(RuleBasedStateMachine):
    """Everything in one transaction, which is taken back at the end of an example."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        people = get_user_model().objects
        self.users = [people.create_user(name, f"{name}@example.org", "x") for name in ("ann", "bob")]
        self.staff = people.create_superuser("root", "root@example.org", "x")
        self.models = [Model.objects.create(owner=self.users[0], name=name, recipe="simulate") for name in "pq"]
        self.slots = []
        now = timezone.now()
        for name, count in (("n1", 2), ("n2", 1)):
            node = Node.objects.create(name=name, host=name, started_at=now, heartbeat_at=now)
            self.slots += [
                Slot.objects.create(node=node, index=index, device="cpu", queue=f"{name}.{index}")
                for index in range(count)
            ]
        self.jobs: dict[int, Expected] = {}
        self.most: int | None = None  # running jobs of each user

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    # Asking for jobs

    @precondition(lambda self: len(self.jobs) < FEW)
    @rule(
        who=st.integers(0, 1), priority=st.sampled_from([0, 0, 5]), devices=st.sampled_from([1, 1, 1, 2]),
        preemptible=st.booleans(), later=st.sampled_from([False, False, True]), after=st.integers(0, 4),
        after_failure=st.sampled_from(["cancel", "wait", "run"]), model=st.sampled_from([None, None, 0, 1]),
    )  # fmt: skip
    def submit(self, who, priority, devices, preemptible, later, after, after_failure, model):
        own = [pk for pk, job in self.jobs.items() if job.owner == who]
        needs = [own[after]] if after < len(own) else []
        request = {
            "recipe": "simulate", "priority": priority, "preemptible": preemptible, "after_failure": after_failure,
            "resources": {"devices": devices}, "idempotency_key": f"key {len(self.jobs)}",
            "not_before": timezone.now() + timedelta(days=1) if later else None,
            "after": [Job.objects.get(pk=pk) for pk in needs],
            "model": self.models[model] if model is not None and who == 0 else None,
        }  # fmt: skip
        model = model if who == 0 else None
        unwell = any(self.jobs[pk].status in UNWELL for pk in needs)
        busy = self._active_of(model)
        try:
            job, made = create_job(self.users[who], **request)
        except InvalidInputError:
            assert unwell and after_failure == "cancel"
            return
        except ConflictError as refusal:
            assert busy and (refusal.extra["job"], refusal.extra["job_status"]) == (busy.pk, busy.status)
            return
        assert made and not busy and not (unwell and after_failure == "cancel")
        found = Expected(job.pk, who, request, "", model, later=later, needs=needs, after_failure=after_failure)
        found.status = "pending" if self._held_back(found) else "queued"
        self.jobs[job.pk] = found

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 30))
    def submit_again(self, which):
        job = self._pick(which)
        again, made = create_job(self.users[job.owner], **job.request)
        assert (again.pk, made) == (job.pk, False)

    @rule(most=st.sampled_from([None, 1, 2]))
    def limit_users(self, most):
        Limit.objects.update_or_create(user=None, subject=None, defaults={"max_running": most})
        self.most = most

    # Workers

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 2))
    def claim(self, which):
        slot = Slot.objects.select_related("node").get(pk=self.slots[which].pk)
        free, open_node = slot.held_by_id is None, not slot.node.draining
        queue = [
            self.jobs[pk] for pk in Job.objects.filter(status="queued").order_by(*ORDER).values_list("pk", flat=True)
        ]
        may = [job for job in queue if self.most is None or self._running_of(job.owner) < self.most]
        attempt = claim(slot, here())
        if not free or not open_node or not may:
            assert attempt is None
            return
        alone = all(job.request["resources"]["devices"] == 1 for job in may)
        if attempt is None:
            assert not alone
            return
        job = self.jobs[attempt.job_id]
        assert job in may and attempt.number == job.number + 1
        if alone:
            assert job is may[0]
        job.status, job.number, job.later = "running", attempt.number, False
        if job.number > 1:  # its trainer goes on from the newest checkpoint
            job.step = max((step for step in job.checkpoints if step <= job.step), default=0)
            job.checkpoints = {step for step in job.checkpoints if step <= job.step}
            ProgressWriter(Job.objects.get(pk=job.pk), job.number, 0).rewind(job.step)

    @precondition(lambda self: self._with("running"))
    @rule(which=st.integers(0, 30), steps=st.integers(1, 5), checkpoint=st.booleans(), renew=st.booleans())
    def work(self, which, steps, checkpoint, renew):
        job = self._pick(which, "running")
        if renew:
            renew_lease(job.pk, job.number)
        report(job.pk, job.number, step=job.step + steps, checkpoint=job.step + steps if checkpoint else None)
        job.step += steps
        if checkpoint:
            job.wasted = 0
            job.checkpoints.add(job.step)

    @precondition(lambda self: self._with("running"))
    @rule(which=st.integers(0, 30), how=st.sampled_from(sorted(ENDS)), twice=st.booleans())
    def finish(self, which, how, twice):
        job = self._pick(which, "running")
        for _ in range(1 + twice):
            conclusion.conclude(job.pk, job.number, ENDS[how])
        self._end(job, how)
        if how == "completed":
            job.step = 9

    @precondition(lambda self: self._with("running"))
    @rule(which=st.integers(0, 30), lapses=st.booleans())
    def worker_dies(self, which, lapses):
        job = self._pick(which, "running")
        attempt = Attempt.objects.filter(job_id=job.pk, number=job.number)
        if lapses:
            attempt.update(lease_until=timezone.now() - timedelta(seconds=1), host="elsewhere")
        else:
            attempt.update(supervisor_start=F("supervisor_start") - 1)
        assert release_lost() == 1
        self._end(job, "lost")

    @precondition(lambda self: any(job.number > (job.status == "running") for job in self.jobs.values()))
    @rule(which=st.integers(0, 30), how=st.sampled_from(sorted(ENDS)), back=st.integers(0, 3))
    def zombie(self, which, how, back):
        """A supervisor that lost its job, or ended it before, wakes up: nothing that it does counts."""
        old = [job for job in self.jobs.values() if job.number > (job.status == "running")]
        job = old[which % len(old)]
        number = max(1, job.number - (job.status == "running") - back)
        before = Job.objects.filter(pk=job.pk).values().get()
        for act in (
            lambda: report(job.pk, number, step=10_000, checkpoint=10_000),
            lambda: renew_lease(job.pk, number),
            lambda: ProgressWriter(Job.objects.get(pk=job.pk), number).rewind(0),
            lambda: conclusion.fail(job.pk, number, code="CODE_ERROR", message="too late"),
            lambda: conclusion.requeue(job.pk, number, Attempt.Outcome.LOST, "too late"),
        ):
            with pytest.raises(StaleAttemptError), transaction.atomic():
                act()
        conclusion.conclude(job.pk, number, ENDS[how])  # its end is written already: nothing to do
        assert Job.objects.filter(pk=job.pk).values().get() == before

    # People

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 30), verb=st.sampled_from(sorted(VERBS)), staff=st.booleans(), twice=st.booleans())
    def ask(self, which, verb, staff, twice):
        job = self._pick(which)
        row = Job.objects.get(pk=job.pk)
        last = row.events.order_by("sequence").last().kind
        expected = self._asked(job, verb, last, row.interrupted)
        try:
            VERBS[verb](row, self.staff if staff else self.users[job.owner])
        except ConflictError as refusal:
            assert not expected, (verb, job.status, str(refusal))
            return
        assert expected, (verb, job.status)
        if twice and verb not in {"cancel", "up", "down", "top"}:
            events = Job.objects.get(pk=job.pk).event_count
            VERBS[verb](row, self.users[job.owner])
            assert Job.objects.get(pk=job.pk).event_count == events

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 30), priority=st.integers(-2, 8))
    def change_priority(self, which, priority):
        job = self._pick(which)
        before = Job.objects.get(pk=job.pk).priority
        try:
            change(Job.objects.get(pk=job.pk), self.users[job.owner], priority=priority)
        except ConflictError:
            assert job.status in TERMINAL and priority != before
            return
        assert Job.objects.get(pk=job.pk).priority == priority

    # Time and sweeps

    @rule()
    def time_passes(self):
        Job.objects.exclude(not_before=None).update(not_before=timezone.now() - timedelta(seconds=1))
        for job in self.jobs.values():
            job.later = False
        self.sweep()

    @rule()
    def sweep(self):
        assert release_lost() == 0
        while release_due():
            pass
        moved = True
        while moved:
            moved = False
            for job in self._with("pending"):
                if job.after_failure == "cancel" and any(self.jobs[pk].status in UNWELL for pk in job.needs):
                    job.leave_running("cancelled")
                    moved = True
                elif not self._held_back(job):
                    job.leave_running("queued")
                    moved = True

    @rule()
    def let_give_way(self):
        queued = Job.objects.filter(status="queued").values_list("priority", flat=True)
        highest = max(queued, default=-10_000)
        before = {job.pk: job.wish for job in self._with("running")}
        asked = make_room()
        for row in Job.objects.filter(status="running"):
            if row.request != before[row.pk]:
                assert row.request == "preempt" and row.preemptible and row.priority < highest
                self.jobs[row.pk].wish = "preempt"
                asked -= 1
        assert asked == 0

    @rule(which=st.integers(0, 1), drains=st.booleans())
    def drain_or_resume_a_node(self, which, drains):
        node = Node.objects.get(name=f"n{which + 1}")
        (nodes.drain if drains else nodes.resume)(node, self.staff)

    # What must hold after each of them

    @invariant()
    def the_model_is_what_the_database_says(self):
        with connection.cursor() as cursor:  # limits of transactions that are long over outside of a test
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL lock_timeout = 0")
        for row in Job.objects.all():
            job = self.jobs[row.pk]
            model = (job.status, job.number, job.wish, job.wasted, job.step)
            found = (row.status, row.attempt_number, row.request, row.attempts_since_progress, row.current_step)
            assert found == model, (row.pk, found, model)

    @invariant()
    def rules_hold(self):
        check_all()

    # The model

    def _with(self, *statuses):
        return [job for job in self.jobs.values() if job.status in statuses]

    def _pick(self, which, *statuses):
        found = self._with(*statuses) if statuses else list(self.jobs.values())
        return found[which % len(found)]

    def _running_of(self, owner):
        return sum(job.owner == owner for job in self._with("running"))

    def _active_of(self, model):
        found = [job for job in self.jobs.values() if job.model == model and job.status in ACTIVE]
        return found[0] if found and model is not None else None

    def _held_back(self, job):
        states = [self.jobs[pk].status for pk in job.needs]
        waits = job.after_failure == "wait" and any(state in UNWELL for state in states)
        return job.later or waits or any(state in ACTIVE for state in states)

    def _without_hope(self, job):
        return job.after_failure == "cancel" and any(self.jobs[pk].status in UNWELL for pk in job.needs)

    def _end(self, job, how):
        wish = job.wish
        if how == "completed":
            job.leave_running("completed")
        elif how == "cancelled" or wish == "cancel":
            job.leave_running("cancelled")
        elif how in {"code", "oom", "limit"}:
            job.leave_running("failed")
        elif how == "paused":
            job.leave_running("paused")
        elif how in {"stopped", "overdue"}:
            job.leave_running("paused" if wish == "pause" else "queued")
        elif job.wasted + 1 >= MOST:
            job.leave_running("failed")
        else:
            job.wasted += 1
            waits = job.wasted > 1 or how == "disk"
            job.leave_running("paused" if wish == "pause" else "pending" if waits else "queued")
            job.later = job.status == "pending"

    def _asked(self, job, verb, last, interrupted):
        """Carry a verb out on the model; False when it is to be refused."""
        if verb in {"up", "down", "top"}:
            return job.status == "queued" and not interrupted
        waits = job.status in {"queued", "pending"}
        if job.status == "running":
            if verb not in {"pause", "cancel", "checkpoint"}:
                return False
            job.wish = max(job.wish, verb, key=lambda wish: REQUEST_RANK[wish])
            return True
        if verb == "cancel" and job.status in ACTIVE:
            job.leave_running("cancelled")
            return True
        if verb == "pause" and job.status in ACTIVE:
            job.status = "paused"
            return True
        if waits and {"resumed": "resume", "retried": "retry", "released": "start_now"}.get(last) == verb:
            return True
        if verb == "start_now" and job.status == "pending":
            job.needs = []
            job.leave_running("queued")
            return True
        if verb == "resume" and job.status == "paused" and not self._without_hope(job):
            job.status = "pending" if self._held_back(job) else "queued"
            job.later = job.later and job.status == "pending"
            return True
        if verb == "retry" and job.status in UNWELL and not self._without_hope(job) and not self._active_of(job.model):
            job.step = 0 if job.status == "cancelled" else job.step
            job.wasted = 0
            job.status = "pending" if self._held_back(job) else "queued"
            return True
        return False


@pytest.mark.django_db
def test_any_order_of_verbs_deaths_and_sweeps_agrees_with_the_model(settings):
    settings.RETRY_DELAYS = (0.0, 3600.0)  # a wait ends when the test says so
    settings.NODE_FAILURES = 0
    settings.LEASE_SECONDS = 3600.0
    run_state_machine_as_test(Verbs, settings=PROFILE)


class Crowd:
    """Threads on connections of their own, each of which does something at random to any of the same few jobs."""

    def __init__(self, seed: int, users, staff, slots) -> None:
        self.seed, self.users, self.staff, self.slots = seed, users, staff, slots
        self.surprises: list[BaseException] = []

    def run(self, threads: int, acts: int) -> None:
        crowd = [threading.Thread(target=self._act, args=(number, acts)) for number in range(threads)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        assert not self.surprises, (self.seed, self.surprises)

    def _act(self, number: int, acts: int) -> None:
        order = random.Random(self.seed * 100 + number)
        try:
            for _ in range(acts):
                try:
                    self._one(order)
                except (ProblemError, StaleAttemptError):
                    pass  # someone was faster
        except BaseException as error:
            self.surprises.append(error)
        finally:
            connection.close()

    def _one(self, order: random.Random) -> None:
        attempts = list(Attempt.objects.values_list("job_id", "number").order_by("-id")[:6])
        act = order.choice(["verb"] * 4 + ["claim"] * 4 + ["finish"] * 3 + ["work"] * 3 + ["sweep", "submit", "die"])
        if act == "claim":
            claim(Slot.objects.select_related("node").get(pk=order.choice(self.slots).pk), here())
        elif act == "verb":
            VERBS[order.choice(sorted(VERBS))](order.choice(Job.objects.all()), order.choice([*self.users, self.staff]))
        elif act == "submit":
            key = f"{self.seed} {order.randrange(6)}"
            create_job(self.users[0], recipe="simulate", idempotency_key=key, resources={"devices": len(key) % 2 + 1})
        elif act == "sweep":
            Job.objects.exclude(not_before=None).update(not_before=timezone.now())
            for sweep in (release_due, knock_where_work_waits, make_room, release_lost):
                sweep()
        elif attempts:
            job_id, number = order.choice(attempts)
            if act == "work":
                step = order.randrange(100)
                report(job_id, number, step=step, checkpoint=step if step % 3 == 0 else None)
            elif act == "die":
                Attempt.objects.filter(job_id=job_id, number=number).update(supervisor_start=1)
                release_lost()
            else:
                conclusion.conclude(job_id, number, ENDS[order.choice(sorted(ENDS))])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(max(6, EXAMPLES // 20)))
def test_many_at_the_same_moment_leave_legal_states_and_whole_stories(settings, django_user_model, seed):
    settings.RETRY_DELAYS = (0.0, 3600.0)
    users = [django_user_model.objects.create_user(name, password="x") for name in ("ann", "bob")]
    staff = django_user_model.objects.create_superuser("root", "root@example.org", "x")
    now = timezone.now()
    node = Node.objects.create(name="n", host="n", started_at=now, heartbeat_at=now)
    slots = [Slot.objects.create(node=node, index=index, device="cpu", queue=f"n.{index}") for index in range(3)]
    Limit.objects.create(user=users[1], max_running=1)
    for number in range(4):
        create_job(users[number % 2], recipe="simulate", priority=number % 2 * 5, preemptible=number < 2)
    Crowd(seed, users, staff, slots).run(threads=8, acts=12)
    check_all()
    assert Job.objects.filter(owner=users[1], status="running").count() <= 1


@pytest.mark.django_db(transaction=True)
def test_fifty_people_and_a_supervisor_that_ends_in_the_middle_leave_one_legal_state(running, owner):
    """Pause, resume and cancel, fifty times at once on one running job."""
    starts = threading.Barrier(51)
    answers: list[str] = []
    surprises: list[BaseException] = []

    def press(verb: str) -> None:
        try:
            starts.wait()
            VERBS[verb](running.job, owner)
            answers.append(verb)
        except ConflictError as refusal:
            assert refusal.extra["job_status"] in {"running", "paused", "queued", "pending", "cancelled"}
            answers.append("refused")
        except BaseException as error:
            surprises.append(error)
        finally:
            connection.close()

    def supervise() -> None:
        """As the real one: obey the request that is found with a batch of progress."""
        try:
            starts.wait()
            writer = ProgressWriter(running.job, 1)
            wish = ""
            while wish not in {"pause", "cancel"}:
                writer.log("at work")
                wish = writer.flush()
            conclusion.conclude(running.job_id, 1, ENDS["paused" if wish == "pause" else "cancelled"])
        except BaseException as error:
            surprises.append(error)
        finally:
            connection.close()

    verbs = [*["pause", "resume", "cancel"] * 16, "pause", "cancel"]
    crowd = [threading.Thread(target=press, args=(verb,)) for verb in verbs] + [threading.Thread(target=supervise)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not surprises
    assert len(answers) == 50
    check_all()
    job = Job.objects.get(pk=running.job_id)
    assert job.status == "cancelled"  # somebody asked for that, and it stands
    kinds = list(job.events.order_by("sequence").values_list("kind", flat=True))
    assert kinds.count("cancelled") == 1
    assert kinds.count("pause_requested") <= 1 and kinds.count("cancel_requested") <= 1
