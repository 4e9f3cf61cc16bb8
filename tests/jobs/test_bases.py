"""What a job starts from: a model folder or an earlier version, checked at every door and found on the node."""

import json
import os

import pytest
from django.core.management import CommandError, call_command

from common.errors import InvalidInputError
from datasets.creation import create_dataset
from datasets.intake.imports import receive, run_import
from datasets.models import Dataset
from engine import catalogue
from jobs import bases as job_bases
from jobs import blueprints, creation
from jobs.creation import create_job
from registry import bases
from tests.world import Upload, make_dataset, make_version, png

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root(tmp_path, settings):
    settings.TRAINHUB_MODEL_FOLDERS = [str(tmp_path / "models")]
    return tmp_path / "models"


def make_folder(root, name, *files, kind="llama"):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    for file in files:
        (folder / file).write_bytes(b"weights")
    return folder


def refusal(**request):
    with pytest.raises(InvalidInputError) as failure:
        create_job(**request)
    return failure.value


def test_folders_with_safetensors_are_listed_by_their_path_below_a_root(root):
    make_folder(root, "small/llama", "model.safetensors", "pytorch_model.bin")
    make_folder(root, "pickled", "pytorch_model.bin")
    make_folder(root, "empty")
    pipeline = root / "drawer"
    make_folder(pipeline, "unet", "model.safetensors")
    (pipeline / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert [(base.name, base.kind, base.bytes) for base in bases.listed()] == [
        ("drawer", "StableDiffusionPipeline", 7),
        ("small/llama", "llama", 7),
    ]
    with pytest.raises(InvalidInputError, match="pickle files only"):
        bases.find("pickled")
    with pytest.raises(InvalidInputError, match=r"is not there\. There are: drawer, small/llama"):
        bases.find("../small/llama")


def test_no_link_leads_out_of_the_roots(root, tmp_path):
    outside = make_folder(tmp_path, "outside", "model.safetensors")
    root.mkdir()
    os.symlink(outside, root / "linked")
    folder = make_folder(root, "half")
    os.symlink(outside / "model.safetensors", folder / "model.safetensors")
    assert bases.listed() == []
    with pytest.raises(InvalidInputError, match="leads out of the model folder"):
        bases.find("half")


def test_a_base_model_that_is_not_there_is_refused_at_every_door(root, owner):
    make_folder(root, "llama", "model.safetensors")
    dataset = make_dataset(owner)
    request = {"recipe": "text-generation", "dataset": dataset, "config": {"base_model": "lama"}}
    refused = refusal(owner=owner, **request)
    assert "There are: llama" in refused.fields["config.base_model"][0]
    with pytest.raises(InvalidInputError, match="There are: llama"):
        blueprints.check(owner, request | {"dataset": dataset.pk})
    job, _ = create_job(owner, **request | {"config": {"base_model": "llama"}})
    assert job_bases.folder(job) == root / "llama"


def test_a_base_version_is_one_of_the_same_recipe_and_the_only_beginning(root, owner):
    make_folder(root, "llama", "model.safetensors")
    dataset, version = make_dataset(owner), make_version(owner)
    request = {"owner": owner, "recipe": "text-generation", "dataset": dataset}
    other = make_version(owner, "Seer", recipe="image-classification")
    assert "its own versions only" in refusal(**request, base_version=other).fields["base_version"][0]
    assert "two models" in refusal(**request, base_version=version, config={"base_model": "llama"}).message
    job, _ = create_job(**request, base_version=version)
    folder = job_bases.folder(job)
    assert folder.name == str(version.pk) and (folder / "config.json").read_bytes() == b'{"format": 1}'


def test_a_recipe_without_bases_refuses_a_version():
    assert not catalogue.recipe("video-classification").bases
    with pytest.raises(InvalidInputError, match="always starts from scratch"):
        job_bases.check_version("video-classification", make_unsaved())


def make_unsaved():
    from registry.models import Model, ModelVersion

    return ModelVersion(model=Model(name="Seer", recipe="image-classification"), number=1)


def test_models_are_downloaded_only_where_that_is_allowed(root, monkeypatch):
    monkeypatch.delenv("TRAINHUB_MODEL_HUB", raising=False)
    with pytest.raises(CommandError, match="TRAINHUB_MODEL_HUB=1"):
        call_command("fetch_model", "someone/something")


@pytest.fixture
def shelf(root):
    """A folder of each kind: one that writes, one that only reads, one for pictures, and a pipeline."""
    for name, kind, architecture in (("writer", "llama", "LlamaForCausalLM"), ("reader", "bert", "BertForMaskedLM")):
        folder = make_folder(root, name, "model.safetensors", "tokenizer.json", kind=kind)
        (folder / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [architecture]}))
    folder = make_folder(root, "eyes", "model.safetensors", kind="vit")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": 224}))
    folder = make_folder(root / "drawer", "unet", "model.safetensors").parent
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    make_folder(root, "unknown", "model.safetensors", kind="own")
    return root


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("text-generation", ["unknown", "writer"]),
        ("text-classification", ["reader", "unknown", "writer"]),
        ("image-classification", ["eyes", "unknown"]),
        ("image-generation", ["drawer"]),
        ("video-classification", []),
    ],
)
def test_a_recipe_is_offered_the_folders_that_suit_it(shelf, recipe, names):
    assert [base.name for base in job_bases.offered(recipe)] == names


def test_a_folder_of_another_kind_is_refused_with_those_that_suit(shelf):
    refused = refused_config("text-generation", "eyes")
    assert "is vit, and this recipe starts from a language model" in refused
    assert "There are: unknown, writer." in refused
    assert "starts from a pipeline that makes pictures" in refused_config("image-generation", "writer")


def refused_config(recipe, base):
    with pytest.raises(InvalidInputError) as failure:
        creation.check_config(recipe, {"base_model": base})
    return failure.value.fields["config.base_model"][0]


def make_labelled(owner, modality):
    """Two classes of pictures or texts."""
    if modality == "text":
        return make_dataset(owner, files={f"{c}/{n}.txt": f"{c} number {n}".encode() for c in "ab" for n in range(4)})
    dataset, _ = create_dataset(owner, name="Colours", modality="image")
    files = {f"{colour}/{n}.png": png(colour, (8, 8 + n)) for colour in ("teal", "red") for n in range(4)}
    made = receive(dataset, owner, [Upload(path, data) for path, data in files.items()])
    run_import(made.pk)
    return Dataset.objects.get(pk=dataset.pk)


@pytest.mark.parametrize(
    ("recipe", "modality", "config", "words"),
    [
        ("image-generation", "image", {}, "an adapter of a model that is there"),
        ("text-generation", "text", {"method": "lora"}, "The method lora adds to a model that is there"),
        ("text-classification", "text", {"method": "lora"}, "The method lora adds to a model that is there"),
    ],
)
def test_what_needs_a_beginning_is_refused_without_one(shelf, owner, recipe, modality, config, words):
    dataset = make_labelled(owner, modality)
    request = {"recipe": recipe, "dataset": dataset, "config": config}
    assert words in refusal(owner=owner, **request).fields["config.base_model"][0]
    with pytest.raises(InvalidInputError, match="model that is there"):
        blueprints.check(owner, request | {"dataset": dataset.pk})
    base = "drawer" if modality == "image" else "writer"
    create_job(owner, **request | {"config": config | {"base_model": base}})
