"""Models and versions by the API."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from engine.catalogue import RECIPES, Recipe
from registry import prediction
from registry.models import Merge, ModelVersion
from tests.api.conftest import Api
from tests.world import make_dataset, make_version


@pytest.fixture
def alice(owner):
    return Api(owner)


def test_models_are_listed_with_their_newest_version(alice, owner):
    make_version(owner, "A")
    latest = make_version(owner, "A")
    make_version(owner, "B", "image-classification")
    listed = alice.get("models").json()
    assert [(row["name"], row["versions"]) for row in listed["results"]] == [("B", 1), ("A", 2)]
    assert listed["results"][1]["latest_version"] == latest.pk
    assert [row["name"] for row in alice.get("models?recipe=image-classification").json()["results"]] == ["B"]
    assert [row["name"] for row in alice.get("models?search=a&ordering=name").json()["results"]] == ["A"]
    assert alice.get(f"models/{latest.model_id}").json()["versions"] == 2


def test_a_list_of_models_costs_the_same_for_few_and_for_many(alice, owner, django_assert_num_queries):
    for number in range(8):
        make_version(owner, f"model {number}")
    alice.get("models")
    with django_assert_num_queries(5):  # the token, the roles (2), the count, the rows
        alice.get("models")


def test_a_models_versions_come_newest_first(alice, owner):
    first, second = make_version(owner), make_version(owner)
    listed = alice.get(f"models/{first.model_id}/versions").json()["results"]
    assert [version["id"] for version in listed] == [second.pk, first.pk]
    shown = alice.get(f"versions/{second.pk}").json()
    assert (shown["number"], shown["metrics"], shown["status"]) == (2, {"validation/loss": 1.5}, "ready")
    assert {file["name"] for file in shown["files"]} == {"config.json", "model.safetensors"}


def test_a_file_is_downloaded_as_an_attachment_that_runs_nothing(alice, owner):
    version = make_version(owner)
    answer = alice.get(f"versions/{version.pk}/files/config.json")
    assert b"".join(answer.streaming_content) == b'{"format": 1}'
    assert answer.headers["Content-Disposition"] == 'attachment; filename="config.json"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Length"] == "13"


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2fsecret_key", "%2e%2e/secret_key", "..\\secret_key", "config.json%00", "config.json%23x", "nothing"],
)
def test_no_name_leads_out_of_the_list(alice, owner, name):
    assert alice.get(f"versions/{make_version(owner).pk}/files/{name}").status_code == 404


def test_lineage_goes_both_ways(alice, owner):
    from datasets.freezing.versions import freeze

    frozen = freeze(make_dataset(owner), owner)
    base = make_version(owner, "Base", dataset_version=frozen)
    child = make_version(owner, "Child", base_version=base)
    up = alice.get(f"versions/{child.pk}/lineage").json()["up"]
    assert up["base_version"]["id"] == base.pk
    tree = alice.get(f"versions/{base.pk}/lineage").json()
    assert tree["up"]["dataset_version"]["dataset"]["name"] == "Fables"
    assert [version["id"] for version in tree["down"]["versions"]] == [child.pk]


def test_lineage_tells_nothing_of_what_others_made(alice, owner, administrator):
    base = make_version(owner, "Base")
    make_version(administrator, "marker-secret", base_version=base)
    assert "marker-secret" not in alice.get(f"versions/{base.pk}/lineage").content.decode()
    assert "marker-secret" in Api(administrator).get(f"versions/{base.pk}/lineage").content.decode()


def test_a_prediction_without_a_model_process_says_what_to_start(alice, owner):
    version = make_version(owner)
    answer = alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["Once"]})
    assert answer.status_code == 503
    assert "manage.py" in answer.json()["hint"]


def test_a_version_that_makes_no_model_can_not_be_tried(alice, owner):
    answer = alice.post_json(f"versions/{make_version(owner, recipe='simulate').pk}/predict", {"inputs": ["x"]})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": "x"},
        {"inputs": [1, {}]},
        {"inputs": ["x"] * 65},
        {"inputs": ["x"], "parameters": 3},
    ],
)
def test_wrong_inputs_are_refused_in_words(alice, owner, body):
    answer = alice.post_json(f"versions/{make_version(owner).pk}/predict", body)
    assert answer.status_code == 400
    assert answer.json()["hint"]


def test_a_text_that_is_no_base64_is_no_image(alice, owner):
    version = make_version(owner, recipe="image-classification")
    answer = alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["not base64!"]})
    assert answer.status_code == 400
    assert "inputs.0" in answer.json()["errors"]


def test_rows_are_taken_as_they_are_or_as_text(alice, owner, monkeypatch):
    asked = []
    monkeypatch.setattr(prediction, "ask_model", lambda inputs, **rest: asked.append(inputs) or [{"rows": []}])
    given = {"name": "of-tables", "title": "", "summary": "", "config": "x", "trainer": "x", "predictor": "x"}
    monkeypatch.setitem(RECIPES, "of-tables", Recipe(**given, modality="table", output="values"))
    version = make_version(owner, recipe="of-tables")
    rows = [{"a": 1, "b": None}, {"a": "x", "b": True}]
    assert alice.post_json(f"versions/{version.pk}/predict", {"inputs": [rows, "a,b\n1,2"]}).status_code == 200
    alice.post(f"/api/v1/versions/{version.pk}/predict", {"files": SimpleUploadedFile("a.parquet", b"PAR1")})
    assert asked == [[rows, b"a,b\n1,2"], [b"PAR1"]]
    for wrong in ([[1]], [[{"a": {}}]], [{"a": 1}]):
        assert alice.post_json(f"versions/{version.pk}/predict", {"inputs": wrong}).status_code == 400
    texts = make_version(owner)
    answer = alice.post_json(f"versions/{texts.pk}/predict", {"inputs": [rows]})
    assert answer.status_code == 400 and answer.json()["hint"] == "Send text in UTF-8."


@pytest.mark.parametrize("parameters", ["{", "[]", "NaN", '{"a": 1e999}', "[" * 10_000])
def test_parameters_beside_files_must_be_an_object(alice, owner, parameters):
    version = make_version(owner)
    files = {"files": SimpleUploadedFile("a.txt", b"Once"), "parameters": parameters}
    answer = alice.post(f"/api/v1/versions/{version.pk}/predict", files)
    assert answer.status_code == 400
    assert "parameters" in answer.json()["errors"]


def test_files_are_taken_too(alice, owner):
    version = make_version(owner)
    files = {"files": SimpleUploadedFile("a.txt", b"Once"), "parameters": json.dumps({"temperature": 0})}
    assert alice.post(f"/api/v1/versions/{version.pk}/predict", files).status_code == 503  # no model process here
    bad = {"files": SimpleUploadedFile("a.txt", b"\xff\xfe\x00")}
    assert alice.post(f"/api/v1/versions/{version.pk}/predict", bad).status_code == 400
    assert alice.post(f"/api/v1/versions/{version.pk}/predict", {}).status_code == 400


def test_an_adapter_is_merged_once_and_both_versions_say_so(alice, quick_adapter):
    first = alice.post_json(f"versions/{quick_adapter.pk}/merge")
    again = alice.post_json(f"versions/{quick_adapter.pk}/merge")
    made = first.json()
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 202, made["id"])
    assert (made["status"], made["number"], made["model"], made["base_version"]) == (
        "processing", 2, quick_adapter.model_id, quick_adapter.pk,
    )  # fmt: skip
    merge = made["merge"]
    assert (merge["adapter"], merge["version"], merge["status"], merge["by"]) == (
        quick_adapter.pk, made["id"], "queued", "alice",
    )  # fmt: skip
    assert alice.get(f"versions/{quick_adapter.pk}").json()["merge"] == merge
    assert alice.get(f"models/{made['model']}").json()["latest_version"] == quick_adapter.pk, "the newest ready one"
    assert alice.post_json(f"versions/{made['id']}/predict", {"inputs": ["x"]}).status_code == 409
    tree = alice.get(f"versions/{made['id']}/lineage").json()
    assert tree["up"]["base_version"]["id"] == quick_adapter.pk and tree["up"]["merged"]["by"] == "alice"
    (child,) = alice.get(f"versions/{quick_adapter.pk}/lineage").json()["down"]["versions"]
    assert child["id"] == made["id"] and child["merged"]


def test_a_merge_that_is_done_or_failed_is_told(alice, quick_adapter):
    made = alice.post_json(f"versions/{quick_adapter.pk}/merge").json()["id"]
    now = timezone.now()
    ModelVersion.objects.filter(pk=made).update(status="failed")
    Merge.objects.update(status="failed", finished_at=now, message="The disk is full.", hint="Free some space.")
    merge = alice.get(f"versions/{made}").json()["merge"]
    assert (merge["status"], merge["message"], merge["hint"]) == ("failed", "The disk is full.", "Free some space.")
    again = alice.post_json(f"versions/{quick_adapter.pk}/merge")
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, made, "processing")
    assert again.json()["merge"]["status"] == "queued" and again.json()["merge"]["message"] == ""
    ModelVersion.objects.filter(pk=made).update(status="ready")
    Merge.objects.update(status="completed", finished_at=now)
    assert alice.post_json(f"versions/{quick_adapter.pk}/merge").status_code == 200


def test_only_adapters_of_ones_own_are_merged(alice, owner, stranger, quick_adapter, administrator):
    refused = alice.post_json(f"versions/{make_version(owner).pk}/merge")
    assert refused.status_code == 409 and "whole model" in refused.json()["detail"] and refused.json()["hint"]
    assert Api(stranger).post_json(f"versions/{quick_adapter.pk}/merge").status_code == 404
    assert Api(administrator).post_json(f"versions/{quick_adapter.pk}/merge").json()["merge"]["by"] == "admin"


def test_a_list_of_versions_costs_the_same_for_few_and_for_many(alice, owner, quick_adapter, django_assert_num_queries):
    alice.post_json(f"versions/{quick_adapter.pk}/merge")
    for _ in range(6):
        make_version(owner)
    with django_assert_num_queries(6):  # the token, the roles (2), the model, the count, the rows
        alice.get(f"models/{quick_adapter.model_id}/versions")


def test_a_job_does_not_start_from_a_version_that_is_not_there_yet(alice, owner, quick_adapter):
    made = alice.post_json(f"versions/{quick_adapter.pk}/merge").json()["id"]
    body = {"recipe": "text-generation", "dataset": make_dataset(owner).pk, "base_version": made}
    refused = alice.post_json("training/jobs", body)
    assert refused.status_code == 400 and "is processing" in refused.json()["errors"]["base_version"][0]
