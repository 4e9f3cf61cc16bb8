"""Files of a version: found by the name in its list alone, and checked before they are used."""

import os
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from common.errors import ConflictError, NotFoundError, UnavailableError
from common.files import store
from common.references import remove_unreferenced
from registry.artifacts import WEIGHTS, damaged_base, materialise, open_file, with_bases
from registry.integrity import note_damage
from registry.models import ModelVersion
from tests.world import make_version


@pytest.fixture
def version(owner):
    made = make_version(owner)
    # Ids start again in each test, folders don't.
    shutil.rmtree(Path(settings.TRAINHUB_HOME) / "artifacts" / str(made.pk), ignore_errors=True)
    return made


def test_a_version_is_laid_out_once_as_links_into_the_store(version):
    folder = materialise(version)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    for entry in version.artifact:
        assert (folder / entry["name"]).samefile(store().path(entry["sha256"]))
    inode = folder.stat().st_ino
    assert materialise(version).stat().st_ino == inode


def test_a_folder_that_lost_a_file_is_laid_out_again(version):
    (materialise(version) / "config.json").unlink()
    assert (materialise(version) / "config.json").exists()


def test_nothing_half_made_stays_behind(version):
    folder = materialise(version)
    assert [path for path in folder.parent.iterdir() if path.name.startswith(f".{version.pk}.")] == []


def test_a_damaged_file_is_refused(version):
    path = store().path(version.artifact[0]["sha256"])
    good = path.read_bytes()
    os.chmod(path, 0o640)
    path.write_bytes(b"X" + good[1:])
    try:
        with pytest.raises(UnavailableError, match="damaged"):
            materialise(version)
        assert not (Path(settings.TRAINHUB_HOME) / "artifacts" / str(version.pk)).exists()
    finally:
        path.write_bytes(good)


def test_a_link_in_the_place_of_a_file_is_refused(version, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("canary")
    path = store().path(version.artifact[0]["sha256"])
    good = path.read_bytes()
    path.unlink()
    path.symlink_to(secret)
    try:
        with pytest.raises(NotFoundError):
            materialise(version)
        with pytest.raises(NotFoundError):
            open_file(version, version.artifact[0]["name"])
    finally:
        path.unlink()
        path.write_bytes(good)


def test_a_version_without_files_says_so(owner):
    with pytest.raises(ConflictError):
        materialise(make_version(owner, artifact=[]))


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "", ".", "config.json\x00", "CONFIG.JSON"])
def test_only_names_of_the_list_are_opened(version, name):
    with pytest.raises(NotFoundError, match="no such file"):
        open_file(version, name)


def test_a_version_keeps_its_files_in_the_store(version):
    address = version.artifact[0]["sha256"]
    assert remove_unreferenced(store(), [address]) == 0
    assert store().exists(address)
    version.delete()
    assert remove_unreferenced(store(), [address]) > 0
    assert not store().exists(address)


def test_an_adapter_on_a_damaged_base_is_not_laid_out_for_use(owner, version, quick_adapter):
    adapter = ModelVersion.objects.get(pk=quick_adapter.pk)
    adapter.artifact = [entry for entry in adapter.artifact if entry["name"] != WEIGHTS]
    adapter.base_version = version
    adapter.save()
    assert with_bases(adapter) and damaged_base(adapter) is None
    note_damage(version, "model.safetensors is not what was saved.")
    assert damaged_base(adapter) == version
    with pytest.raises(ConflictError, match="can't do without"):
        with_bases(adapter)
