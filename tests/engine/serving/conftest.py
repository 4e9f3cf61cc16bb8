"""Tiny trained models of several recipes, and a model server to load them into."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from engine.predict import Order, predict
from engine.protocol import Exit
from engine.serving.client import status
from tests.engine.cast import carry_out
from tests.engine.warmth import model_server, text_run, warm_server
from tests.recipes.specs import text_classification


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    with warm_server(tmp_path_factory.mktemp("warm")) as (socket_path, _):
        yield socket_path


@pytest.fixture(scope="session")
def writer(tmp_path_factory) -> Path:
    """What a very small generator left."""
    folder = tmp_path_factory.mktemp("writer")
    from engine.protocol import Spec

    code, sink = carry_out(Spec.read(text_run(folder)))
    assert code is Exit.COMPLETED, sink.events[-1]
    return folder / "work" / "artifact"


@pytest.fixture(scope="session")
def sorter(tmp_path_factory) -> Path:
    """What a very small classifier of texts left."""
    spec = text_classification.spec(tmp_path_factory.mktemp("sorter"))
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return spec.work_dir / "artifact"


@pytest.fixture
def server(warm, tmp_path):
    with model_server(warm, tmp_path) as socket_path:
        yield socket_path


class Asker:
    """Asks a model server for one version's predictions."""

    def __init__(self, server: Path, artifact: Path, recipe: str, key: str, **order: Any) -> None:
        self.server = server
        self.order = Order(key, str(artifact), recipe, **order)

    def __call__(self, *inputs: Any, timeout: float = 30.0, **parameters: Any) -> list[dict[str, Any]]:
        return predict(
            socket_path=self.server,
            order=lambda: self.order,
            key=self.order.key,
            inputs=list(inputs),
            parameters=parameters,
            timeout=timeout,
        )

    def wish(self, replicas: int = 1, kept: bool = False) -> dict[str, Any]:
        return {**self.order.as_dict(), "replicas": replicas, "kept": kept}

    def told(self) -> dict[str, Any] | None:
        """What the server says of this version; None when it does not know it."""
        return next((one for one in status(self.server)["models"] if one["key"] == self.order.key), None)

    def pids(self) -> list[int]:
        told = self.told()
        return [one["pid"] for one in told["replicas"] if one["ready"]] if told else []


@pytest.fixture
def writes(server, writer):
    return Asker(server, writer, "text-generation", "writer")


@pytest.fixture
def sorts(server, sorter):
    return Asker(server, sorter, "text-classification", "sorter")


def checksums(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
