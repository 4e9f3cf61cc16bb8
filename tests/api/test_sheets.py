"""Templates, previews and renderings by the API."""

from __future__ import annotations

import pytest

from datasets.models import Template
from datasets.rendering import renderings
from tests.tables import make_table

PARTS = {"prompt": "Type {{ Type }}, {{ note }}?", "completion": "{{ note|upper }}"}


@pytest.fixture
def sheet(owner):
    return make_table(owner)


def test_from_a_template_to_a_training_sheet(alice, sheet):
    made = alice.post_json("templates", {"name": "Notes", **PARTS})
    assert made.status_code == 201
    template = made.json()["id"]
    tried = alice.post_json("templates/preview", {"dataset": sheet.pk, **PARTS, "rows": [0, 9]}).json()
    assert tried["columns"][1] == "Type"
    assert tried["total_rows"] == 20
    assert tried["rows"][0]["content"] == {"prompt": "Type L, note 0?", "completion": "NOTE 0"}
    assert tried["rows"][1]["content"] is None
    assert "'note' is empty" in tried["rows"][1]["reason"]
    asked = alice.post_json(
        f"datasets/{sheet.pk}/render", {"template": template, "name": "Pairs", "label_column": "Type"}
    )
    assert asked.status_code == 202
    rendering = asked.json()
    assert (rendering["status"], rendering["total"], rendering["done"]) == ("queued", 20, 0)
    renderings.run_rendering(rendering["id"])
    ended = alice.get(f"renderings/{rendering['id']}").json()
    assert (ended["status"], ended["made"], ended["failed"], ended["duplicates"]) == ("completed", 18, 2, 0)
    errors = alice.get(f"renderings/{rendering['id']}/errors").json()
    assert [error["row"] for error in errors["results"]] == [9, 19]
    target = alice.get(f"datasets/{ended['target']}").json()
    assert (target["name"], target["modality"], target["status"], target["item_count"]) == (
        "Pairs",
        "text",
        "active",
        18,
    )
    assert alice.get(f"datasets/{sheet.pk}/renderings").json()["count"] == 1
    assert alice.send("DELETE", f"templates/{template}").status_code == 409


def test_templates_are_changed_and_deleted(alice):
    template = alice.post_json("templates", {"name": "Notes", **PARTS}).json()["id"]
    changed = alice.send("PATCH", f"templates/{template}", {"name": "Other", "chat": True})
    assert (changed.json()["name"], changed.json()["chat"], changed.json()["prompt"]) == (
        "Other",
        True,
        PARTS["prompt"],
    )
    assert alice.get("templates?search=oth").json()["count"] == 1
    assert alice.send("DELETE", f"templates/{template}").status_code == 204
    assert not Template.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"prompt": "a\n{{ Typo }}"}, "prompt", "Line 2 of the prompt: there is no column 'Typo'"),
        ({"completion": "{{ Type.x }}"}, "completion", "attributes can't be used"),
        ({"system": "{% for x in y %}{% endfor %}"}, "system", "loops can't be used"),
        ({"label_column": "kind"}, "label_column", "no column 'kind'"),
        ({"prompt": "  "}, "prompt", "empty"),
    ],
)
def test_mistakes_are_told_by_field(alice, sheet, wrong, field, words):
    answer = alice.post_json("templates/preview", {"dataset": sheet.pk, **PARTS, **wrong})
    assert answer.status_code == 400
    assert words in answer.json()["errors"][field][0]
    assert answer.json()["hint"]


def test_what_belongs_to_others_does_not_exist(alice, mallory, sheet, stranger):
    template = alice.post_json("templates", {"name": "Notes", **PARTS}).json()["id"]
    theirs = make_table(stranger, "Theirs")
    for path, body in (
        ("templates/preview", {"dataset": theirs.pk, **PARTS}),
        (f"datasets/{sheet.pk}/render", {"template": template, "target": theirs.pk}),
        (f"datasets/{theirs.pk}/render", {"template": template}),
    ):
        assert alice.post_json(path, body).status_code == 404, path
    assert mallory.post_json(f"datasets/{theirs.pk}/render", {"template": template}).status_code == 404
    assert mallory.get("templates").json()["count"] == 0


def test_a_sheet_without_rows_and_a_row_that_is_not_there(alice, owner, sheet):
    texts = alice.post_json("datasets", {"name": "texts", "modality": "text"}).json()["id"]
    assert alice.post_json("templates/preview", {"dataset": texts, **PARTS}).status_code == 400
    assert alice.post_json("templates/preview", {"dataset": sheet.pk, **PARTS, "rows": [20]}).status_code == 404
