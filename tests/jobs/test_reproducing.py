"""A version is trained once more, and what comes out is compared bit for bit."""

from __future__ import annotations

import pytest

from common.errors import ConflictError, ForbiddenError
from jobs import conclusion, reproducing
from jobs.conclusion import Ending
from jobs.creation import create_job
from jobs.models import Job, Reproduction
from jobs.queue import claim
from registry.models import ModelVersion
from tests.api.conftest import Api
from tests.world import make_dataset, make_user, make_version

ENVIRONMENT = {"python": "3.11", "device": "cpu", "libraries": {"torch": "2.13"}}


@pytest.fixture
def version(owner):
    job, _ = create_job(owner, recipe="text-generation", dataset=make_dataset(owner), config={"width": 64}, seed=5)
    made = make_version(
        owner, source_job_id=job.pk, dataset_version=job.dataset_version, environment=ENVIRONMENT,
        code={"trainhub": "0.1.0"}, metrics={"validation/loss": 1.5}, more={"report.json": b"{}"},
    )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at="2026-01-01T00:00Z", model_version=made)
    return made


def carried_out(row, slot, myself, files, metrics, environment=ENVIRONMENT):
    """As the supervisor ends a run whose trainer said these."""
    attempt = claim(slot, myself)
    assert attempt.job_id == row.job_id
    event = {"event": "completed", "step": 3, "metrics": metrics, "artifact": files}
    conclusion.conclude(row.job_id, 1, Ending(conclusion.Ended(code=0), event, environment=environment))
    row.refresh_from_db()
    assert row.job.__class__.objects.get(pk=row.job_id).status == "completed"
    return row


def test_it_is_the_very_job_again_and_makes_no_version(version, owner, slot, myself, monkeypatch):
    monkeypatch.setattr(reproducing, "revision", lambda: {"trainhub": "0.1.0"})
    row = reproducing.reproduce(version, owner)
    first = Job.objects.get(pk=version.source_job_id)
    for name in ("recipe", "config", "seed", "dataset_version_id", "base_version_id", "resources"):
        assert getattr(row.job, name) == getattr(first, name), name
    assert row.job.model is None and row.job.subject is None
    assert reproducing.reproduce(version, owner) == row, "asked twice it is the same one"
    row = carried_out(row, slot, myself, version.artifact, {"validation/loss": 1.5, "best/validation/loss": 1.4})
    assert (row.same_metrics, row.same_weights) == (True, True)
    assert row.result["different_files"] == [] and row.result["others"] == []
    assert ModelVersion.objects.count() == 1
    assert reproducing.reproduce(version, owner) != row, "once it has ended, it is another one"


def test_other_weights_figures_and_libraries_are_told(version, owner, slot, myself):
    row = reproducing.reproduce(version, owner)
    files = [dict(file) for file in version.artifact]
    files[0]["sha256"] = "0" * 64
    other = ENVIRONMENT | {"libraries": {"torch": "2.14"}}
    row = carried_out(row, slot, myself, files, {"validation/loss": 1.25}, other)
    assert (row.same_metrics, row.same_weights) == (False, False)
    assert row.result["different_files"] == ["model.safetensors"]
    assert {"name": "torch", "before": "2.13", "after": "2.14"} in row.result["others"]
    shown = Api(owner).get(f"versions/{version.pk}/reproductions").json()["results"][0]
    assert shown["result"]["metrics"] == [{"name": "validation/loss", "before": 1.5, "after": 1.25}]


def test_another_report_alone_is_no_other_weights(version, owner, slot, myself):
    row = reproducing.reproduce(version, owner)
    files = [dict(f, sha256="1" * 64) if f["name"] == "report.json" else f for f in version.artifact]
    row = carried_out(row, slot, myself, files, {"validation/loss": 1.5})
    assert row.same_weights and row.result["different_files"] == ["report.json"]


def test_what_no_job_made_or_has_no_files_can_not_be_reproduced(owner, version):
    with pytest.raises(ConflictError, match="No job made"):
        reproducing.reproduce(make_version(owner, "Merged"), owner)
    ModelVersion.objects.filter(pk=version.pk).update(artifact=[], status="deleted")
    version.refresh_from_db()
    with pytest.raises(ConflictError, match="no files"):
        reproducing.reproduce(version, owner)


def test_only_the_owner_and_administrators_ask_for_it(version, owner, client):
    from django.contrib.auth.models import Group

    from registry.access import make_roles

    make_roles()
    carol, bob = make_user("carol"), make_user("bob")
    carol.groups.add(Group.objects.get(name="Analysts"))
    with pytest.raises(ForbiddenError):
        reproducing.reproduce(version, carol)
    assert Api(bob).post_json(f"versions/{version.pk}/reproduce").status_code == 404
    assert Api(carol).post_json(f"versions/{version.pk}/reproduce").status_code == 403
    client.force_login(carol)
    assert 'data-testid="reproduce"' not in client.get(f"/versions/{version.pk}/reproductions").content.decode()
    answer = Api(owner).post_json(f"versions/{version.pk}/reproduce")
    assert answer.status_code == 201 and answer.json()["result"] is None


def test_the_page_asks_and_tells(version, owner, client, slot, myself):
    client.force_login(owner)
    assert "version-reproductions" in client.get(f"/versions/{version.pk}").content.decode()
    assert client.post(f"/versions/{version.pk}/reproduce").url == f"/jobs/{Reproduction.objects.get().job_id}"
    address = f"/versions/{version.pk}/reproductions"
    assert "Queued" in client.get(address).content.decode()
    carried_out(Reproduction.objects.get(), slot, myself, version.artifact, {"validation/loss": 1.5})
    page = client.get(address).content.decode()
    assert "Same weights, bit for bit" in page and "Same figures" in page and 'data-testid="reproduce"' in page
