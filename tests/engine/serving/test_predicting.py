"""Predictions come from a process outside of the caller, which is started when asked for."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.predict import ModelNotLoaded, PredictionTimeout, PredictionUnavailable, predict
from engine.protocol import EngineError, FailureCode
from engine.serving.client import status, wish
from engine.sockets import MAX_PART
from tests.engine.serving.conftest import Asker, checksums
from tests.engine.warmth import until

SHORT = {"max_new_tokens": 8, "seed": 1}
LONG = {"max_new_tokens": 1000, "temperature": 0}  # without chance: it goes on to the end


def test_a_trained_model_continues_a_text(writes):
    outputs = writes("the ", "fox ", **SHORT)
    assert [output["text"][:4] for output in outputs] == ["the ", "fox "]
    assert all(len(output["completion"]) <= 8 for output in outputs)


def test_the_second_request_is_answered_by_the_same_process_at_once(writes):
    writes("the ", **SHORT)
    before = writes.pids()
    began = time.perf_counter()
    writes("the ", **SHORT)
    assert time.perf_counter() - began < 0.5
    assert writes.pids() == before


def test_requests_of_many_threads_each_get_their_own_answer(writes):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: writes("the ", max_new_tokens=5, seed=n)[0], range(48)))
    for seed in (0, 20, 47):
        assert answers[seed] == writes("the ", max_new_tokens=5, seed=seed)[0]


def test_at_most_three_models_are_tried_at_once_and_the_one_not_used_longest_leaves(server, writer):
    asked = [Asker(server, writer, "text-generation", key) for key in "abcd"]
    for ask in asked[:3]:
        ask("the ", **SHORT)
    asked[0]("the ", **SHORT)
    asked[3]("the ", **SHORT)
    until(lambda: asked[1].told() is None)
    assert all(ask.pids() for ask in (asked[0], asked[2], asked[3]))


def test_wrong_inputs_and_parameters_get_the_predictors_own_words(writes):
    with pytest.raises(EngineError) as wrong:
        writes("the ", temperature=-1)
    assert wrong.value.code == FailureCode.BAD_CONFIG and "temperature" in wrong.value.message
    with pytest.raises(EngineError) as unreadable:
        writes(b"\x00 bytes are no text")
    assert unreadable.value.code == FailureCode.BAD_DATA
    assert writes("the ", **SHORT)


@pytest.mark.parametrize("inputs", [["x"] * 65, [b"x" * (MAX_PART + 1)], ["x" * 1_000_000]])
def test_inputs_that_are_too_many_or_too_large_are_refused_before_anything_is_sent(writes, inputs):
    with pytest.raises(EngineError) as refused:
        writes(*inputs)
    assert refused.value.code == FailureCode.BAD_DATA


def test_files_that_are_not_what_was_saved_are_not_loaded(server, writer):
    good = checksums(writer)
    assert Asker(server, writer, "text-generation", "checked", checksums=good)("the ", **SHORT)
    spoilt = Asker(server, writer, "text-generation", "spoilt", checksums={**good, "model.safetensors": "0" * 64})
    wish(server, [spoilt.wish()])
    with pytest.raises(ModelNotLoaded, match="damaged"):
        spoilt("the ")
    assert spoilt.told()["state"] == "failed" and "damaged" in spoilt.told()["error"]["message"]


def test_an_artifact_that_is_not_there_or_a_recipe_without_predictions_is_explained(server, writer, tmp_path):
    with pytest.raises(EngineError, match=r"config\.json"):
        Asker(server, tmp_path / "absent", "text-generation", "absent")("the ")
    with pytest.raises(EngineError, match="can't be tried"):
        Asker(server, writer, "simulate", "simulated")("the ")


def test_without_a_node_it_says_how_to_start_one(tmp_path, writer):
    with pytest.raises(PredictionUnavailable) as unavailable:
        Asker(tmp_path / "nobody.sock", writer, "text-generation", "x")("the ")
    assert "make run" in unavailable.value.hint


def test_a_model_that_takes_too_long_is_ended_and_the_next_request_gets_a_new_one(writes):
    writes("the ", **SHORT)
    slow = writes.pids()
    with pytest.raises(PredictionTimeout, match="too long"):
        writes(*["the "] * 64, **LONG, timeout=0.5)
    until(lambda: writes.pids() != slow)
    assert writes("the ", **SHORT)


def test_requests_behind_one_that_takes_too_long_are_answered(writes):
    writes("the ", **SHORT)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(writes, *["the "] * 64, **LONG, timeout=1.0)
        time.sleep(0.2)
        assert pool.submit(writes, "the ", **SHORT).result()
        with pytest.raises(PredictionTimeout):
            slow.result()


def test_a_request_that_never_came_to_its_turn_ends_nobody(writes):
    writes("the ", **SHORT)
    first = writes.pids()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(writes, *["the "] * 8, **LONG)
        time.sleep(0.1)
        with pytest.raises(PredictionTimeout, match="busy"):
            writes("the ", **SHORT, timeout=0.05)
        assert slow.result()
    assert writes.pids() == first


def test_a_client_that_leaves_does_not_stop_the_others(server, writer):
    ask = Asker(server, writer, "text-generation", "shared")
    from engine.serving.client import Connection

    leaving = Connection(server)
    leaving.send({"op": "predict", "id": "1", "key": "shared", "seconds": 9, "order": ask.order.as_dict()}, b"", 5)
    leaving.close()
    assert ask("the ", **SHORT)


@pytest.mark.parametrize("nonsense", [b"\0" * 64, b"\xff" * 64, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{}"])
def test_nonsense_ends_only_the_connection_that_sent_it(server, writes, nonsense):
    from engine import sockets

    with sockets.connect(server, 1.0) as connection:
        connection.sendall(nonsense)
        connection.settimeout(2.0)
        answer = connection.recv(4096)
        assert not answer or b"refused" in answer
    assert writes("the ", **SHORT)


def test_connections_are_kept_and_used_again(writes):
    writes("the ", **SHORT)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        writes("the ", **SHORT)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_answer_with_another_id_is_never_taken(tmp_path):
    """A server that mixes answers up."""
    import socket

    from engine.serving.client import BACK_SECONDS, Client
    from engine.serving.frames import message, read_message

    path = tmp_path / "liar.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def lie():
        for turn in range(2):
            client, _ = listener.accept()
            with client, client.makefile("rb") as stream:
                header, _ = read_message(stream)
                id = header["id"] if turn else "another"
                client.sendall(message({"id": id, "state": "done"}, json.dumps(turn).encode()))

    thread = threading.Thread(target=lie)
    thread.start()
    assert BACK_SECONDS > 1
    assert Client(path).ask({"op": "predict"})[1] == b"1"
    thread.join()
    listener.close()


def test_a_prediction_needs_no_order_when_the_model_is_loaded(server, writes):
    writes("the ", **SHORT)

    def order():
        raise AssertionError("it was looked up again")

    assert predict(socket_path=server, order=order, key="writer", inputs=["the "], parameters=SHORT)
    assert status(server)["models"][0]["requests"] == 2
