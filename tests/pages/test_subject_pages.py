"""The pages on which subjects are seen, started, changed, merged, and given data."""

from __future__ import annotations

import pytest

from datasets.models import Item, Subject
from datasets.subjects import subjects
from jobs.models import Job
from jobs.subject_views import read_attributes, written_attributes
from tests.api.test_starting import ready
from tests.pages.conftest import HTMX
from tests.world import make_dataset


def test_the_list_tells_who_can_be_trained(page, owner):
    ada, bob = ready(owner, "Ada", kind="person"), subjects.create(owner, name="Bob")
    shown = page.get("/subjects").content.decode()
    assert "1 of 2 are eligible, 1 can start now." in shown
    assert "needs 2 responses, has none; needs 50 words, has none" in shown
    assert "no past run to compare with" in shown
    assert "Ada" not in page.get("/subjects?state=not", headers=HTMX).content.decode()
    assert "Bob" not in page.get("/subjects?state=ready&kind=person").content.decode()
    images = page.get("/subjects?recipe=image-classification").content.decode()
    assert "No ready dataset of image is about it" in images
    exported = b"".join(page.get("/subjects?export=csv").streaming_content).decode()
    assert f"{ada.pk},Ada,person,True" in exported
    assert f"{bob.pk},Bob,,False" in exported


def test_many_are_started_at_once_and_each_one_is_told(page, owner):
    ada, bob = ready(owner, "Ada"), subjects.create(owner, name="Bob")
    chosen = {"subject": [ada.pk, bob.pk], "recipe": "simulate", "idempotency_key": "k1"}
    looked = page.post("/subjects/estimate", chosen, headers=HTMX).content.decode()
    assert "2 chosen, 1 can start: no past run" in looked
    told = page.post("/subjects/start", chosen).content.decode()
    assert "1 job started, 1 refused" in told
    assert "Simulator: Ada" in told
    assert "&#x27;Bob&#x27; needs 2 responses, has none" in told
    again = page.post("/subjects/start", chosen).content.decode()
    assert "by the same request before" in again
    assert Job.objects.count() == 1
    assert page.post("/subjects/start", {"recipe": "simulate"}).status_code == 400
    assert page.post("/subjects/start", {"subject": ada.pk, "recipe": "nothing"}).status_code == 400


def test_a_subject_is_made_changed_merged_and_deleted(page, owner):
    refused = page.post("/subjects/new", {"name": "Ada", "attributes": "no colon"})
    assert refused.status_code == 400
    assert "is no attribute" in refused.content.decode()
    made = page.post("/subjects/new", {"name": "Ada", "kind": "person", "attributes": "born: 1815\nalive: false"})
    ada = Subject.objects.get()
    assert made.url == f"/subjects/{ada.pk}"
    assert ada.attributes == {"born": 1815, "alive": False}
    shown = page.get(made.url).content.decode()
    assert "born: 1815\nalive: false" in shown
    assert "at least 2 responses, 50 words, 1 category" in shown
    page.post(f"/subjects/{ada.pk}/change", {"name": "Ada L.", "kind": "", "attributes": ""})
    other = subjects.create(owner, name="Countess", attributes={"title": "countess"})
    asked = page.post(f"/subjects/{ada.pk}/merge", {"other": other.pk}).content.decode()
    assert "Merge &#x27;Countess&#x27; into &#x27;Ada L.&#x27;?" in asked
    assert Subject.objects.count() == 2
    page.post(f"/subjects/{ada.pk}/merge", {"other": other.pk, "sure": 1})
    ada.refresh_from_db()
    assert (ada.name, ada.attributes) == ("Ada L.", {"title": "countess"})
    page.post(f"/subjects/{ada.pk}/delete")
    assert not Subject.objects.exists()


def test_items_are_given_to_subjects_on_the_datasets_page(page, owner):
    dataset = make_dataset(owner, files={"ada/1.txt": b"one word", "bob/2.txt": b"two words more"})
    address = f"/datasets/{dataset.pk}/subjects"
    shown = page.get(address).content.decode()
    assert "Give 2 values to subjects" in shown
    page.post(address, {"way": "label", "kind": "person"})
    assert set(Subject.objects.values_list("name", "kind")) == {("ada", "person"), ("bob", "person")}
    assert "2 of 2 items have a subject of their own" in page.get(address).content.decode()
    ada = Subject.objects.get(name="ada")
    page.post(address, {"whole": "1", "subject": ada.pk})
    dataset.refresh_from_db()
    assert dataset.subject == ada
    page.post(address, {"whole": "1", "subject": ""})
    dataset.refresh_from_db()
    assert dataset.subject is None
    assert page.post(address, {"whole": "1", "subject": "999999"}).status_code == 404
    assert Item.objects.filter(subject=ada).count() == 1


def test_a_stranger_can_do_nothing(client, stranger, owner):
    ada = ready(owner, "Ada")
    client.force_login(stranger)
    for address in ("change", "merge", "delete"):
        assert client.post(f"/subjects/{ada.pk}/{address}", {"other": ada.pk, "name": "x"}).status_code == 404
    assert client.post("/subjects/start", {"subject": ada.pk, "recipe": "simulate"}).status_code == 404
    assert client.post("/subjects/estimate", {"subject": ada.pk}).status_code == 404
    assert "Ada" not in client.get("/subjects").content.decode()


@pytest.mark.parametrize("attributes", [{}, {"a": "x: y", "b": 1, "c": 2.5, "d": True, "e": "007"}])
def test_attributes_are_written_and_read(attributes):
    read = read_attributes(written_attributes(attributes))
    assert read == attributes | ({"e": 7} if attributes else {})
