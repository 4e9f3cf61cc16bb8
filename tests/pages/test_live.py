"""What open pages are told: the same parts that the pages have, only when they changed."""

import json
import re

import pytest
from django.utils import timezone

from common.errors import NotFoundError
from datasets.items.edits import edit_items
from datasets.live import DatasetSource
from jobs import control, live
from jobs.live import DashboardSource, JobSource, MonitorSource, NodeSource, NodesSource, QueueSource
from jobs.models import Attempt, Job, MetricSeries, Node, ProgressRow, Slot
from tests.world import make_dataset, make_job


def run(job, **columns):
    """As a worker leaves a running job."""
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(
        status="running", phase="training", attempt_started_at=now, started_at=now, attempt_number=1, total_steps=1000,
        **columns,
    )  # fmt: skip
    who = {"host": "h", "boot_id": "b", "supervisor_pid": 1, "supervisor_start": 1}
    Attempt.objects.get_or_create(job=job, number=1, defaults=who | {"started_at": now, "lease_until": now})


def report(job, first, last, name="train/loss"):
    series, _ = MetricSeries.objects.get_or_create(job=job, name=name)
    now = timezone.now()
    ProgressRow.objects.bulk_create(
        ProgressRow(series=series, step=step, value=1 / step, recorded_at=now) for step in range(first, last + 1)
    )


def targets(messages):
    """The elements that the messages' HTML goes to."""
    return set(re.findall(r'hx-target="#([\w-]+)"', "".join(m.data for m in messages if m.event is None)))


def points(messages):
    return [json.loads(message.data) for message in messages if message.event == "points"]


def test_every_part_that_is_sent_has_its_element_on_the_page(page, owner, world, node):
    make_job(owner)
    cases = {
        f"/jobs/{world.job.pk}": JobSource.open(owner, str(world.job.pk), {}),
        "/": DashboardSource.open(owner, "me", {}),
        "/monitor": MonitorSource.open(owner, "me", {}),
        "/queue": QueueSource.open(owner, "me", {}),
        "/nodes": NodesSource.open(owner, "me", {}),
        f"/nodes/{node.name}": NodeSource.open(owner, str(node.pk), {}),
        f"/datasets/{world.dataset.pk}": DatasetSource.open(owner, str(world.dataset.pk), {}),
    }
    for address, source in cases.items():
        html = page.get(address).content.decode()
        sent = targets(source.snapshot())
        assert sent, address
        for target in sent:
            assert f'id="{target}"' in html, (address, target)


def test_a_source_says_nothing_while_nothing_changed(owner, world):
    make_job(owner)
    for source in (QueueSource(owner), MonitorSource(owner), DashboardSource(owner), DatasetSource(world.dataset)):
        source.snapshot()
        assert source.update() == [], source
    source = JobSource.open(owner, str(world.job.pk), {})
    source.snapshot()
    assert source.update() == []


def test_a_jobs_progress_travels_as_one_part_and_its_new_points(owner):
    job = make_job(owner)
    run(job, current_step=10, current_loss=2.5)
    report(job, 1, 10)
    source = JobSource.open(owner, str(job.pk), {})
    source.snapshot()
    run(job, current_step=12, current_loss=2.25)
    report(job, 11, 12)
    messages = source.update()
    assert targets(messages) == {"job-progress", "chart-summary"}
    assert "2.25" in messages[0].data
    assert points(messages) == [{"train/loss": [[11, 12], [1 / 11, 1 / 12]]}]
    assert points(source.update()) == []


def test_a_burst_of_points_is_thinned(owner):
    job = make_job(owner)
    run(job, current_step=1)
    report(job, 1, 1)
    source = JobSource.open(owner, str(job.pk), {})
    source.snapshot()
    report(job, 2, 5000)
    sent = points(source.update())[0]["train/loss"]
    assert len(sent[0]) <= 200
    assert sent[0][0] == 2 and sent[0][-1] == 5000


def test_a_change_of_state_moves_header_actions_and_events(owner):
    job = make_job(owner)
    source = JobSource.open(owner, str(job.pk), {})
    source.snapshot()
    control.pause(job, owner)
    messages = source.update()
    assert {"job-header", "job-events", "job-progress"} <= targets(messages)
    assert "resume-job" in messages[0].data


def test_what_a_job_waits_for_follows_other_peoples_jobs_and_nodes(owner, stranger, monkeypatch):
    """Neither says anything to these pages, so they look by themselves."""
    monkeypatch.setattr(live, "REASONS_SECONDS", 0.0)
    other, job = make_job(stranger, priority=100), make_job(owner)
    now = timezone.now()
    node = Node.objects.create(name="one", host="one", started_at=now, heartbeat_at=now)
    Slot.objects.create(node=node, index=0, device="cpu", queue="slot.one.0")
    sources = {
        "job-note": JobSource.open(owner, str(job.pk), {}),
        "monitor": MonitorSource(owner),
        "dash-waiting": DashboardSource(owner),
    }
    for target, source in sources.items():
        assert "1 job before it" in source.snapshot()[0].data, target
        assert source.update() == []
    control.cancel(other, stranger)
    for target, source in sources.items():
        assert "a worker takes it at once" in next(iter(source.update())).data, target
    Node.objects.update(draining=True)
    for target, source in sources.items():
        messages = source.update()
        assert target in targets(messages) and "it is being drained" in messages[0].data, target
        assert source.rhythm <= 10


def test_text_of_a_trainer_is_only_ever_text(owner):
    job = make_job(owner, name='<script>alert(1)</script>"')
    run(job, sample="<img src=x onerror=alert(1)>")
    source = JobSource.open(owner, str(job.pk), {})
    html = "".join(message.data for message in source.snapshot())
    assert "<script>" not in html and "<img" not in html


def test_on_the_monitor_only_the_card_that_moved_is_sent(owner):
    first, second = make_job(owner, name="One"), make_job(owner, name="Two")
    run(first, current_step=1)
    run(second, current_step=1)
    source = MonitorSource(owner)
    source.snapshot()
    Job.objects.filter(pk=first.pk).update(current_step=2)
    assert targets(source.update()) == {f"card-{first.pk}"}
    control.cancel(second, owner)
    assert "monitor" in targets(source.update())


def test_progress_of_others_does_not_redraw_the_queue(owner, stranger):
    other = make_job(stranger)
    make_job(owner)
    source = QueueSource(owner)
    source.snapshot()
    assert source.update() == []
    control.cancel(other, stranger)
    assert targets(source.update()) == {"queue-figures", "queue-line"}


def test_streams_of_others_do_not_exist(owner, stranger, world):
    for source, key in ((JobSource, world.job.pk), (DatasetSource, world.dataset.pk)):
        with pytest.raises(NotFoundError):
            source.open(stranger, str(key), {})
    for source in (MonitorSource, QueueSource, DashboardSource):
        with pytest.raises(NotFoundError):
            source.open(owner, str(stranger.pk), {})
    assert MonitorSource(owner).channel != MonitorSource(stranger).channel


def test_a_datasets_page_asks_for_its_items_when_an_import_has_ended(owner):
    dataset = make_dataset(owner)
    source = DatasetSource(dataset)
    source.snapshot()
    dataset.item_count += 1
    dataset.save(update_fields=["item_count"])
    assert [message.event for message in source.update()] == [None, "items"]


def test_what_a_screen_reader_hears_changes_at_each_tenth_only(owner):
    job = make_job(owner)
    run(job, current_step=410)
    source = JobSource.open(owner, str(job.pk), {})
    source.snapshot()
    Job.objects.filter(pk=job.pk).update(current_step=420)
    assert "job-spoken" not in targets(source.update())
    Job.objects.filter(pk=job.pk).update(current_step=500)
    messages = source.update()
    assert "job-spoken" in targets(messages) and "50 percent" in messages[0].data


def test_classes_follow_an_import(owner, world):
    source = DatasetSource(world.dataset)
    source.snapshot()
    edit_items(world.dataset, owner, world.dataset.items.filter(label=""), field="label", value="owls")
    messages = source.update()
    assert targets(messages) == {"dataset-classes", "dataset-edits"} and "owls" in messages[0].data
