"""The form that starts a job comes from the recipe's typed settings, and keeps what was typed."""

import pytest

from engine.catalogue import RECIPES, config_class
from jobs import forms
from jobs.models import Job
from tests.pages.conftest import HTMX
from tests.world import make_dataset, make_job


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_of_every_recipe_is_in_its_form(recipe):
    shown = {setting.name: setting for group in forms.groups(recipe, {}).values() for setting in group}
    assert set(shown) == set(config_class(recipe).model_fields)
    assert all(setting.title and setting.description and setting.group for setting in shown.values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_untouched_form_gives_the_defaults(recipe):
    typed = {s.key: s.value for group in forms.groups(recipe, {}).values() for s in group if s.value}
    assert config_class(recipe).model_validate(forms.read(recipe, typed)) == config_class(recipe)()


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
