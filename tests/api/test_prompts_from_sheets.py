"""Prompts from the rows of a sheet, by the API."""

from datasets.rendering import templates as sheet_templates
from jobs.endpoints import verbs as endpoints
from tests.tables import make_table


def test_a_run_takes_its_prompts_from_a_template_and_a_sheet(alice, owner, stranger):
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="tiny")
    table = make_table(owner, files=[{"Type": ["L", "M"]}])
    template = sheet_templates.create(owner, name="About", prompt="Tell of {{ Type }}", completion="x")
    body = {"recipe": "generate", "config": {"generators": "endpoint mine"}}
    asked = {"template": template.pk, "sheet": table.pk}
    made = alice.post_json("training/jobs", body | {"prompts_from": asked})
    assert made.status_code == 201, made.content
    assert made.json()["config"]["prompts"] == "Tell of L\nTell of M"
    theirs = sheet_templates.create(stranger, name="Theirs", prompt="{{ Type }}", completion="x")
    refused = alice.post_json("training/jobs", body | {"prompts_from": asked | {"template": theirs.pk}})
    assert refused.status_code == 404
    for wrong in ({"sheet": table.pk}, asked | {"limit": 0}, asked | {"limit": 1001}, asked | {"column": 1}, 3):
        answer = alice.post_json("training/jobs", body | {"prompts_from": wrong})
        assert answer.status_code == 400 and "prompts_from" in str(answer.json()["errors"]), wrong
    kept = {"name": "Kept", "request": body | {"prompts_from": asked}}
    assert alice.post_json("training/templates", kept).status_code == 400, "a kept request has the prompts themselves"
