"""The pages of templates with rules, and the form of a job that begins with one."""

import re

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from datasets.freezing import versions
from engine.catalogue import RECIPES
from jobs import blueprints, forms
from jobs.models import Job, JobTemplate
from tests.world import make_dataset, make_job

SIMULATE = {"recipe": "simulate", "config": {"steps": 7}, "seed": 5, "name": "Small"}


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("&#x27;", "'")


def make_template(owner, name="Ruled", request=SIMULATE, **rules):
    return blueprints.save(owner, name, request, **rules)


def test_a_locked_frozen_version_is_the_dataset_of_all_its_jobs(owner, page):
    dataset = make_dataset(owner)
    frozen = versions.freeze(dataset, owner)
    template = make_template(
        owner, request={"recipe": "text-generation", "dataset_version": frozen.pk}, locked=["dataset"]
    )
    with pytest.raises(InvalidInputError) as refused:
        blueprints.start_from(template, {"dataset": dataset.pk}, timezone.now())
    assert "dataset" in refused.value.fields
    form = {"template": template.pk, "recipe": "text-generation", "settings_of": "text-generation", "seed": 4}
    answer = page.post("/jobs/new", form)
    assert answer.status_code == 302, text_of(answer)
    assert Job.objects.get().dataset_version == frozen, "and no other was frozen"


def test_the_form_shows_what_is_locked_and_asks_for_what_is_required(page, owner):
    template = make_template(owner, required=["seed", "name"], locked=["config.steps", "resources"])
    html = page.get(f"/jobs/new?template={template.pk}").content.decode()
    locked = re.search(
        r'<fieldset[^>]*disabled[^>]*data-rule="locked">(?:(?!</fieldset>).)*id="config.steps".*?>', html, re.S
    )
    assert locked and 'value="7"' in locked[0]
    assert re.search(r'data-rule="required">(?:(?!</div>).)*id="seed"[^>]*value=""', html, re.S)
    form = {"template": template.pk, "recipe": "simulate", "settings_of": "simulate"}
    answer = page.post("/jobs/new", form | {"config.steps": "8", "name": " "})
    assert answer.status_code == 400
    told = text_of(answer)
    assert "'Name', 'Seed'" in told or "Name" in told
    html = answer.content.decode()
    for field in ("name", "seed", "config.steps"):
        assert f'id="{field}-error"' in html, field
    assert 'value="7"' in html and "The template locks this" in html
    assert not Job.objects.exists()
    assert page.post("/jobs/new", form | {"name": "Mine", "seed": "3"}).status_code == 302
    job = Job.objects.get()
    assert (job.name, job.seed, job.config["steps"]) == ("Mine", 3, 7)


def test_a_locked_name_is_filled_in_as_by_a_schedule(page, owner):
    template = make_template(owner, request=SIMULATE | {"name": "Of {date}"}, locked=["name"])
    form = {"template": template.pk, "recipe": "simulate", "settings_of": "simulate"}
    assert page.post("/jobs/new", form).status_code == 302
    assert re.fullmatch(r"Of \d{4}-\d\d-\d\d", Job.objects.get().name)


def test_another_recipe_or_somebody_elses_template_is_refused_by_the_form(page, owner, stranger):
    template = make_template(owner, locked=["seed"])
    form = {"template": template.pk, "recipe": "generate", "settings_of": "generate"}
    answer = page.post("/jobs/new", form)
    assert answer.status_code == 400 and "rules are about its own recipe" in text_of(answer)
    theirs = make_template(stranger, locked=["seed"])
    assert page.post("/jobs/new", form | {"template": theirs.pk, "recipe": "simulate"}).status_code == 404
    assert page.get("/jobs/new/split", {"template": theirs.pk}).status_code == 404


def test_rules_are_chosen_on_the_pages_of_templates(page, owner):
    job = make_job(owner, config={"steps": 7})
    assert 'name="rule.config.steps"' in page.get(f"/templates/new?job={job.pk}").content.decode()
    form = {"job": job.pk, "name": "Ruled", "rule.config.steps": "locked", "rule.seed": "required", "rule.name": ""}
    page.post("/templates/new", form)
    template = JobTemplate.objects.get()
    assert (template.required, template.locked) == (["seed"], ["config.steps"])
    listed = text_of(page.get("/templates"))
    assert "Asks for Seed" in listed and "Locks Steps" in listed and "Fill in and start" in listed
    address = f"/templates/{template.pk}/edit"
    assert re.search(r'id="rule.seed".*?value="required" selected', page.get(address).content.decode(), re.S)
    answer = page.post(address, {"name": "Ruled", "job": "", "rule.subject": "locked"})
    assert answer.status_code == 400 and "'Subject' has no value to keep" in text_of(answer)
    page.post(address, {"name": "Ruled", "job": "", "rule.seed": "locked"})
    template.refresh_from_db()
    assert (template.required, template.locked) == ([], ["seed"])


def test_a_switch_that_is_asked_for_is_neither_on_nor_off(page, owner):
    recipe, key = next(
        (name, one.key)
        for name in RECIPES
        if RECIPES[name].modality == "text"
        for group in forms.groups(name, {}).values()
        for one in group
        if one.kind == "checkbox"
    )
    dataset = make_dataset(owner)
    template = make_template(owner, request={"recipe": recipe, "dataset": dataset.pk}, required=[key])
    assert '<option value="">Choose…' in page.get(f"/jobs/new?template={template.pk}").content.decode()
    form = {"template": template.pk, "recipe": recipe, "settings_of": recipe, "dataset": dataset.pk}
    assert page.post("/jobs/new", form).status_code == 400
    answer = page.post("/jobs/new", form | {key: "off"})
    assert answer.status_code == 302, text_of(answer)
    assert Job.objects.get().config[key.removeprefix("config.")] is False
