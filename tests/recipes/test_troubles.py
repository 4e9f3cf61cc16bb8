"""Whatever is wrong ends in a good result, or in words that name it and say what to change; and the log tells what was
left out."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.catalogue import RECIPES, config_class
from engine.events import ListSink
from engine.protocol import Event, Exit, FailureCode
from tests.engine.cast import carry_out, make_data, spec
from tests.recipes.language_models import make_llama
from tests.recipes.pipelines import make_pipeline
from tests.recipes.rows import rows_data
from tests.recipes.sheets import sheet_data
from tests.recipes.troubles import SMALL, Trouble, changed, good_files, troubles
from tests.recipes.vision_models import vision_transformer

NAMED_BY_CODE = re.compile(r"\b\w+(Error|Exception|Iteration)\b")
EXPECTED = {FailureCode.BAD_DATA, FailureCode.BAD_CONFIG, FailureCode.NOT_FINITE_LOSS}


def told(code: Exit, sink: ListSink) -> str:
    """What a failed run says; it is in words, and says what to do."""
    last = sink.events[-1]
    assert code is Exit.FAILED and last["code"] in EXPECTED, last
    assert last["message"] and last["hint"] and not NAMED_BY_CODE.search(last["message"] + last["hint"]), last
    return f"{last['message']} {last['hint']}"


def logged(code: Exit, sink: ListSink) -> str:
    """The log of a completed run, whose figures are numbers."""
    last = sink.events[-1]
    assert code is Exit.COMPLETED, last
    assert all(math.isfinite(value) for value in last["metrics"].values())
    return "\n".join(event["message"] for event in sink.of(Event.LOG))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("bases") / "pipeline")


@pytest.mark.parametrize("trouble", troubles(), ids=str)
def test_what_is_wrong_is_told_or_does_no_harm(tmp_path: Path, trouble: Trouble, request) -> None:
    base = request.getfixturevalue("pipeline") if trouble.recipe == "image-generation" else None
    config = SMALL[trouble.recipe] | trouble.config
    done = carry_out(spec(tmp_path, trouble.recipe, config, data=trouble.data(tmp_path), base=base))
    if trouble.told:
        assert re.search(trouble.told, told(*done))
    else:
        assert trouble.logged in logged(*done)


@pytest.mark.parametrize("recipe", [name for name, one in RECIPES.items() if one.modality])
def test_every_recipe_tells_what_its_data_lack(tmp_path: Path, recipe: str) -> None:
    modality = RECIPES[recipe].modality
    assert f"modality '{modality}'" in told(*carry_out(spec(tmp_path, recipe, SMALL[recipe])))
    other = "image" if modality == "text" else "text"
    for kind, words in ((other, f"the recipe trains on {modality}"), (modality, "no items")):
        files = good_files("text-generation") if kind == other else []
        data = make_data(tmp_path / kind, str(kind), files) if files else empty(tmp_path / kind, str(kind))
        assert words in told(*carry_out(spec(tmp_path / kind, recipe, SMALL[recipe], data=data)))


def empty(root: Path, modality: str):
    root.mkdir()
    return make_data(root, modality, [])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_refuses_what_it_can_not_be(tmp_path: Path, recipe: str) -> None:
    """Out of range, of another type, unknown: each is named in one sentence."""
    schema = config_class(recipe).model_json_schema()["properties"]
    wrong: dict[str, object] = {"no_such_setting": 1}
    for name, facts in schema.items():
        kinds = {branch.get("type") for branch in facts.get("anyOf", [facts])}
        wrong[name] = "nonsense" if kinds & {"number", "integer", "boolean"} else {"nonsense": [1]}
    for name, value in wrong.items():
        message = told(*carry_out(spec(tmp_path, recipe, {name: value})))
        assert f"{name}: " in message and message.count(f"{name}: ") == 1, message
    for name, facts in schema.items():
        for branch in facts.get("anyOf", [facts]):
            least = branch.get("minimum", branch.get("exclusiveMinimum"))
            if least is not None:
                message = told(*carry_out(spec(tmp_path, recipe, {name: least - 1})))
                assert f"{name}: " in message and re.search(r" (from|above|multiple of) ", message), message


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    make_llama(folder / "llama")
    vision_transformer(folder / "vit")
    return folder


def cut(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:40])


def without(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in list(folder.glob(pattern)):
            file.unlink() if file.is_file() else shutil.rmtree(file)

    return change


LANGUAGE = [
    ("its folder", shutil.rmtree, "its folder is not there"),
    ("its configuration", without("config.json"), "it has no config.json"),
    ("what it says of itself", lambda folder: (folder / "config.json").write_text("[1]"), "config.json"),
    ("its tokenizer", without("tokenizer*"), "it has no tokenizer"),
    ("the inside of its tokenizer", lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer can't be"),
    ("its weights", without("*.safetensors"), "model.safetensors"),
    ("half of its weights", cut, "its weights are damaged"),
    ("its size", lambda folder: changed(folder, hidden_size=64), "another network than its weights"),
    ("its kind", lambda folder: changed(folder, model_type="nonsense"), "does not recognize this architecture"),
]


@pytest.mark.parametrize("recipe", ["text-generation", "text-classification"])
@pytest.mark.parametrize(("what", "change", "words"), LANGUAGE, ids=[one[0] for one in LANGUAGE])
def test_a_language_model_that_lacks_something(tmp_path, shelf, recipe, what, change, words) -> None:
    base = shutil.copytree(shelf / "llama", tmp_path / "base")
    change(base)
    data = rows_data(tmp_path, [{"text": f"word {n} " * 20} for n in range(12)], ["x", "y"] * 6)
    message = told(*carry_out(spec(tmp_path, recipe, SMALL[recipe], data=data, base=base)))
    assert "The base model 'base' can't be used" in message and words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("config.json"), "it has no config.json"),
        (cut, "its weights are damaged"),
        (lambda folder: changed(folder, hidden_size=64, intermediate_size=128), "another network than its weights"),
    ],
)
def test_a_model_of_pictures_that_lacks_something(tmp_path, shelf, change, words) -> None:
    base = shutil.copytree(shelf / "vit", tmp_path / "base")
    change(base)
    name = "image-classification"
    data = make_data(tmp_path, "image", good_files(name))
    assert words in told(*carry_out(spec(tmp_path, name, SMALL[name], data=data, base=base)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shutil.rmtree, "is no pipeline"),
        (without("tokenizer"), "has no tokenizer"),
        (without("unet"), "no safetensors weights in unet"),
        (without("scheduler"), "can't be loaded"),
        (cut, "can't be loaded"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "can't be read"),
    ],
)
def test_a_pipeline_that_lacks_something(tmp_path, pipeline, change, words) -> None:
    base = shutil.copytree(pipeline, tmp_path / "base")
    change(base)
    name = "image-generation"
    data = make_data(tmp_path, "image", good_files(name))
    assert words in told(*carry_out(spec(tmp_path, name, SMALL[name], data=data, base=base)))
    assert "no base model was chosen" in told(*carry_out(spec(tmp_path, name, SMALL[name], data=data)))


def test_another_kind_of_model_is_no_base(tmp_path, shelf) -> None:
    pictures = make_data(tmp_path / "pictures", "image", good_files("image-classification"))
    for recipe, base, data in (
        ("image-classification", "llama", pictures),
        ("image-generation", "llama", pictures),
        ("text-generation", "vit", rows_data(tmp_path / "rows", [{"text": "word " * 30}] * 5)),
    ):
        message = told(*carry_out(spec(tmp_path, recipe, SMALL[recipe], data=data, base=shelf / base)))
        assert base in message, message


def test_duplicate_names_of_columns_never_reach_a_recipe(tmp_path) -> None:
    """The import gives each column a name of its own; a file that was changed since is refused by its hash."""
    data = sheet_data(tmp_path, {"a": [1.0] * 20, "y": [2.0] * 20})
    for file in data.store.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-4])
    assert "damaged since they were imported" in told(*carry_out(spec(tmp_path, "table-baseline", {}, data=data)))
