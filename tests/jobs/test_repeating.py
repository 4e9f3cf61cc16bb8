"""A job that has ended can be run again exactly, and both results are compared."""

import pytest
from django.utils import timezone

from common.errors import ConflictError
from jobs import repeating
from jobs.creation import create_job
from jobs.models import Job
from tests.api.conftest import Api
from tests.world import make_dataset, make_job, make_version


def ended(job, metrics=None, **more):
    """The job as completed, with a version of these files."""
    version = make_version(job.owner, f"of {job.pk}", more=more)
    done = {"status": "completed", "completed_at": timezone.now(), "queued_at": None, "metrics": metrics or {"a": 1.0}}
    Job.objects.filter(pk=job.pk).update(**done, model_version=version)
    job.refresh_from_db()
    return job


@pytest.fixture
def first(owner):
    config = {"width": 64, "steps": 7}
    job, _ = create_job(owner, recipe="text-generation", dataset=make_dataset(owner), config=config, seed=5)
    return ended(job)


def test_it_takes_the_same_settings_seed_and_data(first, owner):
    made = repeating.again(first, owner)
    for name in ("recipe", "config", "seed", "dataset_version_id", "base_version_id", "resources"):
        assert getattr(made, name) == getattr(first, name), name
    assert made.model == first.model_version.model
    assert repeating.earlier_of(made) == first
    assert repeating.comparison(made) is None  # it has not ended


def test_results_are_compared_by_figures_and_by_files(first, owner):
    made = repeating.again(first, owner)
    Job.objects.filter(pk=made.pk).update(
        status="completed", completed_at=timezone.now(), queued_at=None, metrics={"a": 1.0}, model_version=None
    )
    made.refresh_from_db()
    version = first.model_version
    version.pk, version.number, version.source_job_id = None, 99, None
    version.save()
    Job.objects.filter(pk=made.pk).update(model_version=version)
    made.refresh_from_db()
    first.refresh_from_db()
    found = repeating.comparison(made)
    assert found.same_figures and found.same_files and found.file_count == 2
    version.artifact[0]["sha256"] = "0" * 64
    version.save()
    Job.objects.filter(pk=made.pk).update(metrics={"a": 1.0000001, "b": None})
    made = Job.objects.get(pk=made.pk)
    found = repeating.comparison(made)
    assert not found.same_figures and not found.same_files and found.files == ["model.safetensors"]
    shown = Api(owner).get(f"training/jobs/{made.pk}/comparison").json()["comparison"]
    assert shown["earlier"] == first.pk and shown["different_files"] == ["model.safetensors"]


def test_what_has_not_ended_is_not_run_again(owner):
    job = make_job(owner)
    with pytest.raises(ConflictError):
        repeating.again(job, owner)
    assert Api(owner).post_json(f"training/jobs/{job.pk}/again", {}).status_code == 409
    assert Api(owner).get(f"training/jobs/{job.pk}/comparison").json() == {"comparison": None}


def test_what_was_otherwise_where_it_ran_is_named(client, first, owner):
    made = ended(repeating.again(first, owner))
    old = {"python": "3.11.2", "torch": "2.12.0", "device": "CPU", "libraries": {"numpy": "2.4.0", "peft": "0.19"}}
    new = {"python": "3.11.2", "torch": "2.13.0", "device": "CPU", "libraries": {"numpy": "2.4.6", "peft": "0.19"}}
    Job.objects.filter(pk=first.pk).update(environment=old)
    Job.objects.filter(pk=made.pk).update(environment=new)
    shown = Api(owner).get(f"training/jobs/{made.pk}/comparison").json()["comparison"]
    expected = [
        {"name": "torch", "before": "2.12.0", "after": "2.13.0"},
        {"name": "numpy", "before": "2.4.0", "after": "2.4.6"},
    ]
    assert shown["different_environment"] == expected
    client.force_login(owner)
    html = client.get(f"/jobs/{made.pk}").content.decode()
    assert "Otherwise where it ran: torch 2.12.0, now 2.13.0; numpy 2.4.0, now 2.4.6." in html
    assert "Python 3.11.2, torch 2.13.0, numpy 2.4.6, peft 0.19" in html
    assert Api(owner).get(f"training/jobs/{made.pk}").json()["environment"]["libraries"]["numpy"] == "2.4.6"
    Job.objects.filter(pk=first.pk).update(environment={"python": "3.11.2"})  # of an earlier release
    again = Api(owner).get(f"training/jobs/{made.pk}/comparison").json()["comparison"]
    assert again["different_environment"] == []


def test_the_page_has_the_button_and_the_comparison(client, first, owner):
    client.force_login(owner)
    html = client.get(f"/jobs/{first.pk}").content.decode()
    assert "Run again exactly" in html and "Run again with changes" in html
    answer = client.post(f"/jobs/{first.pk}/again")
    made = Job.objects.order_by("-pk").first()
    assert answer.status_code == 302 and answer.url == f"/jobs/{made.pk}"
    ended(made, {"a": 2.0})
    html = client.get(f"/jobs/{made.pk}").content.decode()
    assert f"job {first.pk}</a>" in html and "Other figures" in html and "differs" in html
    assert client.get(f"/jobs/{first.pk}/again").status_code == 302
