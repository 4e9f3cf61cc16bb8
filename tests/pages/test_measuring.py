"""What the form of a new job recommends, and what it measures."""

import pytest

from datasets.models import Dataset
from engine.config import RecipeConfig, setting
from engine.protocol import Event
from engine.recipes.image_classification.config import ImageClassificationConfig
from jobs import measurements, measuring, recommending
from jobs.creation import check_config
from tests.api.conftest import Api
from tests.jobs.test_labels import pictures
from tests.pages.conftest import HTMX
from tests.world import make_dataset, make_version

FOUND = {
    "event": Event.MEASURED, "steps": 10, "seconds_per_step": 0.1, "examples_per_step": 8, "evaluation_seconds": 1.0,
    "checkpoint_seconds": 0.1, "checkpoint_bytes": 5 << 20, "parameters": 1234, "total_steps": 2000,
    "steps_per_epoch": 25.0, "fixed": True, "evaluate_every": 250, "train_items": 3, "validation_items": 1,
    "memory_bytes": 3 << 30, "device_memory_bytes": None, "device_memory_total": None,
    "build_seconds": 2.0, "device": "CPU",
}  # fmt: skip


@pytest.fixture
def trial(monkeypatch, settings, tmp_path):
    """A node that answers with what is put into the dictionary; `spec` is what it was asked."""
    settings.TRAINHUB_HOME = tmp_path
    (tmp_path / "store").mkdir()
    told = {"last": FOUND}

    def start(path, socket_path):
        told["spec"] = measuring.Spec.read(path)
        told["manifest"] = told["spec"].data.manifest.read_text().splitlines() if told["spec"].data else []

    monkeypatch.setattr(measuring, "ping", lambda path: {"pid": 1})
    monkeypatch.setattr(measuring, "start_trainer", start)
    monkeypatch.setattr(measuring, "_follow", lambda trainer: told["last"])
    return told


def test_what_is_typed_is_measured_on_a_sample(page, owner, trial):
    dataset = make_dataset(owner)
    given = {"recipe": "text-generation", "dataset": dataset.pk, "config.width": "64"}
    html = page.post("/jobs/new/measure", given, headers=HTMX).content.decode()
    assert "4 min" in html and "3.0 GiB" in html and "1,234" in html and "4 items" in html
    assert trial["spec"].config["width"] == 64 and trial["spec"].trial_seconds == measuring.SECONDS
    assert len(trial["manifest"]) == 5 and '"validation"' in "".join(trial["manifest"])
    assert not trial["spec"].work_dir.exists()
    expected = page.get("/jobs/new/expected", given | {"recipe": "text-generation"}).content.decode()
    assert "by a trial" in expected
    assert "<html" in page.post("/jobs/new/measure", given).content.decode()


@pytest.mark.parametrize(
    ("found", "examples", "steps"),
    [
        ({"fixed": True}, 300_000, 2000),  # texts from scratch
        ({"fixed": False, "total_steps": 100, "steps_per_epoch": 2.0}, 3, 100),
        ({"fixed": False, "total_steps": 100, "steps_per_epoch": 2.0}, 150, 300),
        ({"fixed": False, "total_steps": 100, "steps_per_epoch": 2.0}, 300_000, 5000),
    ],
)
def test_steps_of_pairs_and_of_versions_go_by_how_many_there_are(owner, trial, found, examples, steps):
    trial["last"] = FOUND | found | {"build_seconds": 0, "evaluation_seconds": 0, "seconds_per_step": 1}
    config = check_config("text-generation", {})
    guess = measuring.measure("text-generation", config, examples=examples).estimate
    assert guess["seconds"] == pytest.approx(steps)


def test_the_api_measures_when_asked_to(owner, trial):
    dataset = make_dataset(owner)
    given = {"recipe": "text-generation", "dataset": dataset.pk, "measure": True}
    answer = Api(owner).post_json("training/estimate", given).json()
    assert answer["measured"] and answer["memory"] == 3 << 30 and answer["seconds"] > 200
    assert answer["trial"]["fits"] and answer["trial"]["checkpoint_bytes"] == 5 << 20
    assert "trial" not in Api(owner).post_json("training/estimate", given | {"measure": False}).json()


def test_a_run_is_measured_from_where_it_would_start(page, owner, trial, settings, tmp_path):
    settings.TRAINHUB_MODEL_FOLDERS = [str(tmp_path / "models")]
    folder = tmp_path / "models" / "llama"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(b"{}")
    version = make_version(owner)
    given = {"recipe": "text-generation", "dataset": make_dataset(owner).pk}
    page.post("/jobs/new/measure", given | {"config.base_model": "llama"}, headers=HTMX)
    assert trial["spec"].base == folder
    page.post("/jobs/new/measure", given | {"base_version": version.pk}, headers=HTMX)
    assert trial["spec"].base.name == str(version.pk)

    # What one of them took says nothing of a run that starts from scratch, or from another version.
    def expected(**more):
        return page.get("/jobs/new/expected", given | more).content.decode()

    assert "by a trial" in expected(base_version=version.pk)
    assert "by a trial" not in expected() and "by a trial" not in expected(base_version=make_version(owner, "B").pk)
    html = page.post("/jobs/new/measure", given | {"config.method": "lora"}, headers=HTMX).content.decode()
    assert "The method lora adds to a model that is there." in html

    asked = {**given, "base_version": version.pk, "measure": True}
    del trial["spec"]
    answer = Api(owner).post_json("training/estimate", asked).json()
    assert answer["measured"] and trial["spec"].base.name == str(version.pk)
    dataset = Dataset.objects.get(pk=given["dataset"])
    config = check_config("text-generation", {})
    exact = measurements.exact(config, dataset.pk)
    assert measurements.find("text-generation", exact, "cpu", 1) is None
    assert measurements.find("text-generation", exact, "cpu", 1, measurements.beginning(config, version.pk))


def test_what_does_not_fit_is_told_with_what_to_change(page, owner, trial, monkeypatch):
    given = {"recipe": "text-generation", "dataset": make_dataset(owner).pk}
    monkeypatch.setattr(measuring, "_room", lambda device, total: 1 << 30)
    html = page.post("/jobs/new/measure", given, headers=HTMX).content.decode()
    assert "A step takes 3.0 GiB, and the device has 1.0 GiB." in html and "Lower &#x27;Batch size&#x27;" in html
    trial["last"] = {"event": Event.FAILED, "code": "OUT_OF_MEMORY", "message": "Memory ran out.", "hint": ""}
    assert "It would not fit" in page.post("/jobs/new/measure", given, headers=HTMX).content.decode()
    trial["last"] = {"event": Event.FAILED, "code": "BAD_DATA", "message": "Too few <texts>.", "hint": "Add some."}
    html = page.post("/jobs/new/measure", given, headers=HTMX).content.decode()
    assert "Too few &lt;texts&gt;." in html and "Add some." in html


def test_without_a_node_or_beside_another_trial_nothing_is_measured(page, owner, trial, monkeypatch):
    given = {"recipe": "text-generation", "dataset": make_dataset(owner).pk}
    with measuring._alone():
        assert (
            "Something else is being measured" in page.post("/jobs/new/measure", given, headers=HTMX).content.decode()
        )
    monkeypatch.setattr(measuring, "ping", lambda path: None)
    assert "no node runs" in page.post("/jobs/new/measure", given, headers=HTMX).content.decode()


@pytest.mark.parametrize("typed", [{}, {"recipe": "x"}, {"recipe": "simulate", "config.steps": "x"},
                                   {"recipe": "text-generation", "dataset": "9999"}])  # fmt: skip
def test_what_is_no_request_is_refused_in_words(page, trial, typed):
    html = page.post("/jobs/new/measure", typed, headers=HTMX).content.decode()
    assert 'role="alert"' in html


def test_a_wrong_setting_is_told_in_the_words_of_the_form_and_of_the_api(page, owner, trial):
    given = {"recipe": "text-generation", "dataset": make_dataset(owner).pk}
    html = page.post("/jobs/new/measure", given | {"config.batch_size": "x"}, headers=HTMX).content.decode()
    assert "Batch size: Write" in html and "Input should" not in html
    answer = Api(owner).post_json("training/estimate", given | {"measure": True, "config": {"epoch": 1, "steps": "x"}})
    text = answer.content.decode()
    assert answer.status_code == 400 and "Input should" not in text and "not permitted" not in text
    told = answer.json()["errors"]
    assert told["config.steps"] == ["Write auto or a whole number from 1 to 10,000,000."]
    assert told["config.epoch"][0].startswith("There is no setting of this name.")


class Advised(RecipeConfig):
    size: int = setting(8, "Size", "How large.", ge=1, le=100)
    other: int = setting(8, "Other", "Too.", ge=1, le=100)

    @classmethod
    def recommend(cls, facts):
        return {"size": (16, f"there are {facts['items']} <items>"), "other": (9999, "no"), "none": (1, "no")}


def test_a_recommendation_is_shown_with_its_reason_and_taken(page, owner, monkeypatch):
    dataset = make_dataset(owner)
    monkeypatch.setattr(recommending, "config_class", lambda name: Advised)
    assert list(recommending.advice("text-generation", dataset)) == ["size"]
    monkeypatch.setattr("jobs.forms.config_class", lambda name: Advised)
    address = f"/jobs/new?dataset={dataset.pk}&recipe=text-generation"
    html = page.get(address).content.decode()
    assert "Recommended: <b>16</b>, because there are 4 &lt;items&gt;." in html
    typed = "&settings_of=text-generation&config.size=8"
    html = page.get(f"{address}{typed}&take=size", headers=HTMX).content.decode()
    assert 'value="16"' in html and "Recommended" not in html


def test_pictures_are_told_by_number_and_size(owner):
    dataset = pictures(owner, [f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(6)])
    facts = recommending.facts(dataset, "cuda")
    assert facts["items"] == 12 and facts["classes"] == {"cat": 6, "dog": 6} and facts["side"] == 8.0
    assert ImageClassificationConfig.recommend(facts)["batch_size"][0] == 16
