"""Bytes that are not what was trained are found, told and refused until they are right again."""

from __future__ import annotations

import os
import shutil

import pytest

from accounts.models import AuditEntry
from common.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from common.files import store
from engine.protocol import EngineError, FailureCode
from engine.serve import load_predictor
from registry import artifacts, integrity, loading, prediction, tasks
from registry.paths import laid_out
from tests.api.conftest import Api
from tests.world import make_version


@pytest.fixture
def version(owner):
    made = make_version(owner)
    shutil.rmtree(laid_out(made.pk), ignore_errors=True)
    return made


@pytest.fixture
def weights(version):
    """The path of a file in the store, whose bytes are put back in the end."""
    path = store().path(version.artifact[0]["sha256"])
    good = path.read_bytes()
    yield path
    put(path, good)


def put(path, data: bytes) -> None:
    os.chmod(path, 0o640)
    path.write_bytes(data)


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    put(path, bytes(data))


def asked(version):
    return prediction.predict(version, ["Once"])


def test_a_flipped_bit_in_the_store_is_refused_marked_and_told_once(version, weights, owner):
    flip(weights)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="damaged on disk"):
            artifacts.materialise(version)
    version.refresh_from_db()
    assert version.standing == "damaged" and version.damage == "model.safetensors is not what was saved."
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor_name, entry.object_id) == ("found damaged", "", str(version.pk))
    answer = Api(owner).post_json(f"versions/{version.pk}/predict", {"inputs": ["Once"]})
    assert answer.status_code == 409 and "is damaged" in answer.json()["detail"]
    assert Api(owner).get(f"versions/{version.pk}").json()["damage"] == version.damage


def test_a_flipped_bit_where_it_is_laid_out_is_found_at_the_next_load(version, weights, owner, monkeypatch):
    folder = artifacts.materialise(version)
    flip(folder / "model.safetensors")

    def load(*, order, **given):
        wanted = order()
        load_predictor(wanted.artifact_path, wanted.recipe, wanted.checksums)

    monkeypatch.setattr(prediction, "ask_model", load)
    with pytest.raises(UnavailableError, match="damaged"):
        asked(version)
    version.refresh_from_db()
    assert version.standing == "damaged" and "model.safetensors" in version.damage
    with pytest.raises(ConflictError, match="is damaged"):
        asked(version)


def test_what_is_no_damage_marks_nothing(version, monkeypatch):
    def wrong(**given):
        raise EngineError(FailureCode.BAD_DATA, "Too long.", "Shorter.")

    monkeypatch.setattr(prediction, "ask_model", wrong)
    with pytest.raises(InvalidInputError, match="Too long"):
        asked(version)
    version.refresh_from_db()
    assert version.standing == "ready" and not AuditEntry.objects.exists()


def test_a_missing_file_is_damage_too(version, weights):
    good = weights.read_bytes()
    weights.unlink()
    try:
        with pytest.raises(NotFoundError, match="missing from the store"):
            artifacts.materialise(version)
    finally:
        weights.write_bytes(good)
    version.refresh_from_db()
    assert version.damage == "model.safetensors is missing from the store."


def test_checked_again_it_is_good_once_its_bytes_are_right(version, weights, owner):
    good = weights.read_bytes()
    flip(weights)
    api = Api(owner)
    answer = api.post_json(f"versions/{version.pk}/verify").json()
    assert answer["state"] == "damaged" and "model.safetensors" in answer["problems"][0]
    put(weights, good)
    assert api.post_json(f"versions/{version.pk}/verify").json() == {
        "version": version.pk, "state": "whole", "problems": [],
    }  # fmt: skip
    version.refresh_from_db()
    assert version.standing == "ready"
    assert [e.verb for e in AuditEntry.objects.filter(kind="modelversion").order_by("id")] == [
        "found damaged",
        "found whole",
    ]


def test_a_folder_with_other_bytes_is_made_anew_from_the_store(version, owner):
    copy = artifacts.materialise(version) / "config.json"
    good = copy.read_bytes()
    copy.unlink()
    copy.write_bytes(b"X" + good[1:])
    assert integrity.recheck(version, owner) == []
    assert (artifacts.materialise(version) / "config.json").read_bytes() == good


def test_many_bytes_are_read_in_the_background(version, weights, owner, monkeypatch):
    from registry.life import doors

    flip(weights)
    monkeypatch.setattr(doors, "AT_ONCE", 1)
    answer = Api(owner).post_json(f"versions/{version.pk}/verify")
    assert answer.status_code == 202 and answer.json()["state"] == "checking"
    tasks.recheck(version.pk, owner.pk)
    version.refresh_from_db()
    assert version.standing == "damaged"


def test_the_page_says_that_it_is_damaged(version, owner, client):
    integrity.note_damage(version, "model.safetensors is not what was saved.")
    client.force_login(owner)
    page = client.get(f"/versions/{version.pk}").content.decode()
    assert 'data-testid="version-damaged"' in page and "model.safetensors is not what was saved." in page
    assert 'data-testid="prediction-input"' not in page
    said = client.post(f"/versions/{version.pk}/verify", follow=True).content.decode()
    assert "are what was saved" in said and 'data-testid="version-damaged"' not in said


@pytest.fixture
def adapter(version, owner):
    """A version that holds only what was added to another one."""
    made = make_version(owner, model=version.model)
    made.base_version = version
    made.artifact = [{**made.artifact[0], "name": "adapter.safetensors"}]
    made.save()
    shutil.rmtree(laid_out(made.pk), ignore_errors=True)
    return made


def test_another_base_below_an_adapter_is_found_at_the_load_and_marked(version, adapter, weights, monkeypatch):
    good = weights.read_bytes()
    folder = artifacts.with_bases(adapter)
    base = folder.parent / str(version.pk) / "model.safetensors"
    os.unlink(base)
    base.write_bytes(good[:3] + bytes([good[3] ^ 1]) + good[4:])  # of the same size, and not the store's file
    queued = []
    monkeypatch.setattr(loading, "enqueue", lambda *told: queued.append(told))

    def load(*, order, **given):
        wanted = order()
        load_predictor(wanted.artifact_path, wanted.recipe, wanted.checksums)

    monkeypatch.setattr(prediction, "ask_model", load)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"model\.safetensors is not what was saved"):
            asked(adapter)
    assert queued == [(loading.FIND_DAMAGE, adapter.pk)], "asked for once"
    tasks.find_damage(adapter.pk)
    for one in (adapter, version):
        one.refresh_from_db()
    assert (adapter.standing, version.standing) == ("ready", "damaged")
    with pytest.raises(ConflictError, match="can't do without"):
        asked(adapter)


def test_what_could_not_be_loaded_and_is_whole_again_marks_nothing(version, adapter):
    artifacts.with_bases(adapter)
    assert loading.find_damage(adapter) == []
    adapter.refresh_from_db()
    assert adapter.standing == "ready"
