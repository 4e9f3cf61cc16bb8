"""Deploying and asking by the API."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engine.predict import ModelNotLoaded, PredictionUnavailable
from engine.protocol import EngineError, FailureCode
from registry import access, prediction, shadows
from registry.logged.writing import Asked
from registry.models import Alias, Prediction, Route, RouteArm
from registry.routing import Choice
from registry.serving import streaming
from tests.api.conftest import Api
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def version(owner):
    made = make_version(owner)
    Alias.objects.create(model=made.model, name="champion", version=made, since=timezone.now())
    return made


@pytest.fixture
def answering(monkeypatch):
    """A model that repeats what it is given."""
    asked = []

    def answer(inputs, **how):
        asked.append((inputs, how["parameters"]))
        return [{"text": str(given)} for given in inputs]

    monkeypatch.setattr(prediction, "ask_model", answer)
    return asked


def test_a_version_is_deployed_looked_at_and_undeployed(alice, version):
    made = alice.post_json(f"versions/{version.pk}/deploy", {"replicas": 2})
    assert made.status_code == 201
    shown = alice.get(f"deployments/{made.json()['id']}").json()
    assert (shown["version"], shown["replicas"], shown["state"], shown["by"]) == (version.pk, 2, "loading", "alice")
    assert [row["id"] for row in alice.get(f"deployments?model={version.model_id}").json()["results"]] == [shown["id"]]
    assert alice.delete(f"/api/v1/deployments/{shown['id']}").status_code == 204
    assert alice.get("deployments").json()["count"] == 0
    assert alice.get(f"deployments/{shown['id']}").status_code == 404


def test_a_name_is_deployed_and_means_whoever_has_it(alice, version):
    made = alice.post_json(f"models/{version.model_id}/deploy", {}).json()
    assert (made["alias"], made["version"], made["replicas"]) == ("champion", version.pk, 1)


@pytest.mark.parametrize("body", [{"replicas": 0}, {"replicas": 17}, {"replicas": True}, {"copies": 2}, {"alias": "x"}])
def test_a_wrong_wish_is_refused_in_words(alice, version, body):
    answer = alice.post_json(f"models/{version.model_id}/deploy", body)
    assert answer.status_code == 400 and answer.json()["errors"]


def test_a_stranger_finds_nothing_and_who_only_sees_may_not(alice, version, stranger):
    made = alice.post_json(f"versions/{version.pk}/deploy", {}).json()
    access.make_roles()
    carol = make_user("carol")
    carol.groups.add(Group.objects.get(name="Approvers"))
    for who, status in ((Api(stranger), 404), (Api(carol), 403)):
        assert who.post_json(f"versions/{version.pk}/deploy", {}).status_code == status
        assert who.post_json(f"models/{version.model_id}/deploy", {}).status_code == status
        assert who.delete(f"/api/v1/deployments/{made['id']}").status_code == status
    assert Api(stranger).get("deployments").json()["count"] == 0
    assert Api(carol).get(f"deployments/{made['id']}").status_code == 200


def test_the_champion_answers_unless_another_name_is_said(alice, owner, version, answering):
    other = make_version(owner)
    Alias.objects.create(model=version.model, name="challenger", version=other, since=timezone.now())
    said = {"inputs": ["Once"], "key": "k", "group": "north"}
    answer = alice.post_json(f"models/{version.model_id}/predict", said).json()
    assert (answer["version"], answer["outputs"]) == (version.pk, [{"text": "Once"}])
    kept = Prediction.objects.get(pk=UUID(answer["predictions"][0]))
    assert kept.group == "north" and kept.key
    answer = alice.post_json(f"models/{version.model_id}/predict", {"inputs": ["Once"], "alias": "challenger"}).json()
    assert answer["version"] == other.pk


def test_files_are_taken_by_models_as_by_versions(alice, owner, answering):
    version = make_version(owner, recipe="image-classification")
    Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    for address in (f"versions/{version.pk}", f"models/{version.model_id}"):
        sent = {"files": SimpleUploadedFile("a.png", b"PNG")}
        if address.startswith("models"):
            sent |= {"alias": "champion", "group": "g"}
        assert alice.post(f"/api/v1/{address}/predict", sent).status_code == 200
    assert answering == [([b"PNG"], {})] * 2


def test_a_model_without_a_champion_says_so(alice, owner):
    answer = alice.post_json(f"models/{make_version(owner).model_id}/predict", {"inputs": ["x"]})
    assert answer.status_code == 409 and "champion" in answer.json()["detail"]


def test_a_stranger_asks_nobody(stranger, version, answering):
    for address in (f"versions/{version.pk}", f"models/{version.model_id}"):
        assert Api(stranger).post_json(f"{address}/predict", {"inputs": ["x"]}).status_code == 404


def test_nobody_s_subject_is_written_down(alice, version, answering):
    said = {"inputs": ["x"], "subject": 4711}
    assert alice.post_json(f"models/{version.model_id}/predict", said).status_code == 404


def test_when_no_model_answers_it_says_when_to_ask_again(alice, version, monkeypatch):
    def nobody(**asked):
        raise PredictionUnavailable("The model server ended.", "Ask again.")

    monkeypatch.setattr(prediction, "ask_model", nobody)
    answer = alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["x"]})
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1


def test_a_version_that_can_not_be_loaded_is_not_the_senders_fault(alice, version, monkeypatch):
    def damaged(**asked):
        raise ModelNotLoaded(FailureCode.BAD_DATA, "The model's files are damaged.", "Restore them.")

    monkeypatch.setattr(prediction, "ask_model", damaged)
    assert alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["x"]}).status_code == 409


def test_an_owner_s_request_asks_the_database_little(alice, version, answering):
    body = {"inputs": ["x"]}
    alice.post_json(f"versions/{version.pk}/predict", body)
    with CaptureQueriesContext(connection) as asked:
        alice.post_json(f"versions/{version.pk}/predict", body)
    reads = [query["sql"] for query in asked if query["sql"].startswith("SELECT")]
    assert len(reads) == 3, reads  # the token, the version; what is logged, which is asked seldom outside of tests


def events(answer):
    async def read():
        return b"".join([part async for part in answer.streaming_content])

    text = asyncio.run(read()).decode()
    lines = [part.split("\n") for part in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]


@pytest.mark.django_db(transaction=True)
def test_a_text_is_told_piece_by_piece_and_written_down_as_a_whole(alice, version, monkeypatch):
    pieces = [{"piece": "a"}, {"piece": "b"}, {"text": "xab", "completion": "ab"}]
    monkeypatch.setattr(streaming, "stream", lambda **asked: iter(pieces))
    answer = alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["x"], "stream": True})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    *told, (last, whole) = events(answer)
    assert told == [("piece", {"piece": "a"}), ("piece", {"piece": "b"})]
    assert last == "done" and whole["outputs"] == [{"text": "xab", "completion": "ab"}]
    assert Prediction.objects.get().pk == UUID(whole["predictions"][0])


def test_what_is_wrong_before_the_first_piece_has_a_status_of_its_own(alice, version, monkeypatch):
    def refuse(**asked):
        raise EngineError(FailureCode.BAD_CONFIG, "The parameters are not valid.", "Correct them.")
        yield

    monkeypatch.setattr(streaming, "stream", refuse)
    body = {"inputs": ["x"], "stream": True}
    assert alice.post_json(f"versions/{version.pk}/predict", body).status_code == 400
    assert alice.post_json(f"versions/{version.pk}/predict", {**body, "inputs": ["x", "y"]}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_what_breaks_later_is_an_event(alice, version, monkeypatch):
    def breaks(**asked):
        yield {"piece": "a"}
        raise PredictionUnavailable("The model server ended.", "Ask again.")

    monkeypatch.setattr(streaming, "stream", breaks)
    told = events(alice.post_json(f"models/{version.model_id}/predict", {"inputs": ["x"], "stream": True}))
    assert [name for name, _ in told] == ["piece", "problem"] and told[1][1]["status"] == 503
    assert "ended" in Prediction.objects.get().error, "as of any request that no process could answer"


@pytest.mark.django_db(transaction=True)
def test_a_text_that_is_told_piece_by_piece_goes_to_shadows_too(alice, version, monkeypatch):
    pool = shadows.Pool(threads=0)
    monkeypatch.setattr(shadows, "POOL", pool)
    monkeypatch.setattr(streaming, "stream", lambda **asked: iter([{"piece": "a"}, {"text": "xa", "completion": "a"}]))
    route = Route.objects.create(model=version.model, salt="s", started_at=timezone.now())
    RouteArm.objects.create(route=route, version=version, name="control", control=True, weight=1)
    other = make_version(version.model.owner, model=version.model)
    RouteArm.objects.create(route=route, version=other, name="shadow", shadow=True)
    told = events(alice.post_json(f"models/{version.model_id}/predict", {"inputs": ["x"], "stream": True}))
    copy = pool.copies.get_nowait()
    assert copy.arm.version == other and [str(pk) for pk in copy.given] == told[-1][1]["predictions"]


def test_whoever_is_gone_before_the_first_event_frees_the_place(alice, version, owner, monkeypatch):
    monkeypatch.setattr(streaming, "stream", lambda **asked: iter([{"piece": "a"}]))
    for _ in range(streaming.AT_ONCE + 1):
        streaming.response(streaming.Telling(Choice(version), Asked(owner, ["x"])))


def test_whoever_leaves_frees_the_place_and_stops_the_model(alice, version, monkeypatch):
    closed = []

    def endless(**asked):
        try:
            while True:
                yield {"piece": "a"}
        finally:
            closed.append(True)

    monkeypatch.setattr(streaming, "stream", endless)
    for _ in range(streaming.AT_ONCE + 1):
        answer = alice.post_json(f"versions/{version.pk}/predict", {"inputs": ["x"], "stream": True})

        async def leave(content=answer.streaming_content):
            await anext(content)
            await content.aclose()

        asyncio.run(leave())
    assert len(closed) == streaming.AT_ONCE + 1
