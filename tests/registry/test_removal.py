"""Versions are archived and deleted, unless somebody needs them; what they were stays."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError
from common.files import store
from jobs.models import Job
from registry import artifacts, merging, removal, versions
from registry.models import Alias, Deployment, Merge, ModelVersion, Route, RouteArm
from registry.paths import laid_out
from tests.api.conftest import Api
from tests.world import make_job, make_version

ADAPTER = {"config.json": b'{"format": 1, "adapter": {"rank": 4}}'}


def adapter_on(base, owner, name="Adapter"):
    made = make_version(owner, name, base_version=base, more=ADAPTER)
    files = [entry for entry in made.artifact if entry["name"] != artifacts.WEIGHTS]
    ModelVersion.objects.filter(pk=made.pk).update(artifact=files)
    return made


def refused(version, by) -> str:
    with pytest.raises(ConflictError) as problem:
        removal.delete(version, by)
    version.refresh_from_db()
    assert version.status == "ready" and version.artifact
    return problem.value.message


def test_deleting_frees_what_nobody_else_needs_and_says_how_much(owner):
    other = make_version(owner, "Other")  # has the same config.json
    version = make_version(owner, "Doomed", more={"big.bin": b"x" * 5000})
    artifacts.materialise(version)
    alone = [entry for entry in version.artifact if entry["name"] != "config.json"]
    expected = sum(entry["bytes"] for entry in alone)
    assert removal.freed_by(version) == expected
    assert removal.delete(version, owner) == expected
    assert not any(store().exists(entry["sha256"]) for entry in alone) and not laid_out(version.pk).exists()
    assert all(store().verify(entry["sha256"]) for entry in other.artifact)
    version.refresh_from_db()
    assert (version.status, version.artifact, version.byte_count) == ("deleted", [], 0)
    assert version.metrics == {"validation/loss": 1.5}, "what it was stays"
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor_name) == ("deleted", "alice") and "big.bin" in entry.details
    assert removal.delete(version, owner) == 0 and AuditEntry.objects.count() == 1


def test_what_has_a_name_is_deployed_or_tested_is_kept(owner):
    version = make_version(owner)
    alias = Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    assert "the champion of its model" in refused(version, owner)
    with pytest.raises(ConflictError, match="can't be archived"):
        removal.archive(version, owner)
    alias.delete()
    deployed = Deployment.objects.create(model=version.model, version=version, created_by=owner)
    assert "It is deployed" in refused(version, owner)
    Deployment.objects.filter(pk=deployed.pk).update(ended_at=timezone.now())
    route = Route.objects.create(model=version.model, salt="s", started_at=timezone.now())
    RouteArm.objects.create(route=route, version=version, name="a", weight=1)
    assert "takes part in a test" in refused(version, owner)
    Route.objects.update(ended_at=timezone.now())
    assert removal.delete(version, owner) > 0


def test_a_base_is_kept_as_long_as_an_adapter_needs_it(owner):
    base = make_version(owner, "Base")
    adapter = adapter_on(base, owner)
    whole = make_version(owner, "Whole", base_version=base)
    assert "Adapter v1 can't do without" in refused(base, owner)
    removal.delete(adapter, owner)
    assert removal.delete(base, owner) > 0 and whole.base_version_id == base.pk


def test_a_base_is_kept_as_long_as_a_job_starts_from_it_or_asks_it(owner):
    version = make_version(owner)
    job = make_job(owner, base_version=version)
    assert f"Job {job.pk}" in refused(version, owner)
    Job.objects.filter(pk=job.pk).update(status="cancelled", completed_at=timezone.now())
    config = {"generators": f"version {version.pk}", "examples": 1, "max_new_tokens": 10}
    asking = make_job(owner, recipe="generate", config=config)
    assert f"Job {asking.pk} that has not ended asks it" in refused(version, owner)


def test_what_is_being_merged_is_kept_and_a_deleted_result_can_be_made_again(owner, quick_adapter):
    made = merging.merge(quick_adapter, owner)
    assert "is being merged" in refused(quick_adapter, owner)
    with pytest.raises(ConflictError, match="still being made"):
        removal.delete(made.version, owner)
    ModelVersion.objects.filter(pk=made.version_id).update(status="ready", artifact=quick_adapter.artifact)
    Merge.objects.update(status="completed", finished_at=timezone.now())
    removal.delete(made.version, owner)
    again = merging.merge(quick_adapter, owner)
    assert again.version_id != made.version_id and again.version.status == "processing"


def test_what_is_archived_is_used_for_nothing_new_until_it_is_brought_back(owner):
    version = make_version(owner)
    removal.archive(version, owner)
    version.refresh_from_db()
    assert version.standing == "archived" and version.artifact and not versions.usable().exists()
    with pytest.raises(ConflictError, match="archived"), transaction.atomic():
        versions.hold(version)
    removal.archive(version, owner)
    removal.unarchive(version, owner)
    assert [entry.verb for entry in AuditEntry.objects.order_by("id")] == ["archived", "unarchived"]
    assert versions.usable().get() == version


@pytest.mark.django_db(transaction=True)
def test_whoever_uses_a_version_at_the_same_moment_comes_before_or_is_refused(owner):
    for first in ("use", "delete"):
        version = make_version(owner, f"Both {first}")
        inside, go = threading.Event(), threading.Event()
        outcomes: dict[str, str] = {}

        def use(version=version, inside=inside, go=go, outcomes=outcomes, first=first):
            try:
                with transaction.atomic():
                    versions.hold(version)
                    Deployment.objects.create(model=version.model, version=version, created_by=owner)
                    inside.set()
                    if first == "use":
                        go.wait(10)
                outcomes["use"] = "done"
            except ConflictError:
                outcomes["use"] = "refused"
            connections.close_all()

        def delete(version=version, outcomes=outcomes):
            try:
                removal.delete(version, owner)
                outcomes["delete"] = "done"
            except ConflictError:
                outcomes["delete"] = "refused"
            connections.close_all()

        threads = [threading.Thread(target=use), threading.Thread(target=delete)]
        if first == "delete":
            threads.reverse()
        threads[0].start()
        if first == "use":
            inside.wait(10)
            threads[1].start()
            go.set()
        else:
            threads[0].join(20)
            threads[1].start()
        for thread in threads:
            thread.join(20)
        assert outcomes == {first: "done", {"use": "delete", "delete": "use"}[first]: "refused"}


def test_a_folder_that_nobody_removed_is_swept(owner, monkeypatch):
    version, other = make_version(owner), make_version(owner, "Other")
    artifacts.materialise(version), artifacts.materialise(other)
    ModelVersion.objects.filter(pk=version.pk).update(status="deleted", artifact=[])
    monkeypatch.setattr(removal, "DAY", -1.0)
    assert removal.sweep()
    assert not laid_out(version.pk).exists() and laid_out(other.pk).exists()
    with pytest.raises(ConflictError, match="deleted"):
        artifacts.materialise(version)  # one who read the row before it was deleted
    assert not laid_out(version.pk).exists()


def test_the_doors_let_the_owner_and_administrators_in_alone(owner, stranger, administrator, client):
    from django.contrib.auth.models import Group

    from registry.access import make_roles

    version = make_version(owner)
    make_roles()
    colleague = type(owner).objects.create_user("carol")
    colleague.groups.add(Group.objects.get(name="Analysts"))
    for path in ("archive", "unarchive", "verify"):
        assert Api(stranger).post_json(f"versions/{version.pk}/{path}").status_code == 404
        answer = Api(colleague).post_json(f"versions/{version.pk}/{path}")
        assert answer.status_code == 403 and "alice and administrators" in answer.json()["hint"]
    assert Api(stranger).delete(f"versions/{version.pk}").status_code == 404
    assert Api(colleague).delete(f"versions/{version.pk}").status_code == 403
    client.force_login(colleague)
    assert client.post(f"/versions/{version.pk}/delete").status_code == 403
    assert "delete-version" not in client.get(f"/versions/{version.pk}").content.decode()
    client.post(f"/versions/{version.pk}/archive")
    version.refresh_from_db()
    assert version.standing == "ready"
    assert Api(owner).post_json(f"versions/{version.pk}/archive").json()["standing"] == "archived"
    listed = f"models/{version.model_id}/versions"
    assert Api(owner).get(listed).json()["count"] == 0
    assert Api(owner).get(f"{listed}?show=all").json()["count"] == 1
    assert Api(owner).get(f"{listed}?show=some").status_code == 400
    answer = Api(administrator).delete(f"versions/{version.pk}").json()
    assert answer["bytes_freed"] == removal.freed_by(version)


def test_the_page_says_what_is_lost_and_what_became_of_it(owner, client):
    client.force_login(owner)
    base = make_version(owner, "Base", more={"big.bin": b"x" * 5000})
    child = make_version(owner, "Child", base_version=base)
    asked = client.get(f"/versions/{base.pk}/delete").content.decode()
    assert "Delete Base v1?" in asked and "become free" in asked and 'data-testid="confirm"' in asked
    assert client.post(f"/versions/{base.pk}/delete").status_code == 302
    page = client.get(f"/versions/{base.pk}").content.decode()
    assert 'data-testid="version-deleted"' in page and "Deleted" in page and "delete-version" not in page
    assert "deleted</span>" in client.get(f"/versions/{child.pk}").content.decode(), "in the lineage, too"
    whole = client.get(f"/models/{base.model_id}").content.decode()
    assert f'href="/versions/{base.pk}"' not in whole and "Show 1 archived or deleted" in whole
    assert f'href="/versions/{base.pk}"' in client.get(f"/models/{base.model_id}?show=all").content.decode()


def test_administrators_delete_and_archive_in_the_admin(owner, administrator, client):
    client.force_login(administrator)
    version, named = make_version(owner), make_version(owner)
    Alias.objects.create(model=named.model, name="champion", version=named, since=timezone.now())
    given = {"action": "delete_them", "_selected_action": [version.pk, named.pk]}
    page = client.post("/admin/registry/modelversion/", given, follow=True).content.decode()
    assert "1 version: deleted" in page and "the champion of its model" in page
    version.refresh_from_db(), named.refresh_from_db()
    assert (version.status, named.status) == ("deleted", "ready")
