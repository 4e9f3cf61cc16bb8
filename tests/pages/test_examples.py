"""An example fills the form by its address alone, and the answer stands beside what is known of it."""

from __future__ import annotations

import re

import pytest

from registry import access, views
from registry.prediction import Prediction
from tests.pages.conftest import HTMX
from tests.registry.test_examples import frozen, imported, texts
from tests.world import make_version, png


@pytest.fixture
def asked(monkeypatch):
    """What models were asked; they always say fruit."""
    given = []

    def predict(version, inputs, parameters=None):
        given.append(inputs)
        output = {"label": "fruit", "confidence": 0.9, "probabilities": {"fruit": 0.9, "tool": 0.1}}
        return Prediction([output], version, 1.0)

    monkeypatch.setattr(views, "predict", predict)
    return given


def test_a_text_is_filled_in_and_its_label_told_unless_it_was_changed(page, owner, asked):
    version = make_version(owner, "Sorter", "text-classification", dataset_version=texts(owner))
    address = f"/versions/{version.pk}"
    keys = re.findall(r"\?example=([\d-]+)#try-title", page.get(address).content.decode())
    assert len(keys) == 5
    assert page.get(f"/models/{version.model_id}").content.decode().count(f"{address}?example=") == 5
    html = page.get(f"{address}?example={keys[0]}").content.decode()
    prompt = re.search(r'name="prompt"[^>]*>([^<]*)</textarea>', html)[1]
    label = prompt.split()[0]
    assert label in ("fruit", "tool") and f'name="example" value="{keys[0]}"' in html
    sent = {"prompt": prompt.replace("\n", "\r\n"), "example": keys[0]}
    answer = page.post(f"{address}/try", sent, headers=HTMX).content.decode()
    assert f"It is labelled {label}: {'as' if label == 'fruit' else 'not as'} the model says." in answer
    assert 'data-testid="truth"' in page.post(f"{address}/try", sent).content.decode()
    changed = page.post(f"{address}/try", sent | {"prompt": "something else"}, headers=HTMX).content.decode()
    assert "labelled" not in changed and asked[-1] == ["something else"]


def test_a_picture_is_asked_about_without_a_file(page, owner, asked):
    files = {f"{kind}/{n}.png": png(kind, (8 + n, 8)) for kind in ("red", "blue") for n in range(8)}
    data = frozen(owner, imported(owner, "image", files))
    version = make_version(owner, "P", "image-classification", dataset_version=data)
    address = f"/versions/{version.pk}"
    key = re.search(r"\?example=(\d+)#", page.get(address).content.decode())[1]
    html = page.get(f"{address}?example={key}").content.decode()
    assert 'name="files"' in html and "required" not in re.search(r'<input[^>]*name="files"[^>]*>', html)[0]
    answer = page.post(f"{address}/try", {"example": key}, headers=HTMX).content.decode()
    assert asked[-1][0] in files.values() and "not as the model says" in answer


def test_who_sees_the_model_and_not_the_data_gets_no_examples(client, owner, stranger, asked):
    from django.contrib.auth.models import Group

    version = make_version(owner, "Sorter", "text-classification", dataset_version=texts(owner))
    client.force_login(owner)
    key = re.search(r"\?example=(\d+)#", client.get(f"/versions/{version.pk}").content.decode())[1]
    client.force_login(stranger)
    assert client.get(f"/versions/{version.pk}?example={key}").status_code == 404
    access.make_roles()
    stranger.groups.add(Group.objects.get(name="Approvers"))
    html = client.get(f"/versions/{version.pk}").content.decode()
    assert 'data-testid="prediction-input"' in html and "example=" not in html
    assert client.get(f"/versions/{version.pk}?example={key}").status_code == 404
    assert client.post(f"/versions/{version.pk}/try", {"prompt": "x", "example": key}).status_code == 404
    assert not asked
