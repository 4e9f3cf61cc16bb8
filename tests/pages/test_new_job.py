"""The form that starts a job comes from the recipe's typed settings, and keeps what was typed."""

import json
import re

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from engine.catalogue import RECIPES, config_class
from jobs import control, forms
from jobs.creation import check_config
from jobs.models import Job, Node, Slot
from tests.pages.conftest import HTMX
from tests.world import make_dataset, make_job, make_world


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_of_every_recipe_is_in_its_form(recipe):
    shown = {setting.name: setting for group in forms.groups(recipe, {}).values() for setting in group}
    assert set(shown) == set(config_class(recipe).model_fields)
    assert all(setting.title and setting.description and setting.group for setting in shown.values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_untouched_form_gives_the_defaults(recipe):
    typed = {s.key: s.value for group in forms.groups(recipe, {}).values() for s in group if s.value}
    assert config_class(recipe).model_validate(forms.read(recipe, typed)) == config_class(recipe)()


def test_several_values_are_one_field_with_commas():
    typed = {"config.exclude": 'Y2, "Load, total",,  X1 ', "config.features": "auto"}
    read = forms.read("table-baseline", typed)
    assert read["exclude"] == ["Y2", "Load, total", "X1"] and read["features"] == "auto"
    fields = {s.name: s for group in forms.groups("table-baseline", read).values() for s in group}
    assert fields["exclude"].value == 'Y2,"Load, total",X1' and fields["exclude"].kind == "text"
    assert forms.read("table-baseline", {"config.exclude": fields["exclude"].value})["exclude"] == read["exclude"]


def test_a_setting_of_several_lines_keeps_them(page, owner):
    typed = {"recipe": "image-generation", "config.sample_prompts": "a <cat>\r\na dog"}
    read = forms.read("image-generation", typed)
    assert read["sample_prompts"] == "a <cat>\na dog"
    assert {s.name: s.kind for s in forms.groups("image-generation", read)["Progress"]}["sample_prompts"] == "lines"
    address = f"/jobs/new?dataset={make_dataset(owner).pk}&recipe=text-generation&settings_of=text-generation"
    html = page.get(f"{address}&config.sample_prompt=a+cat%0Aa+dog", headers=HTMX).content.decode()
    assert re.search(r'<textarea [^>]*name="config.sample_prompt"[^>]*>a cat\na dog</textarea>', html)


def test_a_real_job_is_started_on_a_dataset(page, owner):
    dataset = make_dataset(owner)
    html = page.get(f"/jobs/new?dataset={dataset.pk}").content.decode()
    assert 'name="config.layers"' in html and 'data-testid="start-job"' in html
    given = {"dataset": dataset.pk, "recipe": "text-generation", "settings_of": "text-generation", "name": "Tales",
             "validation_fraction": "0.25", "test_fraction": "0", "seed": "3", "priority": "5", "device": "cpu",
             "config.steps": "10", "config.learning_rate": "0.002", "idempotency_key": "once"}  # fmt: skip
    answer = page.post("/jobs/new", given)
    job = Job.objects.get()
    assert answer.url == f"/jobs/{job.pk}"
    assert (job.name, job.seed, job.priority, job.resources) == ("Tales", 3, 5, {"device": "cpu"})
    assert (job.config["steps"], job.config["learning_rate"]) == (10, 0.002)
    assert job.dataset_version.validation_fraction == 0.25


def test_pressing_start_twice_makes_one_job(page, owner):
    given = {"recipe": "simulate", "idempotency_key": "the same"}
    assert page.post("/jobs/new", given).url == page.post("/jobs/new", given).url
    assert Job.objects.count() == 1


def test_a_wrong_setting_is_marked_and_everything_typed_is_kept(page, owner):
    given = {"recipe": "simulate", "settings_of": "simulate", "name": "My <name>", "config.steps": "-5",
             "config.memory": "7", "idempotency_key": "k"}  # fmt: skip
    answer = page.post("/jobs/new", given)
    html = answer.content.decode()
    assert answer.status_code == 400
    assert 'id="config.steps-error"' in html and 'aria-invalid="true"' in html
    assert 'value="-5"' in html and 'value="7"' in html and 'value="My &lt;name&gt;"' in html
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("config.steps", "abc"), ("config.steps", "1e999"), ("config.step_seconds", "nan"), ("config.failure", "x"),
        ("config.steps", "9" * 5000), ("seed", "-1"), ("seed", "1.5"), ("seed", "9" * 30), ("priority", "99999"),
        ("recipe", "no-such"), ("device", "toaster"), ("name", "\x00bad\ud800"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_or_cleaned_never_an_error_of_ours(page, field, text):
    typed = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    data = {"recipe": "simulate", "settings_of": "simulate", "idempotency_key": "k"} | {field: typed}
    assert page.post("/jobs/new", data).status_code in {302, 400}


def test_a_recipe_that_needs_data_asks_for_it(page):
    answer = page.post("/jobs/new", {"recipe": "text-generation"})
    assert answer.status_code == 400
    assert "needs a dataset" in answer.content.decode()


def test_changing_data_asks_for_the_form_again_and_keeps_what_was_typed(page, owner):
    dataset = make_dataset(owner)
    given = {"dataset": dataset.pk, "recipe": "simulate", "settings_of": "simulate", "name": "Kept",
             "idempotency_key": "k", "seed": "9"}  # fmt: skip
    html = page.get("/jobs/new", given, headers=HTMX).content.decode()
    assert "<html" not in html
    assert 'value="text-generation" id="recipe-text-generation" checked' in html
    assert 'value="Kept"' in html and 'name="config.layers"' in html


def test_the_split_comes_from_the_server(page, owner):
    dataset = make_dataset(owner)
    html = page.get(f"/jobs/new/split?dataset={dataset.pk}&validation_fraction=0.5").content.decode()
    assert 'data-testid="split"' in html
    for wrong in ("2", "x", "nan", "-1", "1e400"):
        answer = page.get(f"/jobs/new/split?dataset={dataset.pk}&validation_fraction={wrong}")
        assert answer.status_code == 200 and "from 0 to below 1" in answer.content.decode()


def test_a_job_can_start_from_another(page, owner):
    job = make_job(owner, name="The first", config={"steps": 42}, seed=8, priority=2)
    html = page.get(f"/jobs/new?from={job.pk}").content.decode()
    assert 'value="42"' in html and 'value="The first"' in html and 'value="8"' in html


def test_a_copy_keeps_its_subject_and_the_version_it_is_based_on(page, owner, stranger):
    world = make_world(owner)
    job = make_job(owner, name="The first", subject=world.subject, base_version=world.version)
    html = page.get(f"/jobs/new?from={job.pk}").content.decode()
    assert f'<option value="{world.subject.pk}" selected>' in html
    assert f'<option value="{world.version.pk}" selected>' in html, "also where it is of another recipe"
    again = {"recipe": "simulate", "subject": world.subject.pk, "base_version": world.version.pk}
    control.cancel(job, owner)  # one active job of a subject at a time
    page.post("/jobs/new", again)
    copy = Job.objects.latest("pk")
    assert copy != job and (copy.subject, copy.base_version) == (world.subject, world.version)
    page.force_login(stranger)
    answer = page.post("/jobs/new", again)
    told = answer.content.decode()
    assert answer.status_code == 404 and 'id="subject-error"' in told and 'id="base_version-error"' in told
    assert world.subject.name not in told


def test_everything_that_is_wrong_is_told_at_once(page, owner):
    dataset = make_dataset(owner)
    given = {
        "recipe": "text-generation", "settings_of": "text-generation", "dataset": dataset.pk, "seed": "-1",
        "validation_fraction": "2", "config.steps": "0", "config.block_size": "x", "max_seconds": "soon",
        "stall_seconds": "later", "not_before": "2001-01-01T00:00", "devices": "0", "model": "999999", "labels": "a/b",
        "priority": "number", "memory_gib": "lots", "after": "fox", "after_failure": "explode", "split_by": "moon",
    }  # fmt: skip
    html = page.post("/jobs/new", given).content.decode()
    wrong = [key for key in given if key not in {"recipe", "settings_of", "dataset"}]
    marks = {"validation_fraction": "validation", "split_by": "split-by"}
    assert [key for key in wrong if f'id="{marks.get(key, key)}-error"' not in html] == []
    assert "Share for validation, Seed, " in html and " and Stall limit can&#x27;t be used as they are." in html
    assert html.count("autofocus") == 1 and not Job.objects.exists()
    right = {"recipe": "simulate", "settings_of": "simulate", "config.steps": "0", "max_seconds": "soon"}
    html = page.post("/jobs/new", right).content.decode()
    assert "Steps and Time limit can&#x27;t be used as they are." in html
    alone = page.post("/jobs/new", right | {"max_seconds": ""}).content.decode()
    assert "<strong>Steps: Write a whole number" in alone, "one group is told as before"


@pytest.mark.parametrize("name", ["template", "from"])
@pytest.mark.parametrize("key", ["999999", "9" * 30, "9" * 5000, "abc", "-1"])
def test_what_does_not_exist_lends_nothing_and_is_told(page, name, key):
    answer = page.get(f"/jobs/new?{name}={key}")
    assert answer.status_code == 404
    assert "for you" in answer.content.decode() and "Check the address" in answer.content.decode()


@pytest.mark.parametrize(
    ("recipe", "field", "sentence"),
    [
        ("image-classification", "epochs", "Write auto or a whole number from 1 to 10,000."),
        ("image-classification", "label_smoothing", "Write a number from 0 to below 0.5."),
        ("image-classification", "channels", "Choose one of: auto, grey, colour."),
        ("text-generation", "learning_rate", "Write auto or a number above 0 and at most 1."),
        ("text-generation", "sample_prompt", "Write at most 2,000 characters."),
        ("simulate", "duration", "Write a number above 0 and at most 604,800, or leave it empty."),
        ("simulate", "failure", "Choose one of: none, error, crash, kill, not finite, out of memory, hang."),
    ],
)
def test_a_wrong_setting_is_told_what_may_be_written(recipe, field, sentence):
    with pytest.raises(InvalidInputError) as refused:
        check_config(recipe, {field: {"nonsense": 1}})
    assert forms.explained(recipe, refused.value.fields) == {f"config.{field}": [sentence]}
    assert "Input" not in refused.value.message, "nor does the API say it in pydantic's words"


def test_problems_are_said_in_the_words_of_the_form(page, owner):
    dataset = make_dataset(owner)
    given = {"recipe": "text-generation", "settings_of": "text-generation", "dataset": dataset.pk}
    html = page.post("/jobs/new", given | {"config.block_size": "x", "config.steps": "0"}).content.decode()
    assert "<strong>Context length: Write auto or a whole number from 8 to 131,072.</strong>" in html
    assert "Input should" not in html and "block_size:" not in html
    assert html.count("autofocus") == 1
    field = html[html.index('<input class="form-control" id="config.block_size"') :]
    assert "autofocus" in field[: field.index(">")]
    html = page.post("/jobs/new", given | {"validation_fraction": "0.6", "test_fraction": "0.6"}).content.decode()
    assert "<strong>Share for validation: Together" in html


def test_a_problem_of_two_settings_names_their_titles(page):
    given = {"recipe": "simulate", "settings_of": "simulate", "config.failure": "error"}
    html = page.post("/jobs/new", given).content.decode()
    assert "&#x27;Fail at step&#x27;" in html and "fail_at_step." not in html and "config:" not in html


def test_the_address_of_a_sent_form_brings_back_what_was_typed_with_a_new_key(page):
    html = page.get("/jobs/new?recipe=simulate&settings_of=simulate&name=Kept&config.steps=77").content.decode()
    assert 'value="77"' in html and 'value="Kept"' in html
    assert 'name="idempotency_key" value=""' not in html


def test_without_a_gpu_the_form_says_that_such_a_job_would_wait(page):
    assert "No node has a GPU right now" in page.get("/jobs/new").content.decode()
    now = timezone.now()
    node = Node.objects.create(name="n", host="h", started_at=now, heartbeat_at=now)
    Slot.objects.create(node=node, index=0, device="cuda:0", queue="q")
    assert "No node has a GPU right now" not in page.get("/jobs/new").content.decode()
    Node.objects.update(state=Node.State.STOPPED)
    assert "No node has a GPU right now" in page.get("/jobs/new").content.decode()


def test_model_folders_that_suit_the_recipe_are_offered(page, owner, tmp_path, settings):
    settings.TRAINHUB_MODEL_FOLDERS = [str(tmp_path)]
    for name, said in (("writer", {"architectures": ["LlamaForCausalLM"]}), ("eyes", {"image_size": 224})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name} | said))
        (tmp_path / name / "model.safetensors").write_bytes(b"w" * 2048)
    (tmp_path / "writer" / "tokenizer.json").write_text("{}")
    dataset = make_dataset(owner)
    html = page.get(f"/jobs/new?dataset={dataset.pk}").content.decode()
    field = html[html.index('id="config.base_model"') :]
    options = re.findall(r'<option value="([^"]*)"( selected)?>([^<]*)', field[: field.index("</select>")])
    assert options == [("", "", "none"), ("writer", "", "writer — writer, 2.0 KiB")]
    given = {"dataset": dataset.pk, "recipe": "text-generation", "settings_of": "text-generation"}
    for wrong, words in (("eyes", "starts from a language model"), ("gone", "is not there. There are: writer.")):
        html = page.post("/jobs/new", given | {"config.base_model": wrong}).content.decode()
        error = html[html.index('id="config.base_model-error"') :]
        assert words in error[: error.index("</div>")]
        assert f'<option value="{wrong}" selected>{wrong} — not among those that suit' in html, "what was sent is kept"
    html = page.post("/jobs/new", given | {"config.method": "lora"}).content.decode()
    assert 'id="config.base_model-error"' in html and "Choose a base model, or a version to base it on." in html
    page.post("/jobs/new", given | {"config.method": "lora", "config.base_model": "writer"})
    assert Job.objects.get().config["base_model"] == "writer"
