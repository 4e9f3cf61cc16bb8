"""Requests that wait together are answered by one call of the predictor; one that is wrong spoils only itself."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from engine.protocol import EngineError, FailureCode
from engine.serving import replica as replicas
from engine.serving.frames import message, pack, read_message
from engine.serving.orders import Order
from engine.serving.served import MAX_BATCH, Request, Served


class Counting:
    """A predictor that upper-cases texts, counts its calls, and does not like 'bad'."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, inputs, parameters=None):
        self.calls.append(len(inputs))
        if "bad" in inputs:
            raise EngineError(FailureCode.BAD_DATA, f"Input {inputs.index('bad') + 1} is bad.", "Send another.")
        return [{"text": text.upper()} for text in inputs]


@pytest.fixture
def loaded(monkeypatch):
    """A replica at work in a thread; its predictor and our end of its socket."""
    counting = Counting()
    monkeypatch.setattr(replicas, "load_predictor", lambda *order: counting)
    monkeypatch.setattr(replicas, "warm_up", lambda *given: None)
    ours, theirs = socket.socketpair()
    order = Order("k", "/nowhere", "text-classification")
    thread = threading.Thread(target=lambda: replicas.Replica(order, theirs).run())
    thread.start()
    stream = ours.makefile("rb")
    assert read_message(stream)[0]["state"] == "ready"
    yield counting, ours, stream
    ours.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    stream.close()
    ours.close()
    theirs.close()


def asked(loaded, *texts):
    _, ours, stream = loaded
    for number, text in enumerate(texts):
        header = {"id": str(number), "more": number < len(texts) - 1}
        ours.sendall(message(header, pack({"inputs": [text], "parameters": {}}, [])))
    return [read_message(stream) for _ in texts]


def test_several_requests_are_one_call_and_each_gets_its_own_answer(loaded):
    answers = asked(loaded, "a", "b", "c")
    assert [(header["id"], json.loads(body)[0]["text"]) for header, body in answers] == [
        ("0", "A"),
        ("1", "B"),
        ("2", "C"),
    ]
    assert loaded[0].calls == [3]


def test_a_bad_request_fails_alone_and_in_its_own_words(loaded):
    answers = asked(loaded, "a", "bad", "c")
    assert [header["state"] for header, _ in answers] == ["done", "error", "done"]
    assert answers[1][0]["error"]["message"] == "Input 1 is bad."


def test_a_body_that_is_no_request_is_an_answer_too(loaded):
    _, ours, stream = loaded
    ours.sendall(message({"id": "x"}, b"nonsense"))
    assert read_message(stream)[0]["error"]["code"] == FailureCode.BAD_DATA
    assert asked(loaded, "a")


def waiting(recipe: str, *requests: Request) -> Served:
    served = Served(Order("k", "/nowhere", recipe))
    served.queue.extend(requests)
    return served


def request(name: str, **more) -> Request:
    return Request(name, "k", b"x", lambda header, body: None, **more)


def test_what_waits_together_goes_together():
    served = waiting("text-classification", *(request(str(n)) for n in range(MAX_BATCH + 3)))
    assert (len(served.batch()), len(served.batch()), served.batch()) == (MAX_BATCH, 3, [])


def test_texts_are_written_one_after_the_other_since_chance_is_theirs():
    served = waiting("text-generation", request("a"), request("b"))
    assert [one.id for one in served.batch()] == ["a"]


def test_what_was_there_when_a_replica_died_is_tried_by_itself():
    served = waiting("text-classification", request("a", tries=1), request("b", tries=1), request("c"), request("d"))
    assert [[one.id for one in served.batch()] for _ in range(3)] == [["a"], ["b"], ["c", "d"]]


def test_requests_with_other_parameters_are_not_mixed():
    one = Request("a", "k", pack({"inputs": ["x"], "parameters": {"p": 1}}, []), lambda *_: None, shape="p1")
    two = Request("b", "k", pack({"inputs": ["x"], "parameters": {}}, []), lambda *_: None)
    assert [len(batch) for batch in (waiting("text-classification", one, two).batch(),)] == [1]
