"""A model card says what is known of a version, and in sentences what to know before it is used."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ForbiddenError, InvalidInputError
from datasets.freezing.versions import freeze
from engine import report as blocks
from registry.cards import facts, markdown, notes
from registry.models import AliasChange
from tests.api.conftest import Api
from tests.registry.promotion.cast import with_role
from tests.tables import make_table
from tests.world import make_dataset, make_version

ENVIRONMENT = {"python": "3.11", "device": "cpu"}


def by_class(rows):
    table = blocks.Table(
        title="By class, test part", columns=["Class", "Items", "Precision", "Recall", "F1"], rows=rows
    )
    return {"report.json": blocks.pack([table])}


@pytest.fixture
def frozen(owner):
    made = freeze(make_dataset(owner), owner)
    made.counts = {"train": 5000, "validation": 500, "test": 40}
    made.left_out = {"set_aside": 9, "not_approved": 0}
    made.save()
    return made


def classifier(owner, frozen=None, **wanted):
    given = {"metrics": {}, "dataset_version": frozen, "environment": ENVIRONMENT, **wanted}
    return make_version(owner, "Sorter", "text-classification", **given)


def known(version, owner):
    return facts.card(version, owner)["limits"]


def test_a_card_holds_data_figures_and_the_version_before(owner, frozen):
    first = classifier(owner, frozen, metrics={"test/accuracy": 0.7})
    version = classifier(owner, frozen, metrics={"test/accuracy": 0.9, "baseline/test_accuracy": 0.5})
    AliasChange.objects.create(
        model=version.model, alias="champion", kind="promoted", after=version, actor=owner, at=timezone.now()
    )
    card = facts.card(version, owner)
    assert card["metrics"][0] == {
        "name": "test/accuracy", "title": "Test accuracy", "value": 0.9, "baseline": 0.5, "before": 0.7,
    }  # fmt: skip
    assert card["version_before"] == {"id": first.pk, "number": 1}
    assert card["data"]["content_hash"] == frozen.content_hash and card["data"]["left_out_in_words"] == "9 set aside"
    assert card["names"][0]["name"] == "champion" and card["names"][0]["by"] == "alice"
    assert card["environment"] == ENVIRONMENT and card["files"] == version.artifact


def test_a_good_version_has_few_limits(owner, frozen):
    frozen.counts["test"] = 500
    frozen.save()
    frozen.dataset.approvals = 1
    frozen.dataset.save()
    version = classifier(owner, frozen, metrics={"test/accuracy": 0.9, "baseline/test_accuracy": 0.5})
    assert known(version, owner) == []


@pytest.mark.parametrize(
    ("counts", "metrics", "sentence"),
    [
        ({"train": 40, "validation": 500, "test": 500}, {}, "learned from few examples: 40"),
        ({"train": 5000, "validation": 0, "test": 0}, {}, "No examples were held out"),
        ({"train": 5000, "validation": 500, "test": 0}, {}, "no test part"),
        ({"train": 5000, "validation": 500, "test": 40}, {"test/accuracy": 0.9}, "accuracy may be 10 % off"),
        ({"train": 5000, "validation": 500, "test": 500}, {"test/accuracy": 0.9}, "compared with no baseline"),
        ({"train": 5000, "validation": 500, "test": 500}, {"test/accuracy": 0.5, "baseline/test_accuracy": 0.6},
         "no better than the baseline"),
        ({"train": 5000, "validation": 500, "test": 500}, {"validation/loss": 2.0, "baseline/loss": 1.0},
         "no better than the baseline"),
        ({"train": 5000, "validation": 500, "test": 500}, {"train/accuracy": 0.99, "validation/accuracy": 0.6},
         "by heart"),
    ],
)  # fmt: skip
def test_rules_say_what_they_found(owner, frozen, counts, metrics, sentence):
    frozen.counts = counts
    frozen.save()
    assert any(sentence in one for one in known(classifier(owner, frozen, metrics=metrics), owner)), sentence


def test_of_tables_rows_are_counted_and_not_files(owner):
    table = make_table(owner, "Valves", [{"a": [float(n) for n in range(400)], "b": ["x"] * 400}])
    data = freeze(table, owner, validation_fraction=0, test_fraction=0)
    shares = {"validation_fraction": 0.2, "test_fraction": 0.1}
    version = make_version(owner, "Valve", "table-baseline", metrics={}, dataset_version=data, config=shares)
    assert facts.card(version, owner)["data"]["examples"] == {"train": 280, "validation": 80, "test": 40}
    said = " ".join(known(version, owner))
    assert "few examples" not in said and "No examples were held out" not in said
    assert "test part is small: 40 examples" in said


def test_a_version_that_is_worse_than_the_one_before_says_so(owner, frozen):
    classifier(owner, frozen, metrics={"validation/loss": 0.5})
    worse = classifier(owner, frozen, metrics={"validation/loss": 0.9})
    assert any("worse than of the version before" in one for one in known(worse, owner))
    better = classifier(owner, frozen, metrics={"validation/loss": 0.1})
    assert not any("version before" in one for one in known(better, owner))


def test_classes_that_are_missed_rare_or_uneven_are_named(owner, frozen):
    rows = [["cat", 400.0, 0.9, 0.95, 0.9], ["lynx", 4.0, 0.5, 0.25, 0.3]]
    found = " ".join(known(classifier(owner, frozen, more=by_class(rows)), owner))
    assert "misses more than half of some classes: lynx (25 %)" in found
    assert "fewer than 10 to measure by: lynx (4)" in found and "100 times as many" in found


def test_nothing_of_the_data_is_shown_to_whom_it_is_hidden_from(owner, stranger, frozen):
    version = classifier(stranger, frozen)
    card = facts.card(version, stranger)
    assert card["data"] is None and frozen.dataset.name not in markdown.text(card)
    assert Api(owner).get(f"versions/{version.pk}/card").status_code == 404


def test_what_people_wrote_is_no_markdown(owner):
    version = make_version(owner, "<b>[x](javascript:1)|\n# Title")
    text = markdown.text(facts.card(version, owner))
    assert text.splitlines()[0].startswith("# \\<b\\>\\[x\\](javascript:1)\\| \\# Title")


def test_the_doors_give_it_as_page_json_and_markdown(owner, frozen, client):
    rows = [["cat", 400.0, 0.9, 0.95, 0.9]]
    version = classifier(owner, frozen, metrics={"test/accuracy": 0.9}, more=by_class(rows))
    api = Api(owner)
    assert api.get(f"versions/{version.pk}/card").json()["task"]["recipe"] == "text-classification"
    text = b"".join(api.get(f"versions/{version.pk}/card?format=markdown").streaming_content).decode()
    assert "# Sorter v1" in text and "## By class, test part" in text and frozen.content_hash in text
    assert api.get(f"versions/{version.pk}/card?format=pdf").status_code == 400
    client.force_login(owner)
    page = client.get(f"/versions/{version.pk}/card").content.decode()
    assert "By class, test part" in page and frozen.content_hash in page and 'data-testid="limits"' in page
    assert 'data-testid="limits"' in client.get(f"/versions/{version.pk}").content.decode()


def test_what_the_owner_says_stands_on_the_card_of_the_version_and_of_all(owner, stranger):
    one, two = classifier(owner), classifier(owner)
    notes.change(one.model, owner, intended_use="Sorting letters.\r\n\r\n- # by hand", limits="  ")
    row = notes.change(two, owner, limits="Not for <b>parcels</b>.")
    assert notes.change(two, owner, limits="Not for <b>parcels</b>.").changed_at == row.changed_at
    assert facts.card(one, owner)["notes"]["version"] is None
    said = facts.card(two, owner)["notes"]
    assert (said["version"]["limits"], said["version"]["by"]) == ("Not for <b>parcels</b>.", "alice")
    assert said["model"]["intended_use"] == "Sorting letters.\n\n- # by hand"
    text = markdown.text(facts.card(two, owner))
    assert "## What its owner says" in text and "**Limits** of this version, by alice" in text
    assert "\n\nNot for \\<b\\>parcels\\</b\\>.\n\n**Intended use** of all versions" in text
    assert "\n\nSorting letters.\n\n\\- \\# by hand\n" in text, "nothing of it is taken for Markdown"
    notes.change(two, owner, limits="")
    assert facts.card(two, owner)["notes"]["version"] is None
    told = AuditEntry.objects.filter(verb="changed the notes on a card").order_by("id")
    assert [entry.kind for entry in told] == ["model", "modelversion", "modelversion"]
    assert json.loads(told[2].details)["before"] == {"limits": "Not for <b>parcels</b>."}, "with what stood there"
    for other in (stranger, with_role("marge", "Release managers")):
        with pytest.raises(ForbiddenError, match="may not change the notes on the card"):
            notes.change(two, other, limits="Mine.")
    with pytest.raises(InvalidInputError):
        notes.change(two, owner, limits="x" * (notes.LONGEST + 1))


def test_notes_are_written_by_the_api_and_on_a_page_by_the_owner_alone(owner, stranger, client):
    version = classifier(owner)
    alice, mallory, marge = Api(owner), Api(stranger), Api(with_role("marge", "Release managers"))
    for address in (f"versions/{version.pk}/card/notes", f"models/{version.model_id}/card/notes"):
        assert alice.get(address).json() == {"intended_use": "", "limits": "", "by": None, "at": None}
        made = alice.send("PUT", address, {"intended_use": "Letters."}).json()
        assert (made["intended_use"], made["limits"], made["by"]) == ("Letters.", "", "alice")
        assert alice.send("PUT", address, {"limits": "x" * 4001}).status_code == 400
        assert marge.get(address).json() == made and marge.send("PUT", address, {"limits": "x"}).status_code == 403
        assert mallory.get(address).status_code == mallory.send("PUT", address, {"limits": "x"}).status_code == 404
    assert alice.get(f"versions/{version.pk}/card").json()["notes"]["model"]["intended_use"] == "Letters."
    client.force_login(owner)
    page = f"/versions/{version.pk}/card/notes"
    assert ">Letters.</textarea>" in client.get(page).content.decode()
    long = client.post(page, {"limits": "x" * 4001})
    assert long.status_code == 400 and 'id="limits-error"' in long.content.decode()
    shown = client.post(page, {"intended_use": "Letters.", "limits": "No <i>parcels</i>.\r\nNone."}, follow=True)
    assert "are saved" in shown.content.decode() and shown.redirect_chain[0][0] == f"/versions/{version.pk}/card"
    for address in (f"/versions/{version.pk}/card", f"/versions/{version.pk}"):
        assert "No &lt;i&gt;parcels&lt;/i&gt;.<br>None." in client.get(address).content.decode()
    saved = client.post(f"/models/{version.model_id}/card/notes", {"intended_use": "Post.", "limits": ""}, follow=True)
    assert "Post." in saved.content.decode() and saved.redirect_chain[0][0] == f"/models/{version.model_id}"
    client.force_login(with_role("marge", "Release managers"))
    assert client.get(page).status_code == client.post(page, {"limits": "x"}).status_code == 403
    assert "card/notes" not in client.get(f"/models/{version.model_id}").content.decode()
