"""Adapters as jobs leave them: trained by LoRA on a tiny base, with their files in the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from common.files import store
from engine.protocol import Exit
from tests.engine.cast import carry_out
from tests.recipes.specs import text_encoder, text_fine_tuning
from tests.world import make_version


def trained(spec) -> Path:
    """The folder with the result of a run."""
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return spec.work_dir / "artifact"


@pytest.fixture(scope="session")
def teller(tmp_path_factory):
    """A generator's adapter and its base: two folders."""
    root = tmp_path_factory.mktemp("teller")
    return trained(text_fine_tuning.spec(root, sample_every=0)), root / "llama"


@pytest.fixture(scope="session")
def sorter(tmp_path_factory):
    """A classifier's adapter and its base."""
    root = tmp_path_factory.mktemp("sorter")
    return trained(text_encoder.spec(root)), root / "llama"


def kept(folder: Path) -> list[dict]:
    """The files of a folder in the store, as a version lists them."""
    files = []
    for path in sorted(folder.iterdir()):
        stored = store().add(path.read_bytes())
        files.append({"name": path.name, "sha256": stored.sha256, "bytes": stored.bytes})
    return files


@pytest.fixture
def registered(owner):
    """Makes a version of a folder."""

    def register(folder, recipe="text-generation", by=owner, name="Teller", **wanted):
        for leftover in ("artifacts", "merges"):  # ids start again in each test, folders don't
            shutil.rmtree(Path(settings.TRAINHUB_HOME) / leftover, ignore_errors=True)
        metrics = {"validation/loss": 1.25}
        return make_version(by, name, recipe, metrics, artifact=kept(folder), config={"lora_rank": 4}, **wanted)

    return register


@pytest.fixture
def adapter(teller, registered):
    """A ready version that holds an adapter."""
    return registered(teller[0])


@pytest.fixture
def quick_adapter(owner):
    """A version that says that it holds an adapter, for what happens before anything is merged."""
    return make_version(owner, more={"config.json": b'{"format": 1, "adapter": {"rank": 4}}'})
