"""Gates, reviews and rules on the API."""

from __future__ import annotations

import pytest

from datasets.gating import governance
from datasets.gating.switches import set_gates
from datasets.models import GovernanceRule
from datasets.reviewing import reviews
from tests.datasets.test_gates import fill

JSON = "application/json"


@pytest.fixture
def api(client):
    """Requests of one person: api(person, method, path, body)."""

    def send(person, method: str, path: str, body=None):
        client.force_login(person)
        return getattr(client, method)(f"/api/v1/{path}", body, **({"content_type": JSON} if method != "get" else {}))

    return send


def test_a_reviewer_who_does_not_own_the_data_votes(images, owner, stranger, api):
    fill(images, 3)
    set_gates(images, owner, approvals=1)
    path = f"datasets/{images.pk}/review"
    assert api(stranger, "get", path).status_code == 404
    given = {"username": "mallory", "share": 100}
    assert api(owner, "post", f"datasets/{images.pk}/reviewers", given).json()["username"] == "mallory"
    assert api(owner, "post", f"datasets/{images.pk}/reviewers", {"username": "nobody"}).status_code == 400
    assert api(stranger, "post", f"datasets/{images.pk}/reviewers", given).status_code == 404, "the owner assigns"
    found = api(stranger, "get", path).json()
    assert found["waiting"] == 3 and [row["round"] for row in found["results"]] == [1, 1, 1]
    assert api(stranger, "get", f"datasets/{images.pk}").status_code == 404, "and sees nothing else of it"
    first, second, _ = (row["id"] for row in found["results"])
    votes = [
        {"item": first, "verdict": "approved", "round": 1}, {"item": second, "verdict": "rejected"},
        {"item": 10**12, "verdict": "approved"},
    ]  # fmt: skip
    answers = api(stranger, "post", path, {"votes": votes}).json()["results"]
    assert [answer["review"] for answer in answers] == ["approved", None, None]
    assert answers[1]["problem"] == "A reason is missing." and "no item" in answers[2]["problem"]
    assert api(stranger, "get", path).json()["states"]["approved"] == 1
    assert api(stranger, "post", f"{path}/undo").json()["review"] == "none"
    assert api(stranger, "post", f"{path}/undo").status_code == 409
    agreed = api(owner, "get", f"datasets/{images.pk}/agreement").json()
    assert (agreed["reviewers"], agreed["kappa"], agreed["pairs"]) == (0, None, [])
    assert api(owner, "delete", f"datasets/{images.pk}/reviewers/{stranger.pk}").status_code == 204
    assert api(stranger, "get", path).status_code == 404


def test_gates_are_switched_and_told(images, owner, stranger, api):
    fill(images, 2)
    path = f"datasets/{images.pk}/gates"
    assert api(owner, "get", path).json() == {
        "approvals": 0, "governed": False, "metadata": {}, "passed": 2, "waiting": 0,
        "left_out": {"set_aside": 0, "rejected": 0, "not_approved": 0, "refused": 0, "unchecked": 0},
    }  # fmt: skip
    changed = api(owner, "patch", path, {"approvals": 1, "governed": True, "metadata": {"licence": "CC0"}}).json()
    assert (changed["passed"], changed["waiting"], changed["left_out"]["not_approved"]) == (0, 2, 2)
    assert api(owner, "patch", path, {"approvals": 9}).status_code == 400
    assert api(owner, "patch", path, {"metadata": {"licence": ["CC0"]}}).status_code == 400
    assert api(stranger, "patch", path, {"approvals": 0}).status_code == 404
    governance.work(images.pk)
    said = api(owner, "get", f"datasets/{images.pk}/decisions").json()
    assert said["count"] == 2 and said["results"][0]["reason"] == "No rule allows it."
    reviews.vote(images.items.first(), owner, "approved")
    assert api(owner, "get", path).json()["left_out"] == {
        "set_aside": 0, "rejected": 0, "not_approved": 1, "refused": 1, "unchecked": 0,
    }  # fmt: skip


def test_administrators_write_rules_and_everyone_reads_them(images, owner, administrator, api):
    rule = {"name": "open", "decision": "allow", "reason": "It is open.",
            "condition": {"field": "licence", "is": "is", "value": "CC0"}}  # fmt: skip
    assert api(owner, "post", "governance/rules", rule).status_code == 403
    made = api(administrator, "post", "governance/rules", rule)
    assert made.status_code == 201 and made.json()["changed_by"] == "admin"
    path = f"governance/rules/{made.json()['id']}"
    assert api(owner, "get", path).json()["condition"] == rule["condition"]
    wrong = api(administrator, "patch", path, {"condition": {"field": "smell", "is": "is", "value": "x"}})
    assert wrong.status_code == 400 and "smell" in str(wrong.json())
    assert api(administrator, "post", "governance/rules", rule).status_code == 409
    assert api(administrator, "patch", path, {"enabled": False}).json()["enabled"] is False
    assert api(owner, "delete", path).status_code == 403
    assert api(administrator, "delete", path).status_code == 204
    assert api(owner, "get", path).status_code == 404


def test_rules_in_the_admin_are_checked_and_applied(images, owner, administrator, client):
    fill(images, 1)
    set_gates(images, owner, governed=True)
    governance.work(images.pk)
    client.force_login(administrator)
    form = {"name": "ours", "position": "5", "decision": "allow", "reason": "Ours.", "enabled": "on", "modality": "",
            "dataset": "", "description": "", "condition": '{"field": "smell", "is": "is", "value": 1}'}  # fmt: skip
    page = "/admin/datasets/governancerule/"
    wrong = client.post(f"{page}add/", form)
    assert "the field &#x27;smell&#x27;, which items do not have" in wrong.content.decode()
    assert client.post(f"{page}add/", form | {"condition": "{}"}).status_code == 302
    rule = GovernanceRule.objects.get()
    assert rule.changed_by == administrator
    governance.work(images.pk)
    assert images.items.get().governance == "allowed"
    assert client.post(f"{page}{rule.pk}/change/", form | {"condition": "{}", "decision": "refuse"}).status_code == 302
    governance.work(images.pk)
    assert images.items.get().governance == "refused" and images.decisions.count() == 3
    assert client.post(f"{page}{rule.pk}/delete/", {"post": "yes"}).status_code == 302
    images.refresh_from_db()
    assert not GovernanceRule.objects.exists() and governance.waiting(images) == 1
    for name in ("governancedecision", "reviewvote", "reviewer", "governancerule"):
        assert client.get(f"/admin/datasets/{name}/").status_code == 200
