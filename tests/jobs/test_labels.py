"""Data that a recipe can't learn classes from is refused before anything is frozen, with what to do."""

import pytest

from common.errors import InvalidInputError
from datasets.creation import create_dataset
from datasets.intake.imports import receive, run_import
from datasets.models import DatasetVersion
from jobs.creation import create_job
from tests.api.conftest import Api
from tests.world import Upload, png


def pictures(owner, files):
    dataset, _ = create_dataset(owner, name="Zoo", modality="image")
    colours = ["red", "green", "blue", "black", "white", "teal", "navy", "olive", "pink", "gold", "gray", "tan"]
    uploads = [Upload(path, png(colours[n % 12], (8 + n, 8))) for n, path in enumerate(files)]
    run_import(receive(dataset, owner, uploads).pk)
    dataset.refresh_from_db()
    return dataset


@pytest.fixture
def zoo(owner):
    return pictures(owner, [f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(6)])


def test_items_without_a_class_are_counted_and_nothing_is_frozen(owner):
    dataset = pictures(owner, ["cat/1.png", "dog/1.png", "a.png", "b.png", "c.png"])
    answer = Api(owner).post_json("training/jobs", {"recipe": "image-classification", "dataset": dataset.pk})
    assert answer.status_code == 400
    assert answer.json()["errors"]["dataset"] == [
        "3 items of 'Zoo' have no class, and image-classification needs one for each."
    ]
    assert "give them a class, set aside what has none" in answer.json()["hint"]
    assert not DatasetVersion.objects.exists()


def test_one_class_is_not_enough(owner):
    dataset = pictures(owner, ["cat/1.png", "cat/2.png"])
    with pytest.raises(InvalidInputError, match="one class only"):
        create_job(owner, recipe="image-classification", dataset=dataset)


def test_without_items_for_validation_it_is_refused(owner, zoo):
    with pytest.raises(InvalidInputError) as refused:
        create_job(owner, recipe="image-classification", dataset=zoo, validation_fraction=0.0)
    assert "validation_fraction" in refused.value.fields
    assert not DatasetVersion.objects.exists()
    assert create_job(owner, recipe="image-classification", dataset=zoo, validation_fraction=0.4)


def test_a_frozen_version_without_validation_is_refused_too(owner, zoo):
    from datasets.freezing.versions import freeze

    version = freeze(zoo, owner, validation_fraction=0.0)
    with pytest.raises(InvalidInputError) as refused:
        create_job(owner, recipe="image-classification", dataset_version=version)
    assert "dataset_version" in refused.value.fields
