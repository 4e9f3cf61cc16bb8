"""How long a run will take: by runs of the past, honestly, and compared with what happened."""

from __future__ import annotations

import math
import random

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from datasets.freezing import sizes
from datasets.models import Subject
from jobs import estimates, measurements
from jobs.candidates import candidates
from jobs.estimates import Estimate, interval, work_of
from jobs.measurements import Found
from jobs.models import Attempt, Job
from registry.lineage import origins
from tests.api.conftest import Api
from tests.tables import make_table
from tests.world import make_job, make_version
from trainhub.settings import _prices


def ran(owner, seconds, device="cpu", devices=1, base=None, **config):
    """A completed run of the simulator."""
    return completed(make_job(owner, config={"steps": 100, **config}, base_version=base), seconds, device, devices)


def completed(job, seconds, device="cpu", devices=1):
    """The job after such a run."""
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at=now, queued_at=None, spent_seconds=seconds)
    names = [device if device == "cpu" else f"{device}:{n}" for n in range(devices)]
    Attempt.objects.create(
        job=job, number=1, devices=names, host="h", boot_id="b", supervisor_pid=1, supervisor_start=1, started_at=now,
        lease_until=now, ended_at=now, outcome="completed",
    )  # fmt: skip
    return job


def test_without_a_past_run_there_is_no_number(owner):
    job = make_job(owner)
    assert job.estimate == {"reason": "no past run to compare with", "device": "cpu", "devices": 1}
    assert estimates.compared(job) == "No estimate: no past run to compare with."


def test_the_median_rate_of_alike_runs_times_the_work(owner):
    for seconds in (10, 12, 50):
        ran(owner, seconds)
    job = make_job(owner, config={"steps": 1000})
    assert job.estimate["seconds"] == pytest.approx(120)
    assert job.estimate["low"] < 120 < job.estimate["high"]
    assert job.estimate["runs"] == 3


@pytest.mark.parametrize("other", [{"step_seconds": 0.2}, {"evaluate_every": 7}])
def test_runs_of_another_size_are_not_compared(owner, other):
    ran(owner, 10, **other)
    assert "reason" in make_job(owner, config={"steps": 100}).estimate


def test_runs_on_other_devices_are_not_compared(owner):
    ran(owner, 10, "cuda")
    assert "reason" in make_job(owner, resources={"device": "cpu"}).estimate
    assert make_job(owner, resources={"device": "cuda"}).estimate["seconds"] == pytest.approx(10)
    assert "reason" in make_job(owner, resources={"device": "cuda", "devices": 2}).estimate
    # One that takes what is free is compared with where it ran last.
    assert make_job(owner).estimate["device"] == "cuda"


def test_runs_that_began_from_another_model_are_not_compared(owner):
    large, small = (make_version(owner, name) for name in ("Large", "Small"))
    ran(owner, 1000, base=large)
    assert "reason" in make_job(owner).estimate, "nor with one from scratch"
    assert "reason" in make_job(owner, base_version=small).estimate
    ran(owner, 10, base=small)
    assert make_job(owner, base_version=small).estimate["seconds"] == pytest.approx(10)
    # What was trained on from it is as large as it was.
    follower = make_version(owner, "Follower", base_version=make_version(owner, "Between", base_version=large))
    ran(owner, 1000, base=follower)
    found = make_job(owner, base_version=large).estimate
    assert (found["runs"], found["seconds"]) == (2, pytest.approx(1000))
    ran(owner, 5)
    assert make_job(owner).estimate["seconds"] == pytest.approx(5)


def test_versions_of_one_folder_have_one_base(owner):
    tuned = [make_version(owner, name, config={"base_model": "llama"}) for name in ("A", "B")]
    other = make_version(owner, "C", config={"base_model": "tiny"})
    found = origins([*(version.pk for version in tuned), other.pk])
    assert len({estimates._base(found[version.pk]) for version in tuned}) == 1
    assert estimates._base(found[other.pk]) == "folder tiny"


def machines(owner, rows, **more):
    return make_table(
        owner, f"{rows} rows", [{"speed": list(range(rows)), "power": [n % 9 for n in range(rows)]}], **more
    )


def test_tables_are_compared_by_their_rows_and_not_by_their_files(owner, client):
    small, large = machines(owner, 40), machines(owner, 4000)
    completed(make_job(owner, recipe="anomaly", dataset=small), 3)
    completed(make_job(owner, recipe="anomaly", dataset=large, name="large"), 300)
    for dataset, seconds in ((small, 3), (large, 300)):
        found = make_job(owner, recipe="anomaly", dataset_version=dataset.versions.get(), name=f"{seconds}").estimate
        assert (found["runs"], found["seconds"]) == (1, pytest.approx(seconds))
        about = estimates.about(seconds)
        asked = {"recipe": "anomaly", "dataset": dataset.pk}
        client.force_login(owner)
        assert f"It takes about {about}" in client.get("/jobs/new/expected", asked).content.decode()
        assert Api(owner).post_json("training/estimate", asked).json()["seconds"] == pytest.approx(seconds)


def test_rows_that_were_set_aside_are_not_counted(owner):
    dataset = machines(owner, 40)
    item = dataset.items.get()
    item.facts["aside_rows"] = [[0, 5], [30, 40]]
    item.save()
    assert sizes.rows_of([dataset.pk]) == {dataset.pk: 25}
    assert sizes.of_version(make_job(owner, recipe="anomaly", dataset=dataset).dataset_version) == 25


def test_subjects_with_tables_are_told_by_their_rows(owner):
    subject = Subject.objects.create(owner=owner, name="Mill", kind="machine")
    dataset = machines(owner, 4000, subject=subject)
    completed(make_job(owner, recipe="anomaly", dataset=dataset), 300)
    (found,) = candidates([subject], "anomaly")
    assert found.estimate.seconds == pytest.approx(300)


def test_a_failed_run_says_nothing_of_the_next(owner):
    job = ran(owner, 1)
    Job.objects.filter(pk=job.pk).update(status="failed", failure_code="crashed")
    assert "reason" in make_job(owner).estimate


def test_what_there_is_to_do_is_steps_or_examples_seen():
    assert work_of({"steps": 300, "width": 8}, 50).units == 300
    assert work_of({"epochs": 3, "width": 8}, 50).units == 150
    assert work_of({"steps": 300, "learning_rate": 1}, 5).size == work_of({"steps": 9, "learning_rate": 2}, 7).size
    assert work_of({"epochs": "auto"}, 1000).size == work_of({"epochs": "auto"}, 1100).size
    assert work_of({"epochs": "auto"}, 1000).size != work_of({"epochs": "auto"}, 9000).size
    assert work_of({"steps": 300, "duration": 5.0}, None).units == 1


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_the_middle_lies_in_its_interval(rates):
    middle, low, high = interval(rates)
    assert min(rates) <= middle <= max(rates)
    assert low < middle < high


@pytest.mark.parametrize("spread", [0.02, 0.2, 0.4])
@pytest.mark.parametrize("runs", [1, 2, 5, 20])
def test_most_runs_fall_into_the_interval(spread, runs):
    """Of runs whose time varies by a factor, more than 80 in 100 end within what was said."""
    source = random.Random(runs)
    inside = 0
    for _ in range(1000):
        _, low, high = interval(source.gauss(0, spread) for _ in range(runs))
        inside += low <= source.gauss(0, spread) <= high
    assert inside > 800


def test_the_interval_narrows_as_runs_agree():
    width = [interval([1.0] * runs)[2] - interval([1.0] * runs)[1] for runs in (1, 3, 10, 100)]
    assert width == sorted(width, reverse=True)
    assert math.exp(width[-1] / 2) < 1.2


def test_cost_is_told_where_a_price_is_set(owner, settings):
    settings.DEVICE_HOUR_CURRENCY, settings.DEVICE_HOUR_PRICE = "EUR", {"cuda": 2.5}
    ran(owner, 3600, "cuda", 2)
    job = make_job(owner, resources={"device": "cuda", "devices": 2})
    assert (job.estimate["cost"], job.estimate["currency"], job.estimate["price"]) == (5.0, "EUR", 2.5)
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at=timezone.now(), spent_seconds=4000)
    job.refresh_from_db()
    settings.DEVICE_HOUR_PRICE = {"cuda": 99}  # prices rise; what was said stays
    told = estimates.compared(job)
    assert told.startswith("Expected about 60 min (")
    assert "5.00 EUR; took 67 min and cost 5.56 EUR." in told
    assert "cost" not in make_job(owner, name="cpu", resources={"device": "cpu"}).estimate


def test_words_are_as_coarse_as_the_estimate():
    assert [estimates.about(s) for s in (0.2, 45, 700, 12_600, 7200, 400_000)] == [
        "1 s", "45 s", "12 min", "3.5 h", "2 h", "5 days",
    ]  # fmt: skip
    assert str(Estimate(720, 540, 960, 4)) == "about 12 min (9 min to 16 min)"
    assert estimates.money(0.0123, "EUR") == "0.012 EUR"


def test_prices_are_read_from_the_environment():
    assert _prices("EUR cuda=2.50 cpu=0.05") == ("EUR", {"cuda": 2.5, "cpu": 0.05})
    assert _prices("") == ("", {})
    for wrong in ("EUR", "cuda=x", "tpu=1", "cuda=-1", "cuda=nan"):
        with pytest.raises(ImproperlyConfigured):
            _prices(wrong)


def test_the_page_of_a_job_compares(client, owner):
    ran(owner, 30)
    job = make_job(owner, config={"steps": 100})
    client.force_login(owner)
    assert "Expected about 30 s (" in client.get(f"/jobs/{job.pk}").content.decode()


def test_a_trial_speaks_where_no_run_can_be_compared(owner, settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path
    config = make_job(owner, config={"steps": 1000}).config
    work = work_of(config, None)
    measurements.keep("simulate", work.size, "cpu", 1, Found(0.5, 2 << 30))
    job = make_job(owner, config={"steps": 1000})
    assert job.estimate["seconds"] == pytest.approx(500)
    assert job.estimate["measured"] and job.estimate["memory"] == 2 << 30
    assert "2.0 GiB of memory, by a trial" in str(Estimate.of(job))
    now = timezone.now()
    done = {"status": "completed", "completed_at": now, "queued_at": None, "spent_seconds": 400}
    Job.objects.filter(pk=job.pk).update(**done, figures={"system/memory_peak_bytes": float(1 << 30)})
    job.refresh_from_db()
    assert estimates.compared(job).endswith("took 7 min, held 1.0 GiB.")
    Job.objects.exclude(pk=job.pk).delete()
    assert "measured" not in make_job(owner, config={"steps": 1000}).estimate  # a run of the past says more


def test_a_trial_that_can_not_be_read_says_nothing(owner, settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path
    measurements.keep("simulate", "s", "cpu", 1, Found(0.5, 1))
    for file in measurements.folder().iterdir():
        file.write_text("[")
    assert measurements.find("simulate", "s", "cpu", 1) is None
