"""Quality on the API: the report, runs, findings, acting on them."""

import pytest
from rest_framework.test import APIClient

from datasets.quality import runs
from tests.datasets.planted import rows
from tests.datasets.test_quality_runs import CROW, STORY


@pytest.fixture
def api(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def fables(texts):
    rows(texts, [{"text": text} for text in (STORY, STORY.upper(), CROW, CROW + "Write to crow@example.org.")])
    return texts


@pytest.fixture
def address(fables):
    return f"/api/v1/datasets/{fables.pk}/quality"


@pytest.fixture
def looked_at(api, address, fables):
    answer = api.post(address)
    assert answer.status_code == 202 and answer.json()["status"] == "queued"
    assert api.post(address).status_code == 409
    runs.run_quality(answer.json()["id"])
    return address


def test_a_report_before_and_after_the_first_check(api, address, fables):
    before = api.get(address).json()
    assert (before["score"], before["run"], before["reasons"], before["by_itself"]) == (None, None, [], True)
    runs.run_quality(api.post(address).json()["id"])
    after = api.get(address).json()
    assert after["score"] == pytest.approx((100 + 60 + 100 + 55) / 4, abs=0.1)
    assert {reason["code"]: reason["points"] for reason in after["reasons"]} == {
        "duplicate": 10, "personal_data": 6.25, "near_duplicate": 5,
    }  # fmt: skip
    assert after["histogram"] == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert after["run"]["status"] == "completed" and after["checked_at"]
    assert api.get(f"{address}/runs").json()["count"] == 1


def test_findings_are_filtered(api, looked_at):
    assert api.get(f"{looked_at}/findings").json()["count"] == 3
    found = api.get(f"{looked_at}/findings?code=personal_data").json()["results"]
    assert [(one["name"], one["details"]) for one in found] == [("row-3", {"kinds": {"email": 1}})]
    assert api.get(f"{looked_at}/findings?item={found[0]['item']}").json()["count"] == 2
    assert api.get(f"{looked_at}/findings?dismissed=true").json()["count"] == 0
    assert api.get(f"{looked_at}/findings?code=nonsense").status_code == 400


def test_findings_are_acted_on_and_the_edit_undoes_it(api, looked_at, fables):
    acted = api.post(f"{looked_at}/act", {"action": "set_aside", "code": "duplicate"}, format="json").json()
    assert (acted["items"], acted["rows"]) == (1, 0)
    assert api.get(looked_at).json()["aside"] == {"duplicate": 1}
    assert api.post(f"/api/v1/datasets/{fables.pk}/edits/{acted['edit']}/undo").status_code == 200
    assert api.get(looked_at).json()["aside"] == {}
    for wrong in ({"action": "set_aside"}, {"action": "set_aside", "code": "nonsense"}, {"action": "burn"},
                  {"action": "dismiss"}, {"action": "set_aside", "code": "duplicate", "keep": "last"}):  # fmt: skip
        assert api.post(f"{looked_at}/act", wrong, format="json").status_code == 400, wrong
    assert api.post(f"{looked_at}/act", {"action": "set_aside", "code": "silent"}, format="json").status_code == 409


def test_findings_are_dismissed_by_kind_or_one_by_one(api, looked_at):
    def act(**given):
        return api.post(f"{looked_at}/act", given, format="json").json()["findings"]

    one = api.get(f"{looked_at}/findings?code=personal_data").json()["results"][0]["id"]
    assert act(action="dismiss", findings=[one]) == 1
    assert act(action="dismiss", code="duplicate") == 1
    assert act(action="dismiss", code="duplicate") == 0
    assert api.get(looked_at).json()["dismissed"] == 2
    assert act(action="restore", findings=[one]) == 1
    assert {reason["code"] for reason in api.get(looked_at).json()["reasons"]} == {"personal_data", "near_duplicate"}


def test_a_dataset_can_be_told_not_to_be_checked_by_itself(api, address):
    assert api.patch(address, {"by_itself": False}, format="json").json()["by_itself"] is False
    assert api.get(address).json()["by_itself"] is False


def test_what_belongs_to_others_can_neither_be_seen_nor_acted_on(looked_at, stranger):
    api = APIClient()
    api.force_authenticate(stranger)
    for path in ("", "/runs", "/findings"):
        assert api.get(looked_at + path).status_code == 404
    assert api.post(f"{looked_at}/act", {"action": "dismiss", "code": "duplicate"}, format="json").status_code == 404
    assert api.post(looked_at).status_code == 404
