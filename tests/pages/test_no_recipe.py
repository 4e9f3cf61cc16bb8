"""Data that no recipe trains on: the form of a new job says so, and nothing leads there."""

import pytest

from datasets import fitting
from datasets.models import Dataset, Modality
from engine.catalogue import RECIPES
from tests.world import make_dataset


@pytest.fixture(params=Modality.values)
def modality(request, monkeypatch):
    """A kind of data, and a hub whose recipes don't train on it."""
    others = {name: recipe for name, recipe in RECIPES.items() if recipe.modality != request.param}
    monkeypatch.setattr(fitting, "RECIPES", others)
    return request.param


def dataset_of(owner, modality, name="Found things"):
    return Dataset.objects.create(owner=owner, name=name, modality=modality, status="active", item_count=3)


@pytest.mark.parametrize("asked", ["", "&recipe=zz", "&recipe=simulate", "&recipe=text-generation&settings_of=zz"])
def test_the_form_says_that_no_recipe_trains_on_it(page, owner, modality, asked):
    dataset = dataset_of(owner, modality)
    answer = page.get(f"/jobs/new?dataset={dataset.pk}{asked}")
    html = answer.content.decode()
    assert answer.status_code == 200 and 'data-testid="no-recipe"' in html
    assert 'data-testid="start-job"' not in html and 'name="recipe"' not in html
    assert (f"/datasets/{dataset.pk}/sheet" in html) is (modality == "table")


def test_it_can_not_be_sent_either(page, owner, modality):
    dataset = dataset_of(owner, modality)
    answer = page.post("/jobs/new", {"dataset": dataset.pk, "recipe": "", "settings_of": ""})
    assert answer.status_code == 400 and "Choose a recipe." in answer.content.decode()


def test_the_form_opens_with_the_newest_data_that_can_be_trained_on(page, owner, modality):
    dataset_of(owner, modality)
    html = page.get("/jobs/new").content.decode()
    assert 'data-testid="start-job"' in html and 'data-testid="no-recipe"' not in html
    fits = next(kind for kind in ("text", "image") if kind != modality)
    older = dataset_of(owner, fits, "Older")
    dataset_of(owner, modality, "Newer")
    assert f'<option value="{older.pk}" selected>' in page.get("/jobs/new").content.decode()


def test_the_page_of_such_data_has_no_button_that_leads_there(page, owner, modality):
    dataset = dataset_of(owner, modality)
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert 'data-testid="train-on-this"' not in html
    assert ("Make training pairs" in html) is (modality == "table")


@pytest.mark.parametrize("modality", Modality.values)
def test_the_form_opens_for_every_kind_of_data(page, owner, modality):
    answer = page.get(f"/jobs/new?dataset={dataset_of(owner, modality).pk}")
    fits = any(recipe.modality == modality for recipe in RECIPES.values())
    assert answer.status_code == 200 and ('data-testid="start-job"' in answer.content.decode()) is fits


def test_a_job_without_anything_to_train_on_can_not_be_sent(page, owner):
    dataset = make_dataset(owner)
    Dataset.objects.filter(pk=dataset.pk).update(approvals=1)
    html = page.get(f"/jobs/new?dataset={dataset.pk}").content.decode()
    assert "No item may be trained on: 4 not approved yet." in html
    assert f'href="/datasets/{dataset.pk}/gates"' in html
    assert 'data-testid="start-job" disabled' in html
    dataset.items.update(review="approved")
    assert 'data-testid="start-job">' in page.get(f"/jobs/new?dataset={dataset.pk}").content.decode()
