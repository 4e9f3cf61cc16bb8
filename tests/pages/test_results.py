"""Models, versions, history and performance on their pages."""

import base64

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from common.errors import UnavailableError
from common.numbers import finite
from engine.catalogue import RECIPES, Recipe
from performance.recording import record_evaluations
from registry import views
from registry.answers import answers
from registry.prediction import Prediction
from tests.pages.conftest import HTMX
from tests.world import make_version, png


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
    picture = SimpleUploadedFile("x.png", b"bytes", "image/png")
    html = page.post(f"/versions/{version.pk}/try", {"files": picture}, headers=HTMX).content.decode()
    assert html.index(">cat<") < html.index(">dog<") and "90.0 %" in html


def stand_in(monkeypatch, *outputs):
    """A model that answers with these; what it was asked comes into the list."""
    asked = []

    def answer(version, inputs, parameters):
        asked.append((inputs, parameters))
        return Prediction(list(outputs), version, 1.0)

    monkeypatch.setattr(views, "predict", answer)
    return asked


def a_recipe(monkeypatch, name, **wanted):
    given = {"name": name, "title": name, "summary": "", "trainer": "x", "predictor": "x", **wanted}
    given["config"] = "engine.recipes.simulate.config.SimulateConfig"
    monkeypatch.setitem(RECIPES, name, Recipe(**given))


def test_rows_are_pasted_or_chosen_and_answered_as_a_table(page, owner, monkeypatch):
    a_recipe(monkeypatch, "of-tables", modality="table", output="values")
    version = make_version(owner, "Reckoner", recipe="of-tables")
    html = page.get(f"/versions/{version.pk}").content.decode()
    assert "Or paste rows" in html and ".parquet" in html
    rows = [{"label": "<ok>", "confidence": 0.75, "probabilities": {"ok": 0.75}}, {"label": "late", "confidence": 0.5}]
    asked = stand_in(monkeypatch, {"rows": rows})
    html = page.post(f"/versions/{version.pk}/try", {"prompt": "a,b\n1,2\n"}, headers=HTMX).content.decode()
    assert asked == [(["a,b\n1,2"], {})]
    assert "&lt;ok&gt;" in html and "0.75" in html and 'scope="col"' in html
    table = SimpleUploadedFile("t.csv", b"a,b\n1,2\n")
    page.post(f"/versions/{version.pk}/try", {"files": table, "prompt": ""}, headers=HTMX)
    assert asked[1][0] == [b"a,b\n1,2\n"]
    html = page.post(f"/versions/{version.pk}/try", {"prompt": " "}, headers=HTMX).content.decode()
    assert "Choose a table first, or paste its rows" in html


def test_a_forecast_is_a_curve_with_its_range_and_a_table(page, owner, monkeypatch):
    a_recipe(monkeypatch, "of-time", modality="table", output="forecast")
    version = make_version(owner, "Seer", recipe="of-time")
    days = [{"time": f"2026-01-0{n}", "value": n / 2, "low": n / 2 - 1, "high": n / 2 + 1} for n in range(1, 6)]
    stand_in(monkeypatch, {"forecast": days})
    html = page.post(f"/versions/{version.pk}/try", {"prompt": "time,value\n"}, headers=HTMX).content.decode()
    assert "Forecast as a curve" in html and 'class="band' in html and "2026-01-05" in html


def test_a_forecast_goes_on_from_the_training_data_when_nothing_is_given(page, owner, monkeypatch):
    a_recipe(monkeypatch, "of-time", modality="table", output="forecast")
    version = make_version(owner, "Seer", recipe="of-time")
    assert "Without a table, the end of the training data" in page.get(f"/versions/{version.pk}").content.decode()
    asked = stand_in(monkeypatch, {"forecast": [{"time": "2026-01-01", "value": 1.5}]})
    html = page.post(f"/versions/{version.pk}/try", {"prompt": " "}, headers=HTMX).content.decode()
    assert asked == [([""], {})] and "2026-01-01" in html


def test_anomalies_are_marked_by_words_too(page, owner, monkeypatch):
    a_recipe(monkeypatch, "of-odd", modality="table", output="anomalies")
    version = make_version(owner, "Watcher", recipe="of-odd")
    stand_in(monkeypatch, {"rows": [{"score": n / 10, "anomaly": n in (3, 4)} for n in range(6)]})
    html = page.post(f"/versions/{version.pk}/try", {"prompt": "v\n1\n"}, headers=HTMX).content.decode()
    # In the table, and among the numbers of the curve.
    assert html.count(">anomaly</td>") == 4 and 'class="stretch"' in html


def test_anomalies_are_drawn_over_their_times_else_over_rows():
    flags = [{"score": n / 10, "is_anomaly": n == 3, "alarm": n == 3} for n in range(6)]
    (answer,) = answers([{"rows": flags}])
    assert (answer.blocks[0].x_label, answer.blocks[0].x) == ("Row", [1, 2, 3, 4, 5, 6])
    (answer,) = answers([{"rows": [row | {"time": f"day {n}"} for n, row in enumerate(flags)]}])
    assert answer.blocks[0].x_label == "Time" and answer.blocks[0].x[3] == "day 3"


@pytest.mark.parametrize(("modality", "words"), [("audio", "Recordings"), ("video", "Videos"), ("image", "Pictures")])
def test_files_are_asked_for_in_words_of_their_kind(page, owner, monkeypatch, modality, words):
    a_recipe(monkeypatch, "of-files", modality=modality, output="labels")
    version = make_version(owner, "Namer", recipe="of-files")
    html = page.get(f"/versions/{version.pk}").content.decode()
    assert f">{words}</label>" in html and f'accept="{modality}/*"' in html
    html = page.post(f"/versions/{version.pk}/try", headers=HTMX).content.decode()
    assert "first" in html and "One to 16" in html


def test_a_picture_is_shown_and_can_be_kept(page, owner, monkeypatch):
    a_recipe(monkeypatch, "of-prompts", modality="image", output="image")
    version = make_version(owner, "Painter", recipe="of-prompts")
    asked = stand_in(monkeypatch, {"image": base64.b64encode(png()).decode(), "width": 8, "height": 8, "seed": 3})
    given = {"prompt": "a fox", "steps": "5", "guidance": "", "negative_prompt": "fog", "seed": ""}
    html = page.post(f"/versions/{version.pk}/try", given, headers=HTMX).content.decode()
    assert asked == [(["a fox"], {"steps": 5, "negative_prompt": "fog"})]
    assert 'src="data:image/png;base64,' in html and 'download="picture-1.png"' in html and "seed 3" in html
    stand_in(monkeypatch, {"image": base64.b64encode(b"<svg>").decode()})
    html = page.post(f"/versions/{version.pk}/try", given, headers=HTMX).content.decode()
    assert "no picture" in html and "data:" not in html


@pytest.mark.parametrize("outputs", [{}, {"rows": []}, {"rows": [1, None]}, {"forecast": [{"a": {}}]}, {"label": None},
                                     {"rows": [{"x" * 400: "y" * 400, "n": float("nan")}]}])  # fmt: skip
def test_whatever_a_model_answers_the_page_is_drawn(page, world, monkeypatch, outputs):
    stand_in(monkeypatch, finite(outputs))
    answer = page.post(f"/versions/{world.version.pk}/try", {"prompt": ""}, headers=HTMX)
    assert answer.status_code == 200 and 'data-testid="prediction-output"' in answer.content.decode()


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
    for none in ("until=2020-01-01", "outcome=failed"):
        listed = page.get(f"/history?{none}", headers=HTMX).content.decode()
        assert 'data-testid="session-row"' not in listed and "No run fits" in listed
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


FIGURES = {
    "validation/accuracy": 0.9, "validation/loss": 0.37020000001, "baseline/accuracy": 0.61, "train/trees": 100.0,
    "baseline/alone": 3.0,
}  # fmt: skip


def test_a_version_begins_with_few_figures_beside_their_baselines(page, owner):
    config = {"exclude": [], "group": "", "test_fraction": 0.2}
    version = make_version(owner, "Reckoner", recipe="table-baseline", metrics=FIGURES, config=config)
    html = page.get(f"/versions/{version.pk}").content.decode()
    top = html[html.index('data-testid="headlines"') : html.index('data-testid="all-figures"')]
    assert "90.0 %" in top and "baseline 61.0 %" in top and "trees" not in top
    table = html[html.index('data-testid="all-figures"') :]
    assert ">Model</th>" in table and ">Baseline</th>" in table and ">0.3702<" in table and "0.37020000001" not in html
    assert "Training trees" in table and "Baseline alone" in table
    assert "[]" not in html and "<dd>none</dd>" in html


def test_what_performance_begins_with_is_the_models_own(page, owner):
    version = make_version(owner, "Watcher", recipe="anomaly", metrics=FIGURES | {"baseline/a": 1.0})
    record_evaluations()
    html = page.get("/performance").content.decode()
    assert "Baseline" not in html and "Validation accuracy" in html and "baseline 61.0 %" in html
    html = page.get(f"/performance/models/{version.model_id}").content.decode()
    assert '<h2 id="trend-title">Validation accuracy</h2>' in html and "name=baseline" not in html
    html = page.get(f"/performance/models/{version.model_id}?name=baseline/a").content.decode()
    assert "Baseline a</h2>" in html, "it can still be looked at by its name"
