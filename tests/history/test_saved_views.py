"""Saved views: kept, applied, renamed, deleted, and nobody else's."""

import pytest
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from history import saved_views
from history.models import SavedView
from history.recording import record_reported
from tests.api.conftest import Api


def test_a_view_keeps_filters_and_order_as_an_address(owner):
    view = saved_views.create(owner, " Failed  ones ", {"outcome": "failed", "search": "a b", "kind": ""}, "-time")
    assert (view.name, saved_views.query(view)) == ("Failed ones", "search=a+b&outcome=failed&sort=-time")


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x" * 101}, {"given": {"outcome": "x"}}, {"sort": "password"}]
)
def test_what_cannot_be_kept_is_refused(owner, wrong):
    with pytest.raises(InvalidInputError):
        saved_views.create(owner, **{"name": "ok", "given": {}, **wrong})


def test_a_name_is_taken_once_by_each_person_and_views_are_limited(owner, stranger, monkeypatch):
    saved_views.create(owner, "a", {})
    saved_views.create(stranger, "a", {})
    second = saved_views.create(owner, "b", {})
    with pytest.raises(ConflictError):
        saved_views.create(owner, "a", {})
    with pytest.raises(ConflictError):
        saved_views.change(second, name="a")
    monkeypatch.setattr(saved_views, "MOST", 2)
    with pytest.raises(ConflictError, match="2 saved views"):
        saved_views.create(owner, "c", {})


def test_the_api_makes_shows_changes_and_deletes(owner, stranger):
    alice, mallory = Api(owner), Api(stranger)
    body = {"name": "Failed", "filters": {"outcome": "failed", "since": "2026-03-01"}, "sort": "-time"}
    made = alice.post_json("training-history/views", body)
    path = f"training-history/views/{made.json()['id']}"
    assert (made.status_code, made.json()["filters"]) == (201, {"outcome": "failed", "since": "2026-03-01"})
    assert [view["name"] for view in alice.get("training-history/views").json()["results"]] == ["Failed"]
    assert mallory.get("training-history/views").json()["count"] == 0
    for method in ("GET", "PATCH", "DELETE"):
        assert mallory.send(method, path, {"name": "Mine"}).status_code == 404
    changed = alice.send("PATCH", path, {"name": "Lost", "filters": {"kind": "training"}}).json()
    assert (changed["name"], changed["filters"], changed["sort"]) == ("Lost", {"kind": "training"}, "-time")
    for wrong in ({"filters": {"owner": 1}}, {"filters": {"subject": 999}}, {"sort": "x"}, {"name": ""}):
        assert alice.send("PATCH", path, wrong).status_code == 400, wrong
    assert alice.send("DELETE", path).status_code == 204
    assert not SavedView.objects.exists()


def test_the_pages_keep_apply_rename_and_delete(client, owner, stranger):
    now = timezone.now()
    record_reported(owner, {"name": "Fox", "started_at": now, "completed_at": now})
    client.force_login(owner)
    sent = {"view_name": "Failures", "outcome": "failed", "sort": "-started"}
    assert client.post("/history/views", sent).url == "/history?outcome=failed"
    html = client.get("/history?outcome=failed").content.decode()
    assert "Failures" in html and 'aria-current="true"' in html and "No run fits" in html
    view = SavedView.objects.get()
    assert client.post(f"/history/views/{view.pk}", {"name": ""}).status_code == 400
    assert client.post(f"/history/views/{view.pk}", {"name": "Lost"}).url == "/history?outcome=failed"
    assert client.post("/history/views", sent | {"view_name": "Lost"}).status_code == 302
    assert "called &#x27;Lost&#x27; already" in client.get("/history").content.decode()
    client.force_login(stranger)
    for path in (f"/history/views/{view.pk}", f"/history/views/{view.pk}/delete"):
        assert client.get(path).status_code == client.post(path).status_code == 404
    client.force_login(owner)
    assert "Delete the view" in client.get(f"/history/views/{view.pk}/delete").content.decode()
    client.post(f"/history/views/{view.pk}/delete")
    assert not SavedView.objects.exists()
