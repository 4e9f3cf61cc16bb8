"""Two sample datasets from what installed packages carry, so that a newcomer has something to train on."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import AbstractBaseUser
from PIL import Image

from datasets.creation import create_dataset
from datasets.intake.imports import receive, run_import
from datasets.models import Dataset, Modality

TEXTS = "Python language reference"
DIGITS = "Handwritten digits"


@dataclass(frozen=True)
class SampleFile:
    """A file as an import takes it."""

    name: str
    content: bytes

    def chunks(self) -> Iterator[bytes]:
        yield self.content


def ensure_samples(owner: AbstractBaseUser) -> list[Dataset]:
    """The sample datasets of `owner`, made where missing, ready to be trained on. Safe to call again.

    Digits are left out when scikit-learn is not installed.
    """
    texts = _ensure(owner, TEXTS, Modality.TEXT, "The topics of Python's own help, from pydoc_data.", reference())
    images = _ensure(
        owner, DIGITS, Modality.IMAGE, "1,797 digits of 8 x 8 pixels, from scikit-learn (UCI ML repository).", digits()
    )
    return [dataset for dataset in (texts, images) if dataset is not None]


def reference() -> Iterator[SampleFile]:
    """One text a topic of the language reference."""
    from pydoc_data.topics import topics  # half a megabyte: only when it is needed

    for topic, text in sorted(topics.items()):
        yield SampleFile(f"{topic}.txt", text.encode())


def digits() -> Iterator[SampleFile]:
    """scikit-learn's digits as grey PNG files, in a folder a class. Reads its data without importing it."""
    found = importlib.util.find_spec("sklearn")
    folders = list(found.submodule_search_locations or []) if found else []
    path = Path(folders[0]) / "datasets" / "data" / "digits.csv.gz" if folders else None
    if path is None or not path.exists():
        return
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            *pixels, label = (int(float(value)) for value in row)
            grey = bytes(min(255, value * 16) for value in pixels)  # 17 levels, 0–16
            yield SampleFile(f"digits/{label}/digit-{number:04}.png", _png(grey))


def _png(grey: bytes) -> bytes:
    out = io.BytesIO()
    Image.frombytes("L", (8, 8), grey).save(out, "PNG")
    return out.getvalue()


def _ensure(
    owner: AbstractBaseUser, name: str, modality: str, description: str, files: Iterator[SampleFile]
) -> Dataset | None:
    dataset = Dataset.objects.filter(owner=owner, name=name).first()
    if dataset is None:
        known = list(files)
        if not known:
            return None
        dataset, _ = create_dataset(owner, name=name, modality=modality, description=description)
        run_import(receive(dataset, owner, known).pk)
    elif dataset.status in {Dataset.Status.EMPTY, Dataset.Status.PROCESSING}:  # an earlier start was interrupted
        waiting = dataset.imports.filter(finished_at=None).order_by("id").first()
        run_import((waiting or receive(dataset, owner, list(files))).pk)
    dataset.refresh_from_db()
    return dataset
