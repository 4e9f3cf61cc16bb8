"""Subjects and policies by the API and in the administration."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from datasets.models import EligibilityPolicy, Item, Subject
from tests.world import make_dataset


def test_a_subject_from_beginning_to_end(alice):
    made = alice.post_json("subjects", {"name": "Ada", "kind": "person", "attributes": {"born": 1815}})
    assert made.status_code == 201
    ada = made.json()["id"]
    assert alice.get(f"subjects/{ada}").json()["attributes"] == {"born": 1815}
    assert alice.post_json("subjects", {"name": "Ada"}).status_code == 409
    changed = alice.send("PATCH", f"subjects/{ada}", {"name": "Ada Lovelace", "attributes": {"field": "mathematics"}})
    assert changed.json()["attributes"] == {"field": "mathematics"}
    assert alice.send("PATCH", f"subjects/{ada}", {"attributes": {"x": [1]}}).status_code == 400
    assert alice.get("subjects?kind=person&search=love").json()["count"] == 1
    assert alice.send("DELETE", f"subjects/{ada}").status_code == 204
    assert not Subject.objects.exists()


def test_items_are_assigned_and_subjects_merged(alice, owner, mallory):
    dataset = make_dataset(owner, files={"ada/1.txt": b"one word", "bob/2.txt": b"two words more"})
    offered = alice.get(f"datasets/{dataset.pk}/subjects?way=label").json()
    assert [(one["value"], one["items"], one["subject"]) for one in offered] == [("ada", 1, None), ("bob", 1, None)]
    done = alice.post_json(f"datasets/{dataset.pk}/subjects", {"way": "label", "kind": "person"}).json()
    assert done == {"items": 2, "subjects": 2, "made": 2}
    ada, bob = Subject.objects.order_by("name")
    theirs = mallory.post_json("subjects", {"name": "Eve"}).json()["id"]
    assert alice.post_json(f"subjects/{ada.pk}/merge", {"subjects": [theirs]}).status_code == 404
    assert alice.post_json(f"subjects/{ada.pk}/merge", {"subjects": [bob.pk]}).status_code == 200
    assert Item.objects.filter(subject=ada).count() == 2
    assert alice.get(f"datasets/{dataset.pk}/subjects?way=nothing").status_code == 400


def test_policies_are_listed(alice):
    (policy,) = alice.get("eligibility-policies").json()["results"]
    assert policy["criteria"] == {"responses": 2, "words": 50, "categories": 1}


@pytest.fixture
def boss(administrator):
    browser = Client()
    browser.force_login(administrator)
    return browser


def test_a_policy_is_edited_in_the_administration(boss):
    policy = EligibilityPolicy.objects.get()
    address = f"/admin/datasets/eligibilitypolicy/{policy.pk}/change/"
    typed = {"name": policy.name, "criteria": json.dumps({"words": 80, "gates": True}), "kind": "", "is_default": "on"}
    assert boss.post(address, typed).status_code == 302
    policy.refresh_from_db()
    assert policy.criteria == {"words": 80, "gates": True}
    wrong = boss.post(address, typed | {"criteria": '{"words": -1}'})
    assert "can&#x27;t be used" in wrong.content.decode()
    added = {"name": "Other", "criteria": "{}", "kind": "", "is_default": "on"}
    assert boss.post("/admin/datasets/eligibilitypolicy/add/", added).status_code == 302
    assert EligibilityPolicy.objects.get(is_default=True).name == "Other"
    assert "at least 80 words, all through the gates" in boss.get("/admin/datasets/eligibilitypolicy/").content.decode()


def test_a_subjects_attributes_are_checked_in_the_administration(boss, owner):
    typed = {"name": "Ada", "kind": "", "owner": owner.pk, "attributes": '{"x": [1]}'}
    assert "must be a text, a number" in boss.post("/admin/datasets/subject/add/", typed).content.decode()
    assert boss.post("/admin/datasets/subject/add/", typed | {"attributes": '{"x": 1}'}).status_code == 302
