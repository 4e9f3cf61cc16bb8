"""The page of endpoints."""

import pytest

from jobs.endpoints import verbs
from jobs.models import Endpoint
from tests.chat_server import serving

KEY = "sk-very-secret-marker"
FORM = {"name": "my-server", "url": "https://93.184.216.34/v1", "model": "tiny", "key": KEY}


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


def test_an_endpoint_is_added_changed_and_deleted_by_its_page(page, owner):
    assert "No endpoints yet" in page.get("/endpoints").content.decode()
    answer = page.post("/endpoints", FORM, follow=True).content.decode()
    assert "The endpoint &#x27;my-server&#x27; is saved." in answer and KEY not in answer
    row = Endpoint.objects.get()
    form = page.get(f"/endpoints/{row.pk}").content.decode()
    assert "One is stored" in form and KEY not in form
    page.post(f"/endpoints/{row.pk}", FORM | {"model": "small", "key": "", "retries": "1"})
    row.refresh_from_db()
    assert (row.model, row.retries, verbs.key_of(row)) == ("small", 1, KEY)
    page.post(f"/endpoints/{row.pk}", FORM | {"key": "", "forget": "1"})
    row.refresh_from_db()
    assert not row.has_key
    assert "Delete &#x27;my-server&#x27;?" in page.get(f"/endpoints/{row.pk}/delete").content.decode()
    page.post(f"/endpoints/{row.pk}/delete")
    assert not Endpoint.objects.exists()


def test_what_was_typed_stays_but_for_the_key(page):
    answer = page.post("/endpoints", FORM | {"url": "nonsense", "retries": "many"})
    text = answer.content.decode()
    assert answer.status_code == 400 and "must begin with http" in text and "whole number from 0 to 10" in text
    assert 'value="nonsense"' in text and KEY not in text


def test_what_is_wrong_is_told_in_the_form_and_its_field_has_the_focus(page):
    text = page.post("/endpoints", FORM | {"url": "http://", "retries": "many"}).content.decode()
    form = text.partition('aria-labelledby="form-title"')[2]
    assert "Address: The address names no server" in form
    assert text.count(" autofocus") == 1
    assert form.partition(" autofocus")[0].rpartition("<input")[2].startswith(' class="form-control" id="url"')
    assert 'href="/jobs" aria-current="page"' in text


def test_it_is_tried_by_a_button(page, owner, settings):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    with serving(lambda body: "<b>Ready</b>") as server:
        row = verbs.make(owner, name="here", url=server.url, model="tiny")
        answer = page.post(f"/endpoints/{row.pk}/try", headers={"HX-Request": "true"}).content.decode()
        assert "here answered after" in answer and "&lt;b&gt;Ready" in answer
    text = page.post(f"/endpoints/{row.pk}/try", follow=True).content.decode()
    assert "does not answer" in text
