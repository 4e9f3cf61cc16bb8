"""Prompts of a run that generates come from rows of a sheet: kept with the job, bounded, and only one's own."""

import re

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError
from datasets.rendering import renderings
from datasets.rendering import templates as sheet_templates
from engine.recipes.generate.config import MOST_PROMPTS, GenerateConfig, filled, lines
from jobs import lineage
from jobs.creation import create_job
from jobs.endpoints import verbs as endpoints
from jobs.generation import prompts
from jobs.models import Job
from tests.tables import make_table

ROWS = {"Type": ["{L}", "M", "M", "H"], "Note": ["a\nb", "c", "c", None]}


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def table(owner):
    return make_table(owner, files=[ROWS])


@pytest.fixture
def template(owner):
    return sheet_templates.create(owner, name="About", prompt="Tell of {{ Type }}:\n{{ Note }}", completion="x")


@pytest.fixture
def form(owner, template, table):
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="tiny")
    return {
        "recipe": "generate", "settings_of": "generate", "config.generators": "endpoint mine", "seed": "0",
        "prompts_from.template": template.pk, "prompts_from.sheet": table.pk, "config.prompts": "As written.",
    }  # fmt: skip


def test_each_row_makes_one_line_that_asks_just_what_it_says(owner, template, table):
    made = prompts.make(owner, template=template.pk, sheet=table.pk)
    assert made.lines == ("Tell of {{L}}:\\na\\nb", "Tell of M:\\nc")
    assert made.without == 1, "a row with an empty cell makes none"
    kept = lines(GenerateConfig(prompts=made.text).prompts)
    assert [filled(one, "Sea", 3) for one in kept] == ["Tell of {L}:\na\nb", "Tell of M:\nc"]


def test_the_prompts_are_written_down_with_the_job_and_its_lineage_names_their_source(owner, template, table, form):
    asked = {"template": template.pk, "sheet": table.pk}
    wanted = {"recipe": "generate", "config": {"generators": "endpoint mine"}, "prompts_from": asked}
    job, _ = create_job(owner, **wanted, idempotency_key="once")
    sheet_templates.change(template, name="Other", prompt="Changed {{ Type }}")
    job.refresh_from_db()
    assert job.config["prompts"].startswith("Tell of {{L}}")
    source = next(node for node in lineage.lineage(job)["comes_from"] if node["kind"] == "prompts")
    assert (source["id"], source["name"], source["prompts"], source["there"]) == (template.pk, "About", 2, True)
    assert source["comes_from"][0]["name"] == table.name
    assert create_job(owner, **wanted, idempotency_key="once") == (job, False)
    with pytest.raises(ConflictError):
        create_job(owner, **wanted | {"prompts_from": asked | {"limit": 1}}, idempotency_key="once")


def test_without_a_sheet_it_is_the_one_that_the_template_was_used_for_last(owner, template, table):
    with pytest.raises(InvalidInputError, match="rendered over no sheet yet"):
        prompts.make(owner, template=template.pk)
    renderings.start(table, owner, template)
    assert prompts.make(owner, template=template.pk).source["sheet"] == table.pk


def test_more_than_a_run_can_take_are_refused_until_one_says_how_many(owner, template):
    many = make_table(owner, "Many", files=[{"Type": [f"t{n}" for n in range(MOST_PROMPTS + 1)], "Note": ["n"] * 1001}])
    asked = {"template": template.pk, "sheet": many.pk}
    with pytest.raises(InvalidInputError, match="more than the 1,000 prompts") as refused:
        prompts.make(owner, **asked)
    assert list(refused.value.fields) == ["prompts_from.limit"]
    assert len(prompts.make(owner, **asked, limit=3).lines) == 3
    assert len(prompts.make(owner, **asked, limit=MOST_PROMPTS).lines) == MOST_PROMPTS
    for wrong in (0, MOST_PROMPTS + 1):
        with pytest.raises(InvalidInputError, match="out of range"):
            prompts.make(owner, **asked, limit=wrong)


def test_a_table_without_end_is_not_read_to_its_end(owner, template, monkeypatch):
    monkeypatch.setattr(prompts, "LOOKED_AT", 3)
    same = make_table(owner, "Same", files=[{"Type": ["a"] * 9, "Note": ["n"] * 9}])
    with pytest.raises(InvalidInputError, match="more than 3 rows"):
        prompts.make(owner, template=template.pk, sheet=same.pk)
    assert len(prompts.make(owner, template=template.pk, sheet=same.pk, limit=5).lines) == 1


def test_prompts_that_are_too_long_together_are_refused(owner, template):
    long = make_table(owner, "Long", files=[{"Type": [f"{n}" * 500 for n in range(400, 600)], "Note": ["n"] * 200}])
    with pytest.raises(InvalidInputError, match="characters together"):
        prompts.make(owner, template=template.pk, sheet=long.pk)


def test_columns_that_are_not_there_and_data_that_have_no_rows_are_named_at_the_sheet(owner, template):
    other = make_table(owner, "Other", files=[{"Colour": ["red"]}])
    empty = make_table(owner, "Empty", files=[{"Type": [None], "Note": [None]}])
    for sheet, words in ((other, "Type"), (empty, "makes a prompt")):
        with pytest.raises(InvalidInputError, match=words) as refused:
            prompts.make(owner, template=template.pk, sheet=sheet.pk)
        assert list(refused.value.fields) == ["prompts_from.sheet"]


def test_templates_and_sheets_of_others_do_not_exist(owner, stranger, template, table):
    theirs = sheet_templates.create(stranger, name="Theirs", prompt="{{ Type }}", completion="x")
    with pytest.raises(NotFoundError) as refused:
        prompts.make(owner, template=theirs.pk, sheet=table.pk)
    assert list(refused.value.fields) == ["prompts_from.template"]
    with pytest.raises(NotFoundError) as refused:
        prompts.make(owner, template=template.pk, sheet=make_table(stranger, "Hidden").pk)
    assert list(refused.value.fields) == ["prompts_from.sheet"]


def test_only_a_run_that_generates_takes_them_and_only_once(owner, template, table, form):
    asked = {"template": template.pk, "sheet": table.pk}
    with pytest.raises(InvalidInputError, match="takes no prompts"):
        create_job(owner, recipe="simulate", prompts_from=asked)
    with pytest.raises(InvalidInputError, match="given twice"):
        create_job(owner, recipe="generate", config={"prompts": "x"}, prompts_from=asked)


def test_the_form_takes_a_template_in_place_of_what_is_written(page, form, template):
    html = page.get("/jobs/new?recipe=generate").content.decode()
    assert 'name="prompts_from.template"' in html and ">About</option>" in html
    assert page.post("/jobs/new", form).status_code == 302
    job = Job.objects.get()
    assert job.config["prompts"].splitlines()[1] == "Tell of M:\\nc"
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.get(f"/jobs/{job.pk}").content.decode()))
    assert "2 by the template About of Machines" in shown
    template.delete()
    assert page.get(f"/jobs/{job.pk}").status_code == 200, "though the template is gone"


def test_what_is_wrong_with_the_choice_is_told_at_its_field(page, form):
    for wrong, status in (({"prompts_from.template": "999999"}, 404), ({"prompts_from.limit": "none"}, 400)):
        answer = page.post("/jobs/new", form | wrong)
        assert answer.status_code == status
        assert f'id="{next(iter(wrong))}-error"' in answer.content.decode()
    assert not Job.objects.exists()


def test_the_prompts_are_seen_before_the_job_is_started(page, form):
    asked = {key: value for key, value in form.items() if key.startswith("prompts_from")}
    shown = page.get("/jobs/new/prompts", asked).content.decode()
    assert "2 prompts; 1 row makes none" in shown and "Tell of M:\\nc" in shown
    assert "out of range" in page.get("/jobs/new/prompts", asked | {"prompts_from.limit": "5000"}).content.decode()
    assert page.get("/jobs/new/prompts").content.decode().strip() == ""
