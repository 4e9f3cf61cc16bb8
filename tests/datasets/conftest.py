"""Small inputs, honest and hostile, made here."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from PIL import Image

from datasets.intake.imports import create_dataset, receive, run_import


@dataclass
class File:
    """What an import takes: a name and chunks."""

    name: str
    content: bytes

    def chunks(self):
        yield self.content


def picture(number: int = 0, size=(8, 8), format: str = "PNG") -> bytes:
    """A small picture; each number gives another."""
    out = io.BytesIO()
    digest = hashlib.sha256(str(number).encode()).digest()
    needed = size[0] * size[1]
    Image.frombytes("L", size, (digest * (needed // 32 + 1))[:needed]).save(out, format)
    return out.getvalue()


def tree(root: Path) -> dict[str, str]:
    """Every path below a folder with what it is and the hash of its content."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            found[str(path)] = f"{path.lstat().st_mode:o}"
        else:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    """A home of its own, with a canary beside the store that nothing may touch."""
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)
    (tmp_path / "canary.txt").write_text("CANARY")
    yield settings.TRAINHUB_HOME
    assert (tmp_path / "canary.txt").read_text() == "CANARY"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary.txt", "home"]
    shutil.rmtree(settings.TRAINHUB_HOME)


@pytest.fixture
def images(owner):
    return create_dataset(owner, name="pets", modality="image")[0]


@pytest.fixture
def texts(owner):
    return create_dataset(owner, name="stories", modality="text")[0]


@pytest.fixture
def bring(owner, django_capture_on_commit_callbacks):
    """Bring files into a dataset the whole way; returns the ended import."""

    def bring(dataset, *files, **named):
        given = [File(name, content) for name, content in files]
        with django_capture_on_commit_callbacks(execute=True):
            ended = run_import(receive(dataset, owner, given, **named).pk)
        dataset.refresh_from_db()
        return ended

    return bring


@pytest.fixture
def nothing_left(home):
    """No temporary file anywhere, and a store that holds exactly the files that rows name."""

    def check():
        from datasets.models import DatasetVersion, Item

        store = home / "store"
        files = {path.name for path in store.rglob("*") if path.is_file()}
        rows = {*Item.objects.filter(content__isnull=True).values_list("sha256", flat=True)}
        rows |= {facts["parquet"] for facts in Item.objects.values_list("facts", flat=True) if "parquet" in facts}
        rows |= {*DatasetVersion.objects.values_list("content_hash", flat=True)}
        assert files == rows
        assert list((home / "uploads").iterdir()) == []
        assert not any(path.is_symlink() for path in Path(settings.TRAINHUB_HOME).rglob("*"))

    return check
