"""Logged predictions by API and pages: looked through, told the truth, taken along; never by a stranger."""

import csv
import io
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from registry.access import make_roles
from registry.logged import browsing, policies
from registry.models import Outcome
from tests.api.conftest import Api
from tests.registry.logged.cast import CAT, at, classifier, logged, regressor


@pytest.fixture
def version(owner):
    return classifier(owner)


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def approver(db, django_user_model):
    """Sees all models, and may not see what they predicted."""
    make_roles()
    carol = django_user_model.objects.create_user("carol")
    carol.groups.add(Group.objects.get(name="Approvers"))
    return carol


def ids(answer):
    return [row["id"] for row in answer.json()["results"]]


def test_the_list_is_filtered_by_version_group_time_and_outcome(alice, owner, version, monkeypatch):
    second = classifier(owner)
    day = timedelta(days=1)
    with monkeypatch.context() as patch:
        at(patch, timezone.now() - day)
        old = logged(version, owner, group="north")
    new = logged(version, owner)
    other = logged(second, owner, group="north")
    logged(regressor(owner), owner, {"value": 1.0})
    alice.post_json(f"predictions/{old.pk}/outcome", {"truth": "cat"})
    alice.post_json(f"predictions/{other.pk}/outcome", {"truth": "dog"})
    base = f"predictions?model={version.model_id}"
    expected = {
        "": [other, new, old], f"&version={version.pk}": [new, old], "&group=north": [other, old],
        f"&group=north&version={version.pk}": [old], "&has_outcome=true": [other, old], "&has_outcome=false": [new],
        "&wrong=true": [other], f"&wrong=true&version={version.pk}": [],
        f"&to={(timezone.now() - day / 2).isoformat().replace('+', '%2B')}": [old],
        f"&from={(timezone.now() - day / 2).isoformat().replace('+', '%2B')}": [other, new],
    }  # fmt: skip
    for query, rows in expected.items():
        assert ids(alice.get(base + query)) == [str(row.pk) for row in rows], query
    row = alice.get(base + "&wrong=true").json()["results"][0]
    assert (row["label"], row["outcome"]["truth"], row["outcome"]["correct"], row["by"]) == (
        "cat",
        "dog",
        False,
        "alice",
    )
    for wrong in (
        "",
        "model=x",
        "model=1&kind=3",
        base[12:] + "&from=2026-01-01T00:00:00",
        base[12:] + "&page_size=201",
    ):
        assert alice.get(f"predictions?{wrong}").status_code == 400, wrong


@pytest.mark.parametrize("query", ["", "&group=north", "&has_outcome=true", "&has_outcome=false"])
def test_pages_follow_each_other_in_both_directions(alice, owner, version, monkeypatch, query):
    monkeypatch.setattr(browsing, "FIRST_STRETCH", 2)
    rows = [logged(version, owner, group="north" if n % 3 else "south") for n in range(13)]
    for row in rows[::2]:
        alice.post_json(f"predictions/{row.pk}/outcome", {"truth": "cat"})
    base = f"predictions?model={version.model_id}{query}"
    whole = ids(alice.get(base))
    pages, after = [], ""
    while True:
        page = alice.get(f"{base}&page_size=3{after}").json()
        pages.append(page)
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    assert [row["id"] for page in pages for row in page["results"]] == whole
    assert pages[0]["previous"] is None and len(pages) > 1
    back = alice.get(f"{base}&page_size=3&before={pages[1]['previous']}").json()
    assert [row["id"] for row in back["results"]] == whole[:3]


def test_a_search_that_takes_long_says_where_to_go_on(alice, owner, version, monkeypatch):
    monkeypatch.setattr(browsing, "BUDGET", 0.0)
    monkeypatch.setattr(browsing, "FIRST_STRETCH", 2)
    wanted = logged(version, owner, group="rare")
    for _ in range(5):
        logged(version, owner)
    page = alice.get(f"predictions?model={version.model_id}&group=rare").json()
    assert (page["partial"], page["results"]) == (True, [])
    found = []
    while page["next"]:
        page = alice.get(f"predictions?model={version.model_id}&group=rare&after={page['next']}").json()
        found += [row["id"] for row in page["results"]]
    assert found == [str(wanted.pk)]


def test_the_list_costs_the_same_for_few_and_for_many(alice, owner, version, django_assert_num_queries):
    for _ in range(20):
        logged(version, owner)
    with django_assert_num_queries(7):
        assert len(ids(alice.get(f"predictions?model={version.model_id}"))) == 20


def test_one_prediction_is_shown_with_all_that_is_kept(alice, owner, version):
    policies.change_policy(version.model, owner, keep="full", share=1, days=9)
    row = alice.get(f"predictions/{logged(version, owner, given='a fox').pk}").json()
    assert (row["input"], row["output"], row["features"]["words"], row["outcome"]) == ("a fox", CAT, 2, None)
    assert alice.get(f"predictions/{uuid4()}").status_code == 404


def test_outcomes_are_sent_alone_and_together(alice, owner, version):
    first, second = (str(logged(version, owner).pk) for _ in range(2))
    answer = alice.post_json(f"predictions/{first}/outcome", {"truth": "cat", "value": 1})
    assert (answer.status_code, answer.json()["outcome"]["correct"]) == (201, True)
    assert alice.post_json(f"predictions/{first}/outcome", {"truth": "cat"}).status_code == 200
    assert alice.post_json(f"predictions/{first}/outcome", {"truth": "dog"}).status_code == 409
    replaced = alice.post_json(f"predictions/{first}/outcome", {"truth": "dog", "replace": True})
    assert (replaced.status_code, replaced.json()["status"]) == (200, "replaced")
    for wrong in ({}, {"truth": 1.5}, {"value": "x"}, {"value": 1e999}, {"truth": "cat", "sure": 1}):
        assert alice.post_json(f"predictions/{second}/outcome", wrong).status_code == 400, wrong
    many = [{"prediction": second, "truth": "cat"}, {"prediction": str(uuid4()), "truth": "cat"}]
    told = alice.post_json("predictions/outcomes", {"outcomes": many}).json()
    assert told["refused"] == 1 and [row["status"] for row in told["results"]] == ["recorded", "refused"]
    assert told["results"][1]["code"] == "not_found" and told["results"][1]["hint"]
    for wrong in ([], many * 501, [{"truth": "cat"}], [{"prediction": "x", "truth": "cat"}]):
        assert alice.post_json("predictions/outcomes", {"outcomes": wrong}).status_code == 400


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_all_that_fits_is_taken_along(alice, owner, version, monkeypatch, form):
    monkeypatch.setattr(browsing, "PART", 2)
    rows = [logged(version, owner, group="=1+1") for _ in range(5)]
    alice.post_json(f"predictions/{rows[0].pk}/outcome", {"truth": "dog"})
    answer = alice.get(f"predictions/export?model={version.model_id}&format={form}")
    text = b"".join(answer.streaming_content).decode()
    assert f"predictions-of-model-{version.model_id}.{form}" in answer.headers["Content-Disposition"]
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(text)))
        assert found[-1]["truth"] == "dog" and found[-1]["group"] == "'=1+1"
    else:
        found = [json.loads(line) for line in text.splitlines()]
        assert found[-1]["truth"] == "dog" and found[0]["output"] == CAT
    assert [row["id"] for row in found] == [str(row.pk) for row in rows[::-1]]


def test_what_is_logged_is_said_by_the_api(alice, version):
    path = f"models/{version.model_id}/logging"
    assert alice.get(path).json() == {"keep": "hash", "share": 1.0, "days": 90}
    changed = {"keep": "none", "share": 0.25, "days": 7}
    assert alice.send("PUT", path, changed).json() == changed == alice.get(path).json()
    assert alice.send("PUT", path, {**changed, "days": 0}).status_code == 400


def test_strangers_find_nothing_and_who_may_not_is_told_so(client, owner, stranger, approver, version):
    row = logged(version, owner)
    model = version.model_id
    doors = [
        ("GET", f"predictions?model={model}", None), ("GET", f"predictions/{row.pk}", None),
        ("GET", f"predictions/export?model={model}", None), ("GET", f"models/{model}/logging", None),
        ("PUT", f"models/{model}/logging", {"keep": "full", "share": 1, "days": 1}),
        ("POST", f"predictions/{row.pk}/outcome", {"truth": "cat"}),
    ]  # fmt: skip
    pages = [f"/models/{version.model_id}/predictions", f"/predictions/{row.pk}"]
    posts = [f"/models/{version.model_id}/logging", f"/predictions/{row.pk}/outcome"]
    for person, status in ((stranger, 404), (approver, 403)):
        api = Api(person)
        client.force_login(person)
        for method, path, body in doors:
            assert api.send(method, path, body).status_code == status, (method, path)
        assert [client.get(page).status_code for page in pages] == [status] * 2
        assert [client.post(post, {"truth": "cat"}).status_code for post in posts] == [status] * 2
        many = {"outcomes": [{"prediction": str(row.pk), "truth": "cat"}]}
        assert api.post_json("predictions/outcomes", many).json()["refused"] == 1
    assert not Outcome.objects.exists()
    assert "Logged predictions" not in client.get(f"/models/{version.model_id}").content.decode()


def test_a_person_tells_the_truth_by_hand(client, owner, version):
    client.force_login(owner)
    row = logged(version, owner)
    page = f"/predictions/{row.pk}"
    assert "name of the class" in client.get(page).content.decode()
    client.post(f"{page}/outcome", {"truth": "dog", "value": ""})
    assert "wrong: dog" in client.get(page).content.decode()
    refused = client.post(f"{page}/outcome", {"truth": "cat"}, follow=True).content.decode()
    assert "Another truth was sent before" in refused
    assert "Tick &#x27;Replace what was told before&#x27;" in refused and "replace: true" not in refused
    client.post(f"{page}/outcome", {"truth": "cat", "value": "0,5", "replace": "1"})
    kept = Outcome.objects.get()
    assert (kept.truth, kept.correct, kept.value, kept.user) == ("cat", True, 0.5, owner)
    number = logged(regressor(owner), owner, {"value": 10.0})
    client.post(f"/predictions/{number.pk}/outcome", {"truth": "12"})
    assert Outcome.objects.get(pk=number.pk).error == -2
    told = client.post(f"/predictions/{number.pk}/outcome", {"truth": "many", "replace": "1"}, follow=True)
    assert "the truth must be a number" in told.content.decode()


def test_the_page_of_predictions_is_filtered_and_taken_along(client, owner, version):
    client.force_login(owner)
    page = f"/models/{version.model_id}/predictions"
    assert "No predictions yet" in client.get(page).content.decode()
    logged(version, owner, group="north")
    assert "north" in client.get(page).content.decode()
    assert "No prediction fits" in client.get(f"{page}?outcome=wrong&since=2020-01-01&until=x").content.decode()
    assert b"".join(client.get(f"{page}?export=csv").streaming_content).count(b"\n") == 2
    assert "Logged predictions" in client.get(f"/models/{version.model_id}").content.decode()


def test_what_is_logged_is_said_on_the_page(client, owner, version):
    client.force_login(owner)
    address = f"/models/{version.model_id}/logging"
    client.post(address, {"keep": "none", "share": "12.5", "days": "30"})
    assert policies.policy_of(version.model_id) == policies.Policy("none", 0.125, 30)
    page = client.get(f"/models/{version.model_id}/predictions").content.decode()
    assert 'value="12.5"' in page, "what is saved again as it stands changes nothing"
    for wrong in ({"keep": "x", "share": "1", "days": "1"}, {"keep": "none", "share": "x", "days": ""}, {}):
        assert "can&#x27;t be kept" in client.post(address, wrong, follow=True).content.decode()
    assert policies.policy_of(version.model_id).days == 30


def test_answers_to_tables_tell_the_ids_of_their_rows(owner, monkeypatch):
    from registry import prediction

    monkeypatch.setattr(prediction, "ask_model", lambda **rest: [{"rows": [{"value": 1.0}, {"value": 2.0}]}])
    version, api = regressor(owner), Api(owner)
    answer = api.post_json(f"versions/{version.pk}/predict", {"inputs": [[{"a": 1}, {"a": 2}]]}).json()
    ((first, second),) = answer["row_predictions"]
    assert first == answer["predictions"][0] and answer["rows_not_logged"] == 0
    assert api.post_json(f"predictions/{second}/outcome", {"truth": 1.5}).json()["outcome"]["off_by"] == 0.5


def test_a_request_that_no_process_answers_is_logged_as_failed(owner):
    version, api = classifier(owner), Api(owner)
    assert api.post_json(f"versions/{version.pk}/predict", {"inputs": ["a", "b"]}).status_code == 503
    rows = api.get(f"predictions?model={version.model_id}").json()["results"]
    assert len(rows) == 2 and all("process" in row["error"] for row in rows)
    assert api.post_json(f"predictions/{rows[0]['id']}/outcome", {"truth": "cat"}).status_code == 400


def test_a_download_with_inputs_costs_the_same_for_few_and_for_many(owner, version, django_assert_num_queries):
    policies.change_policy(version.model, owner, keep="full", share=1, days=9)
    for _ in range(20):
        logged(version, owner, given="a fox")
    asked = browsing.wanted(owner, version.model_id)
    with django_assert_num_queries(2):
        assert [row.input for row in browsing.every(asked, whole=True)] == ["a fox"] * 20


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2026-02-30"])
def test_a_day_at_the_end_of_time_is_no_error(client, owner, version, day):
    client.force_login(owner)
    assert client.get(f"/models/{version.model_id}/predictions?since={day}&until={day}").status_code == 200
