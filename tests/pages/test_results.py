"""Models, versions, history and performance on their pages."""

import pytest

from common.errors import UnavailableError
from registry import views
from registry.prediction import Prediction
from tests.pages.conftest import HTMX
from tests.world import make_version


def test_a_version_shows_figures_files_lineage_and_can_be_tried(page, world):
    html = page.get(f"/versions/{world.version.pk}").content.decode()
    assert "Validation loss" in html and "1.5" in html
    assert "model.safetensors" in html and "TrainHub 0.1.0" in html
    assert 'data-testid="prediction-input"' in html


def test_a_file_of_a_version_is_a_sealed_download(page, world):
    answer = page.get(f"/versions/{world.version.pk}/files/1")
    assert b"".join(answer) == b'{"format": 1}'
    assert answer.headers["Content-Disposition"] == 'attachment; filename="config.json"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert page.get(f"/versions/{world.version.pk}/files/99").status_code == 404


def test_a_prompt_reaches_the_model_with_its_parameters(page, world, monkeypatch):
    asked = []

    def stand_in(version, inputs, parameters):
        asked.append((version.pk, inputs, parameters))
        return Prediction([{"text": "Once <upon>", "completion": "<upon>"}], version, 12.3)

    monkeypatch.setattr(views, "predict", stand_in)
    given = {"prompt": "Once ", "max_new_tokens": "50", "temperature": "0.5", "top_k": "", "seed": "7"}
    html = page.post(f"/versions/{world.version.pk}/try", given, headers=HTMX).content.decode()
    assert asked == [(world.version.pk, ["Once "], {"max_new_tokens": 50, "temperature": 0.5, "seed": 7})]
    assert "Once &lt;upon&gt;" in html and 'data-testid="prediction-output"' in html
    whole = page.post(f"/versions/{world.version.pk}/try", given).content.decode()
    assert "<html" in whole and "Once &lt;upon&gt;" in whole


def test_pictures_are_answered_with_labels_likeliest_first(page, owner, monkeypatch):
    version = make_version(owner, "Seer", recipe="image-classification")
    answer = {"label": "cat", "confidence": 0.9, "probabilities": {"dog": 0.1, "cat": 0.9}}
    monkeypatch.setattr(views, "predict", lambda version, inputs, parameters: Prediction([answer], version, 1.0))
    from django.core.files.uploadedfile import SimpleUploadedFile

    picture = SimpleUploadedFile("x.png", b"bytes", "image/png")
    html = page.post(f"/versions/{version.pk}/try", {"files": picture}, headers=HTMX).content.decode()
    assert html.index(">cat<") < html.index(">dog<") and "90.0 %" in html


@pytest.mark.parametrize(
    "wrong", [{"max_new_tokens": "0"}, {"temperature": "nan"}, {"seed": "x"}, {"prompt": "x" * 20_001}]
)
def test_wrong_parameters_are_explained_beside_the_form(page, world, wrong):
    answer = page.post(f"/versions/{world.version.pk}/try", {"prompt": "a"} | wrong, headers=HTMX)
    assert answer.status_code == 200
    assert 'hx-target="#prediction"' in answer.content.decode() and 'role="alert"' in answer.content.decode()
    assert page.post(f"/versions/{world.version.pk}/try", {"prompt": "a"} | wrong).status_code == 400


def test_a_model_process_that_is_away_is_a_toast(page, world, monkeypatch):
    def away(*given):
        raise UnavailableError("No model process answers.", "Start a node.")

    monkeypatch.setattr(views, "predict", away)
    answer = page.post(f"/versions/{world.version.pk}/try", {"prompt": "a"}, headers=HTMX)
    assert answer.status_code == 503 and "#toasts" in answer.content.decode()


def test_history_counts_and_opens_a_row_in_place(page, world):
    html = page.get("/history").content.decode()
    assert 'data-testid="session-row"' in html and world.marker in html
    inside = page.get(f"/history/{world.session.pk}", headers=HTMX).content.decode()
    assert str(world.session.session_id) in inside and "<html" not in inside


def test_history_is_filtered_by_outcome_and_days(page, world):
    assert world.marker in page.get("/history?since=2020-01-01").content.decode()
    assert world.marker not in page.get("/history?until=2020-01-01").content.decode()
    assert world.marker not in page.get("/history?outcome=failed").content.decode()
    for wrong in ("yesterday", "9999-12-31", "0001-01-01", "2026-02-31"):
        assert page.get(f"/history?since={wrong}").status_code == 200


def test_performance_shows_each_models_key_figure(page, world):
    html = page.get("/performance").content.decode()
    assert "Production accuracy" in html or "50.0 %" in html
    html = page.get(f"/performance/models/{world.version.model_id}?name=production/accuracy").content.decode()
    assert "50.0 %" in html
    assert page.get(f"/performance/models/{world.version.model_id}?name=none").status_code == 200


def test_the_simulators_version_can_not_be_tried(page, owner):
    version = make_version(owner, "Nothing", recipe="simulate")
    assert "trains nothing" in page.get(f"/versions/{version.pk}").content.decode()
