"""Versions leave the hub: their files and card as a zip, and as an ONNX network that answers as they do."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from engine.catalogue import RECIPES
from registry import exporting, removal
from registry.integrity import note_damage
from registry.models import Export, ModelVersion
from tests.api.conftest import Api
from tests.engine import cast
from tests.registry.conftest import kept, trained
from tests.world import make_version


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The folder of a small classifier of images, trained here."""
    root = tmp_path_factory.mktemp("digits")
    data = cast.make_data(root, "image", cast.digit_files(40))
    return trained(cast.spec(root, "image-classification", {"epochs": 1, "batch_size": 8}, data=data))


def unzipped(pieces) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_folder_holds_all_files_and_the_card(owner, client):
    version = make_version(owner)
    files = unzipped(Api(owner).get(f"versions/{version.pk}/export").streaming_content)
    assert files["config.json"] == b'{"format": 1}' and files["model.safetensors"] == b"weights of Teller"
    assert files["model-card.md"].startswith(b"# Teller v1")
    assert json.loads(files["model-card.json"])["version"]["id"] == version.pk
    client.force_login(owner)
    assert client.get(f"/versions/{version.pk}/export").headers["Content-Type"] == "application/zip"
    page = client.get(f"/versions/{version.pk}").content.decode()
    assert 'data-testid="export-folder"' in page and 'data-testid="start-onnx"' not in page


def test_files_that_are_others_now_do_not_leave_the_hub(owner):
    version = make_version(owner)
    note_damage(version, "model.safetensors is not what was saved.")
    answer = Api(owner).get(f"versions/{version.pk}/export")
    assert answer.status_code == 409 and "damaged" in answer.json()["detail"]


def test_an_adapter_is_exported_as_what_it_was_merged_into(owner, quick_adapter):
    from django.utils import timezone

    from registry import merging
    from registry.models import Merge

    api = Api(owner)
    assert api.get(f"versions/{quick_adapter.pk}/export?format=merged").status_code == 409
    made = merging.merge(quick_adapter, owner)
    files = make_version(owner, "Whole").artifact
    ModelVersion.objects.filter(pk=made.version_id).update(status="ready", artifact=files)
    Merge.objects.update(status="completed", finished_at=timezone.now())
    found = unzipped(api.get(f"versions/{quick_adapter.pk}/export?format=merged").streaming_content)
    assert found["model.safetensors"] == b"weights of Whole"


def test_an_onnx_network_answers_as_the_model_does(owner, digits, client):
    import onnxruntime

    from engine.recipes.image_classification.predictor import ImageClassificationPredictor

    version = make_version(owner, "Digits", "image-classification", artifact=kept(digits))
    api = Api(owner)
    assert api.get(f"versions/{version.pk}/export?format=onnx").status_code == 404
    assert api.post_json(f"versions/{version.pk}/export", {"format": "onnx"}).status_code == 202
    assert exporting.start(version, owner).status == "queued" and Export.objects.count() == 1
    row = exporting.run_export(Export.objects.get().pk)
    assert (row.status, row.message) == ("completed", "") and row.difference <= 1e-4
    assert api.post_json(f"versions/{version.pk}/export", {"format": "onnx"}).status_code == 200
    files = unzipped(api.get(f"versions/{version.pk}/export?format=onnx").streaming_content)
    assert {"model.onnx", "onnx.json", "model-card.md"} <= set(files)
    about = json.loads(files["onnx.json"])
    picture = cast.digit_files(1)[0][3]
    made = ImageClassificationPredictor.load(digits)
    pixels = made._decode(picture, 0)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    said = session.run(None, {about["inputs"][0]["name"]: pixels})[0][0]
    answer = made.predict([picture])[0]
    by_name = dict(zip(about["classes"], said.tolist(), strict=True))
    for name, probability in answer["probabilities"].items():
        assert by_name[name] == pytest.approx(probability, abs=1e-4)
    assert max(by_name, key=by_name.get) == answer["label"]
    client.force_login(owner)
    assert 'data-testid="export-onnx"' in client.get(f"/versions/{version.pk}").content.decode()
    addresses = [file["sha256"] for file in row.files]
    expected = removal.freed_by(version)
    assert removal.delete(version, owner) == expected
    assert not any(store().exists(sha256) for sha256 in addresses) and not Export.objects.exists()


def test_a_network_that_answers_otherwise_is_refused(digits, monkeypatch):
    from engine import export
    from engine.protocol import EngineError

    monkeypatch.setattr(export, "MOST_DIFFERENT", -1.0)
    with pytest.raises(EngineError, match="answers otherwise"):
        export.exported(digits)


def test_what_can_not_be_exported_is_refused_in_words(owner, stranger, client):
    version = make_version(owner)
    with pytest.raises(ConflictError, match=r"can't be exported as ONNX\. It writes token by token"):
        exporting.start(version, owner)
    client.force_login(owner)
    assert "It writes token by token" in client.get(f"/versions/{version.pk}").content.decode()
    assert all(recipe.onnx for recipe in RECIPES.values() if recipe.trainer.startswith("engine."))
    with pytest.raises(NotFoundError):
        exporting.onnx(version, owner)
    assert Api(stranger).get(f"versions/{version.pk}/export").status_code == 404
    assert Api(stranger).post_json(f"versions/{version.pk}/export", {"format": "onnx"}).status_code == 404


def test_a_failed_export_is_told_and_can_be_tried_again(owner, client, monkeypatch):
    def engine(artifact, out):
        raise InvalidInputError("This is no network.", "Train it again.")

    monkeypatch.setattr(exporting, "_engine", engine)
    version = make_version(owner, "Broken", "image-classification")
    row = exporting.run_export(exporting.start(version, owner).pk)
    assert (row.status, row.message) == ("failed", "This is no network.")
    client.force_login(owner)
    page = client.get(f"/versions/{version.pk}").content.decode()
    assert 'data-testid="start-onnx"' in page and "This is no network." in page
    assert client.post(f"/versions/{version.pk}/export").status_code == 302
    assert Export.objects.get().pk != row.pk and Export.objects.get().status == "queued"
