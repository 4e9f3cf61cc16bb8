"""Schedules make one job at each of their times, whatever happens to nodes and clocks (R-13), and say why when not."""

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from django_q.models import OrmQ

from common.background import QUEUE
from common.errors import ConflictError, InvalidInputError, NotFoundError
from datasets.intake.imports import receive, run_import
from jobs import blueprints, control, firing, schedules
from jobs.firing import FAILURES_ALLOWED, fire_due
from jobs.limits import set_limit
from jobs.models import Job, Schedule
from jobs.tasks import serve_schedule
from tests.world import Upload, make_dataset, make_job, make_version

HOURLY = {"kind": "every", "minutes": 60}
AT_NIGHT = {"kind": "daily", "at": "02:30"}
SIMULATE = {"recipe": "simulate", "config": {"steps": 5}}


@pytest.fixture
def clock(db):
    """Sets the database's clock to a moment; it stands still there."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA clock")
        for function in ("now", "statement_timestamp"):
            cursor.execute(
                f"CREATE FUNCTION clock.{function}() RETURNS timestamptz LANGUAGE sql STABLE AS "
                "$$ SELECT current_setting('clock.at')::timestamptz $$"
            )
        cursor.execute("SET LOCAL search_path = clock, public, pg_catalog")

    def set_to(moment):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('clock.at', %s, true)", [moment.isoformat()])

    return set_to


def make_schedule(owner, rule=HOURLY, zone="UTC", **wanted):
    return schedules.create(owner, **{"name": "Nightly", "rule": rule, "zone": zone, "request": SIMULATE, **wanted})


def make_due(schedule, ago=timedelta(seconds=1)):
    """As if its time had come a while ago."""
    Schedule.objects.filter(pk=schedule.pk).update(next_at=timezone.now() - ago)
    schedule.refresh_from_db()


def kinds(schedule):
    return list(schedule.events.order_by("id").values_list("kind", flat=True))


def end(job):
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at=timezone.now(), phase="")


POSITIONS = [
    (zone, datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + hours)
    for zone, days in {
        "Europe/Berlin": ("2026-10-25", "2026-03-29"), "America/New_York": ("2026-11-01", "2026-03-08"),
    }.items()
    for day in days
    for hours in [timedelta(hours=hour) for hour in (-25, -23, -12, -1, 0, 1, 1.5, 2, 2.4, 2.6, 3, 3.5, 12)]
][:50]  # fmt: skip


@pytest.mark.parametrize(("zone", "stopped"), POSITIONS)
def test_R13_a_day_without_a_node_makes_one_job_and_a_changed_clock_none(owner, clock, zone, stopped):
    clock(stopped)
    schedule = make_schedule(owner, AT_NIGHT, zone, overlap="queue")
    back = stopped + timedelta(hours=25)
    clock(back)
    assert [fire_due() for _ in range(3)] == [1, 0, 0]
    due = Job.objects.get().scheduled_for
    assert due <= back
    for elsewhere in (back - timedelta(hours=2), datetime(1970, 1, 1, tzinfo=UTC), back + timedelta(minutes=1)):
        clock(elsewhere)
        fire_due()
    schedule.refresh_from_db()
    local = schedule.next_at.astimezone(ZoneInfo(zone))
    # A clock that runs further may reach the next night; it is served then, not before.
    passed = elsewhere.astimezone(ZoneInfo(zone)) >= local
    assert Job.objects.count() == 1 + passed
    assert local.date() > due.astimezone(ZoneInfo(zone)).date()


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Europe/Berlin", "2026-10-25", "02:30"),
        ("Europe/Berlin", "2026-03-29", "02:30"),
        ("America/New_York", "2026-11-01", "01:30"),
        ("America/New_York", "2026-03-08", "02:30"),
    ],
)
def test_R13_a_day_on_which_the_clocks_change_has_one_job(owner, clock, zone, day, at):
    begun = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    clock(begun)
    make_schedule(owner, {"kind": "daily", "at": at}, zone, overlap="queue")
    served = 0
    for minutes in range(0, 23 * 60, 10):
        clock(begun + timedelta(minutes=minutes))
        served += fire_due() + fire_due()
    assert served == Job.objects.count() == 1


def test_one_job_stands_for_all_times_that_were_missed(owner):
    schedule = make_schedule(owner, HOURLY | {"from": "2026-01-01T00:00:00Z"})
    now = timezone.now()
    make_due(schedule, now - now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=24))
    assert fire_due() == 1
    job = Job.objects.get()
    event = job.events.get(kind="scheduled")
    assert f"the schedule {schedule.pk} 'Nightly'" in event.message
    assert "It stands for 24 later times as well" in event.message
    schedule.refresh_from_db()
    assert (schedule.last_job, schedule.runs) == (job, 1)
    assert timezone.now() < schedule.next_at <= timezone.now() + timedelta(hours=1)
    assert kinds(schedule) == ["created", "started"]


@pytest.mark.django_db(transaction=True)
def test_two_nodes_at_once_make_one_job(owner):
    made = [make_schedule(owner, name=f"Nightly {n}", overlap="queue") for n in range(5)]
    for schedule in made:
        make_due(schedule)
    ready, served = threading.Barrier(4), []

    def node():
        ready.wait()
        served.append(fire_due())
        connections.close_all()

    threads = [threading.Thread(target=node) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(served) == 5
    assert sorted(Job.objects.values_list("schedule", flat=True)) == [schedule.pk for schedule in made]


@pytest.mark.parametrize("where", ["record", "note"])
def test_a_node_that_dies_between_two_lines_leaves_nothing_half_done(owner, monkeypatch, where):
    schedule = make_schedule(owner)
    make_due(schedule)

    def die(*given, **named):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(schedules, where, die)
        with pytest.raises(SystemExit):
            fire_due()
    before = schedule.next_at
    schedule.refresh_from_db()
    assert schedule.next_at == before
    assert not Job.objects.exists()
    assert fire_due() == 1
    assert Job.objects.count() == 1


def test_the_schema_refuses_a_second_job_for_one_time(owner):
    from django.db import IntegrityError, transaction

    schedule = make_schedule(owner)
    now = timezone.now()
    first, second = make_job(owner), make_job(owner)
    Job.objects.filter(pk=first.pk).update(schedule=schedule, scheduled_for=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=second.pk).update(schedule=schedule, scheduled_for=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Schedule.objects.filter(pk=schedule.pk).update(next_at=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Schedule.objects.filter(pk=schedule.pk).update(request={})


def test_a_time_that_was_served_is_not_served_again_when_the_clock_goes_back(owner, clock):
    start = datetime(2026, 5, 1, tzinfo=UTC)
    clock(start)
    schedule = make_schedule(owner, AT_NIGHT, overlap="queue")
    clock(start + timedelta(hours=3))
    assert fire_due() == 1
    clock(start + timedelta(hours=2))
    schedules.pause(schedule, owner)
    schedules.resume(schedule, owner)
    clock(start + timedelta(hours=3))
    fire_due()
    assert Job.objects.count() == 1
    schedule.refresh_from_db()
    assert "made for this time before" in schedule.last_error
    assert schedule.next_at == start + timedelta(days=1, hours=2, minutes=30)


def test_an_earlier_job_that_has_not_ended_lets_a_time_be_left_out(owner):
    schedule = make_schedule(owner)
    make_due(schedule)
    fire_due()
    first = Job.objects.get()
    make_due(schedule)
    assert fire_due() == 1
    schedule.refresh_from_db()
    assert Job.objects.count() == 1
    assert f"Job {first.pk}" in schedule.last_error
    assert schedule.failures_in_a_row == 0
    end(first)
    make_due(schedule)
    fire_due()
    schedule.refresh_from_db()
    assert Job.objects.count() == 2
    assert schedule.last_error == ""
    assert kinds(schedule) == ["created", "started", "skipped", "started"]


def test_a_schedule_that_queues_makes_a_job_at_each_time(owner):
    schedule = make_schedule(owner, overlap="queue")
    for _ in range(3):
        make_due(schedule)
        fire_due()
    assert schedule.jobs.filter(status="queued").count() == 3


def test_the_data_are_frozen_anew_each_time(owner):
    dataset = make_dataset(owner)
    request = {"recipe": "text-generation", "dataset": dataset.pk, "config": {}}
    schedule = make_schedule(owner, request=request, overlap="queue")
    make_due(schedule)
    fire_due()
    run_import(receive(dataset, owner, [Upload("new.txt", b"One more fable. " * 20)]).pk)
    make_due(schedule)
    fire_due()
    first, second = Job.objects.order_by("pk")
    assert second.dataset_version.dataset_id == dataset.pk
    assert second.dataset_version != first.dataset_version


def test_a_fixed_version_stays_what_it_is(owner):
    dataset = make_dataset(owner)
    job = make_job(owner, recipe="text-generation", dataset=dataset)
    schedule = make_schedule(owner, request=blueprints.of_job(job, newest=False), overlap="queue")
    run_import(receive(dataset, owner, [Upload("new.txt", b"One more fable. " * 20)]).pk)
    make_due(schedule)
    fire_due()
    assert schedule.jobs.get().dataset_version == job.dataset_version


def test_a_request_that_cannot_be_used_is_told_and_in_the_end_switched_off(owner, administrator):
    version = make_version(owner)
    schedule = make_schedule(owner, request={**SIMULATE, "base_version": version.pk})
    version.delete()
    for count in range(1, FAILURES_ALLOWED + 1):
        make_due(schedule)
        assert fire_due() == 1
        schedule.refresh_from_db()
        assert schedule.failures_in_a_row == count
        assert "There is no model version" in schedule.last_error
    assert not schedule.enabled
    assert "Switched off after 5 times" in schedule.last_error
    assert kinds(schedule) == ["created", *["refused"] * 5, "switched_off"]
    assert fire_due() == 0
    schedules.change(schedule, owner, request=SIMULATE)
    schedules.resume(schedule, owner)
    make_due(schedule)
    fire_due()
    schedule.refresh_from_db()
    assert (schedule.failures_in_a_row, schedule.last_error, schedule.runs) == (0, "", 1)


def test_a_limit_that_is_reached_passes_and_switches_nothing_off(owner, administrator):
    set_limit(administrator, user=owner, max_active=0)
    schedule = make_schedule(owner)
    for _ in range(FAILURES_ALLOWED + 1):
        make_due(schedule)
        fire_due()
    schedule.refresh_from_db()
    assert schedule.enabled
    assert "the limit is 0" in schedule.last_error


def test_an_error_of_ours_stops_no_other_schedule(owner, monkeypatch, caplog):
    broken, well = make_schedule(owner, name="Broken"), make_schedule(owner, name="Well")
    start = blueprints.start

    def fail_once(who, kept, now, number, **options):
        if "config" in kept and kept["config"]["steps"] == 7:
            raise RuntimeError("a mistake of ours")
        return start(who, kept, now, number, **options)

    schedules.change(broken, owner, request={"recipe": "simulate", "config": {"steps": 7}})
    monkeypatch.setattr(blueprints, "start", fail_once)
    make_due(broken, timedelta(seconds=9))
    make_due(well)
    assert fire_due() == 2
    broken.refresh_from_db()
    assert "RuntimeError" in broken.last_error
    assert well.jobs.count() == 1


def test_an_account_that_is_switched_off_starts_nothing(owner):
    schedule = make_schedule(owner)
    owner.is_active = False
    owner.save()
    make_due(schedule)
    fire_due()
    schedule.refresh_from_db()
    assert not Job.objects.exists()
    assert "is switched off" in schedule.last_error


def test_a_template_is_used_as_it_is_at_each_time(owner):
    template = blueprints.save(owner, "Small", {**SIMULATE, "name": "Small of {date} #{number}", "priority": 3})
    schedule = make_schedule(owner, template=template, request=None, overlap="queue")
    make_due(schedule)
    fire_due()
    blueprints.change(template, request={**SIMULATE, "config": {"steps": 9}})
    make_due(schedule)
    fire_due()
    first, second = Job.objects.order_by("pk")
    assert first.name == f"Small of {first.scheduled_for:%Y-%m-%d} #1"
    assert (first.priority, second.priority) == (3, 0)
    assert (first.config["steps"], second.config["steps"]) == (5, 9)
    with pytest.raises(ConflictError, match="used by the schedule 'Nightly'"):
        blueprints.delete(template)
    schedules.delete(schedule)
    blueprints.delete(template)
    first.refresh_from_db()
    assert first.schedule is None, "its jobs stay"


def test_pause_and_resume_leave_out_what_passed_meanwhile(owner):
    schedule = make_schedule(owner)
    schedules.pause(schedule, owner)
    paused = schedules.pause(schedule, owner)
    assert (paused.enabled, paused.next_at) == (False, None)
    assert fire_due() == 0
    resumed = schedules.resume(schedule, owner)
    assert resumed.next_at > timezone.now()
    assert kinds(schedule) == ["created", "paused", "resumed"]


def test_run_now_makes_a_job_beside_the_times(owner):
    schedule = make_schedule(owner)
    job = schedules.run_now(schedule, owner)
    after = Schedule.objects.get(pk=schedule.pk)
    assert (after.next_at, after.runs, after.last_job) == (schedule.next_at, 1, job)
    with pytest.raises(ConflictError, match=f"Job {job.pk} of this schedule has not ended"):
        schedules.run_now(schedule, owner)
    control.cancel(job, owner)
    schedules.run_now(schedule, owner)
    assert schedule.jobs.count() == 2


def test_a_changed_rule_counts_from_now(owner):
    schedule = make_schedule(owner)
    changed = schedules.change(schedule, owner, rule=AT_NIGHT, zone="Europe/Berlin", name=" Weekly ")
    assert changed.name == "Weekly"
    assert f"{changed.next_at.astimezone(ZoneInfo('Europe/Berlin')):%H:%M}" == "02:30"
    assert schedules.in_words(changed) == "every day at 02:30, Europe/Berlin"
    times = schedules.next_times(changed)
    assert len(times) == 5
    assert times[0] == changed.next_at


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"request": {"recipe": "unheard-of"}}, InvalidInputError),
        ({"request": {"recipe": "simulate", "config": {"steps": -1}}}, InvalidInputError),
        ({"request": {"recipe": "text-generation"}}, InvalidInputError),
        ({"request": {"recipe": "text-generation", "dataset": 99999}}, NotFoundError),
        ({"request": {"recipe": "simulate", "not_before": "2030-01-01"}}, InvalidInputError),
        ({"request": {"recipe": "simulate", "resources": {"device": "abacus"}}}, InvalidInputError),
        ({"request": None}, InvalidInputError),
        ({"rule": {"kind": "daily"}}, InvalidInputError),
        ({"zone": "Atlantis"}, InvalidInputError),
        ({"overlap": "both"}, InvalidInputError),
        ({"name": " "}, InvalidInputError),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_saved(owner, wanted, error):
    with pytest.raises(error):
        make_schedule(owner, **wanted)
    assert not Schedule.objects.exists()


def test_data_of_someone_else_are_refused_when_it_is_saved(owner, stranger):
    theirs = make_dataset(stranger)
    with pytest.raises(NotFoundError):
        make_schedule(owner, request={"recipe": "text-generation", "dataset": theirs.pk})
    template = blueprints.save(stranger, "Theirs", SIMULATE)
    with pytest.raises(InvalidInputError):
        make_schedule(owner, template=template, request=None)


def test_the_request_of_a_job_makes_the_same_job_again(owner):
    job = make_job(owner, config={"steps": 7}, seed=4, priority=-5, max_seconds=60, resources={"device": "cpu"})
    again = blueprints.start(owner, blueprints.check(owner, blueprints.of_job(job)), timezone.now())
    for field in ("recipe", "config", "seed", "priority", "max_seconds", "resources", "name", "preemptible"):
        assert getattr(again, field) == getattr(job, field), field


def test_the_newest_events_are_kept(owner, monkeypatch):
    monkeypatch.setattr(schedules, "KEPT_EVENTS", 3)
    schedule = make_schedule(owner)
    for _ in range(3):
        schedules.pause(schedule, owner)
        schedules.resume(schedule, owner)
    assert kinds(schedule) == ["resumed", "paused", "resumed"]


def test_more_schedules_than_one_sweep_serves_wait_for_the_next(owner, monkeypatch):
    monkeypatch.setattr(firing, "AT_ONCE", 2)
    for number in range(3):
        make_due(make_schedule(owner, name=f"Nightly {number}"))
    assert [fire_due(), fire_due(), fire_due()] == [2, 1, 0]


def test_a_schedule_that_the_database_refuses_for_now_does_not_keep_others_waiting(owner, monkeypatch):
    monkeypatch.setattr(firing, "AT_ONCE", 1)
    monkeypatch.setattr(firing, "put_off", {})
    stuck, behind = make_schedule(owner, name="Stuck"), make_schedule(owner, name="Behind")
    make_due(stuck, ago=timedelta(seconds=2))
    make_due(behind)
    make = schedules.make_job

    def make_job_unless_stuck(row, **wanted):
        if row.pk == stuck.pk:
            raise OperationalError("canceling statement due to lock timeout")
        return make(row, **wanted)

    monkeypatch.setattr(schedules, "make_job", make_job_unless_stuck)
    assert [fire_due(), fire_due(), fire_due()] == [0, 1, 0]
    assert Job.objects.get().schedule == behind
    monkeypatch.setattr(schedules, "make_job", make)
    firing.put_off[stuck.pk] = 0.0  # its time to wait is over
    assert fire_due() == 1
    assert Job.objects.filter(schedule=stuck).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_large_dataset_is_frozen_by_the_background_worker_not_by_the_node(owner, monkeypatch):
    monkeypatch.setattr(firing, "ITEMS_AT_ONCE", 1)
    monkeypatch.setattr(firing, "put_off", {})
    config = {"steps": 2, "layers": 1, "heads": 1, "width": 8, "block_size": 8, "batch_size": 1}
    request = {"recipe": "text-generation", "dataset": make_dataset(owner).pk, "config": config}
    schedule = make_schedule(owner, request=request)
    make_due(schedule)
    OrmQ.objects.all().delete()
    assert [fire_due(), fire_due()] == [0, 0]
    assert not Job.objects.exists()
    assert OrmQ.objects.filter(key=QUEUE).count() == 1  # asked once, not at each sweep
    assert serve_schedule(schedule.pk) == 1
    assert serve_schedule(schedule.pk) == 0
    assert Job.objects.get().schedule == schedule


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_is_deleted_while_its_job_is_made_leaves_that_job(owner, monkeypatch):
    schedule = make_schedule(owner)
    make_due(schedule)
    made, wait_seen, failed = threading.Event(), threading.Event(), []
    make = schedules.make_job

    def make_and_linger(row, **wanted):
        job = make(row, **wanted)
        made.set()
        wait_seen.wait(4)
        return job

    def in_thread(call, *arguments):
        try:
            call(*arguments)
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    monkeypatch.setattr(schedules, "make_job", make_and_linger)
    node = threading.Thread(target=in_thread, args=(firing.serve, schedule.pk))
    node.start()
    assert made.wait(10)
    person = threading.Thread(target=in_thread, args=(schedules.delete, schedule))
    person.start()
    while person.is_alive() and not _someone_waits():
        pass
    wait_seen.set()
    for thread in (node, person):
        thread.join()
    assert failed == []
    assert Job.objects.get().schedule is None
    assert not Schedule.objects.exists()


def _someone_waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return cursor.fetchone()[0] > 0


def test_a_template_that_someone_deleted_meanwhile_is_told_so(owner):
    template = blueprints.save(owner, "Gone", SIMULATE)
    blueprints.delete(template)
    with pytest.raises(NotFoundError, match="no template"):
        blueprints.change(template, name="Other")
