"""An adapter and its base become one version, whole or not at all, however often it is asked for."""

from __future__ import annotations

import hashlib
import json
import resource
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from common.errors import ConflictError, NotFoundError
from common.files import store
from engine.recipes.text_classification.predictor import TextClassificationPredictor
from engine.recipes.text_generation.predictor import TextGenerationPredictor
from jobs import bases
from registry import merging, tasks
from registry.artifacts import materialise, with_bases
from registry.models import Merge, ModelVersion
from tests.world import make_version

COLD = {"temperature": 0, "max_new_tokens": 12}


def carried_out(version, by):
    return merging.run_merge(merging.merge(version, by).pk)


def leftovers():
    root = Path(settings.TRAINHUB_HOME) / "merges"
    return list(root.iterdir()) if root.exists() else []


def test_a_merged_generator_says_what_its_adapter_said_without_a_base(adapter, teller, owner, administrator):
    made = merging.merge(adapter, administrator)
    version = made.version
    assert (made.status, version.status, version.number, version.artifact) == ("queued", "processing", 2, [])
    assert version.model == adapter.model and version.base_version == adapter
    ended = merging.run_merge(made.pk)
    assert (ended.status, ended.message, ended.attempt) == ("completed", "", 1), ended.message
    version.refresh_from_db()
    assert version.status == "ready" and version.byte_count == sum(file["bytes"] for file in version.artifact)
    assert {"model.safetensors", "tokenizer.json", "config.json", "report.json"} <= {
        f["name"] for f in version.artifact
    }
    assert not any("adapter" in file["name"] for file in version.artifact)
    assert (version.metrics, version.config, version.created_by) == (adapter.metrics, adapter.config, administrator)
    assert version.environment["python"] and version.environment["torch"] and version.environment["device"] == "cpu"
    assert version.code["trainhub"] == settings.TRAINHUB_VERSION
    assert leftovers() == []
    facts = json.loads((materialise(version) / "config.json").read_bytes())
    assert "adapter" not in facts and facts["merged"]["rank"] == 4
    prompts = ["Anna has 3 apples.", "Anna has 7 apples."]
    said = TextGenerationPredictor.load(teller[0]).predict(prompts, COLD)
    assert TextGenerationPredictor.load(with_bases(version)).predict(prompts, COLD) == said
    assert "whole model" in merging.why_not(version)
    with pytest.raises(ConflictError, match="whole model"):
        merging.merge(version, owner)
    bases.check_version("text-generation", version)


def test_a_merged_classifier_decides_as_its_adapter_did(registered, sorter, owner):
    adapter = registered(sorter[0], "text-classification", name="Sorter")
    version = carried_out(adapter, owner).version
    version.refresh_from_db()
    (one,) = TextClassificationPredictor.load(sorter[0]).predict(["a ripe cherry"])
    (other,) = TextClassificationPredictor.load(materialise(version)).predict(["a ripe cherry"])
    assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)


def test_asked_again_it_is_the_same_merge(quick_adapter, owner, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first = merging.merge(quick_adapter, owner)
        assert merging.merge(quick_adapter, owner).pk == first.pk
    assert OrmQ.objects.filter(key="background").count() == 1
    assert ModelVersion.objects.count() == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        Merge.objects.create(adapter=quick_adapter, version=make_version(owner), created_by=owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        other = make_version(owner)
        Merge.objects.create(adapter=other, version=other, created_by=owner)


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_once_get_one_version(quick_adapter, owner):
    together, made = threading.Barrier(4), []

    def ask():
        together.wait()
        made.append(merging.merge(quick_adapter, owner).version_id)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and len(set(made)) == 1
    assert (Merge.objects.count(), ModelVersion.objects.count()) == (1, 2)


def test_what_is_no_adapter_is_refused_before_anything_is_made(quick_adapter, owner):
    cases = {
        "whole model": make_version(owner),
        "makes no adapters": make_version(owner, recipe="image-classification"),
        "missing or damaged": make_version(owner, more={"config.json": b"[" * 9}),
        "is processing": merging.merge(quick_adapter, owner).version,
    }
    before = ModelVersion.objects.count()
    for words, version in cases.items():
        with pytest.raises(ConflictError, match=words):
            merging.merge(version, owner)
    assert ModelVersion.objects.count() == before
    gone = make_version(owner, "Gone")
    ModelVersion.objects.filter(pk=gone.pk).delete()
    with pytest.raises(NotFoundError, match="is gone"):
        merging.merge(gone, owner)


def test_a_version_that_is_not_ready_is_no_base_and_can_not_be_tried(quick_adapter, owner):
    version = merging.merge(quick_adapter, owner).version
    with pytest.raises(Exception, match="is processing: there is nothing to start from yet"):
        bases.check_version("text-generation", version)


def test_a_base_that_is_gone_is_told_and_the_same_version_is_tried_again(adapter, teller, owner):
    base, away = teller[1], teller[1].with_name("elsewhere")
    base.rename(away)
    try:
        failed = carried_out(adapter, owner)
    finally:
        away.rename(base)
    assert failed.status == "failed" and "'llama' of this result is not there any more" in failed.message
    assert str(base) in failed.hint
    version = ModelVersion.objects.get(pk=failed.version_id)
    assert (version.status, version.artifact, leftovers()) == ("failed", [], [])
    again = merging.merge(adapter, owner)
    assert again.pk != failed.pk and again.version_id == version.pk
    version.refresh_from_db()
    assert version.status == "processing"
    assert merging.run_merge(again.pk).status == "completed"
    version.refresh_from_db()
    assert version.status == "ready" and ModelVersion.objects.count() == 2


def test_a_damaged_adapter_is_told(adapter, owner):
    entry = next(file for file in adapter.artifact if file["name"] == "adapter_model.safetensors")
    path = store().path(entry["sha256"])
    good = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        failed = carried_out(adapter, owner)
    finally:
        path.write_bytes(good)
    assert failed.status == "failed" and "adapter_model.safetensors of Teller v1 is damaged on disk" in failed.message


def test_a_disk_without_room_is_told_and_nothing_is_left(adapter, owner, monkeypatch):
    def small_files(pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, 20_000))

    monkeypatch.setattr(merging, "_limit", small_files)
    failed = carried_out(adapter, owner)
    assert failed.status == "failed" and "disk is full" in failed.message and "merge again" in failed.hint
    assert leftovers() == []


def test_memory_and_time_are_bounded(adapter, owner, monkeypatch):
    monkeypatch.setattr(merging, "MAX_BYTES", 24 << 20)
    failed = carried_out(adapter, owner)
    assert failed.status == "failed" and failed.message and failed.hint
    monkeypatch.setattr(merging, "MAX_BYTES", 0)
    monkeypatch.setattr(merging, "MAX_SECONDS", 0)
    failed = carried_out(adapter, owner)
    assert "took longer than 0 minutes" in failed.message and "TRAINHUB_MAX_MERGE_SECONDS" in failed.hint


class Killed(BaseException):
    pass


@pytest.fixture
def quick(monkeypatch):
    """The engine's part in no time: what is tested is what happens around it."""

    def engine(claim, artifact, out):
        out.mkdir()
        data = b"all weights"
        (out / "model.safetensors").write_bytes(data)
        file = {"name": "model.safetensors", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        return {"files": [file], "environment": {"python": "3.11"}}

    monkeypatch.setattr(merging, "_engine", engine)


def test_a_killed_worker_is_followed_by_one_that_begins_again(quick_adapter, quick, owner, monkeypatch):
    made = merging.merge(quick_adapter, owner)
    finish = merging._finish

    def dies(claim, folder, said):
        merging._kept(folder, said["files"])
        raise Killed

    monkeypatch.setattr(merging, "_finish", dies)
    with pytest.raises(Killed):
        merging.run_merge(made.pk)
    monkeypatch.setattr(merging, "_finish", finish)
    made.refresh_from_db()
    assert made.status == "running" and merging.run_merge(made.pk) is None, "its worker may still live"
    assert ModelVersion.objects.get(pk=made.version_id).status == "processing"
    long_ago = timezone.now() - timezone.timedelta(minutes=5)
    Merge.objects.update(heartbeat_at=long_ago, created_at=long_ago)
    assert merging.sweep_merges() == 1
    ended = merging.run_merge(made.pk)
    assert (ended.status, ended.attempt) == ("completed", 2)
    assert (Merge.objects.count(), ModelVersion.objects.count()) == (1, 2)


def test_a_worker_taken_for_dead_can_write_nothing_more(quick_adapter, quick, owner, monkeypatch):
    made, finish = merging.merge(quick_adapter, owner), merging._finish

    def overtaken(*arguments):
        Merge.objects.filter(pk=made.pk).update(attempt=7)
        finish(*arguments)

    monkeypatch.setattr(merging, "_finish", overtaken)
    assert merging.run_merge(made.pk) is None
    version = ModelVersion.objects.get(pk=made.version_id)
    assert (version.status, version.artifact) == ("processing", [])


def test_a_version_that_is_deleted_meanwhile_leaves_no_trace(quick_adapter, quick, owner, monkeypatch):
    made, finish = merging.merge(quick_adapter, owner), merging._finish

    def deleted(*arguments):
        ModelVersion.objects.filter(pk=made.version_id).delete()
        finish(*arguments)

    monkeypatch.setattr(merging, "_finish", deleted)
    assert merging.run_merge(made.pk) is None
    assert not Merge.objects.exists() and ModelVersion.objects.get() == quick_adapter
    assert merging.merge(quick_adapter, owner).version.number == 2, "it can be asked for anew"


def test_work_that_kills_its_worker_each_time_ends_in_words(quick_adapter, owner):
    made = merging.merge(quick_adapter, owner)
    Merge.objects.filter(pk=made.pk).update(attempt=5)
    ended = merging.run_merge(made.pk)
    assert ended.status == "failed" and "stopped its worker several times" in ended.message


def test_the_sweep_removes_what_dead_workers_left(quick_adapter, owner, monkeypatch):
    made = merging.merge(quick_adapter, owner)
    Merge.objects.filter(pk=made.pk).update(status="running", attempt=2, heartbeat_at=timezone.now())
    root = Path(settings.TRAINHUB_HOME) / "merges"
    for name in (f"{made.pk}-1", f"{made.pk}-2", "999999-1"):
        (root / name).mkdir(parents=True)
    merging.sweep_merges()
    assert [path.name for path in leftovers()] == [f"{made.pk}-2"], "that of the living attempt stays"


def test_a_task_starts_a_process_of_its_own(quick_adapter, owner, monkeypatch):
    asked = []
    monkeypatch.setattr(merging.PROCESSES, "start", asked.append)
    made = merging.merge(quick_adapter, owner)
    tasks.run_merge(made.pk)
    assert asked == [made.pk]
    assert merging.next_waiting(after=0) == made.pk and merging.next_waiting(after=made.pk) is None


def test_an_adapter_lies_beside_all_versions_that_it_needs(owner):
    """An adapter that was trained on from an adapter still needs the whole model below both."""
    light = {"artifact": [file for file in make_version(owner).artifact if file["name"] == "config.json"]}
    whole = make_version(owner, "Whole")
    first = make_version(owner, "First", base_version=whole, **light)
    second = make_version(owner, "Second", base_version=first, **light)
    root = with_bases(second).parent
    assert all((root / str(version.pk)).is_dir() for version in (whole, first, second))
