"""Predictions come from a model process outside of the caller, which starts when asked and ends when not."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import launch
from engine.predict import PredictionTimeout, PredictionUnavailable, predict
from engine.protocol import EngineError, FailureCode
from engine.serve import serve_channel
from engine.sockets import MAX_PART
from tests.engine.warmth import read_events, text_run, until, warm_server


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    with warm_server(tmp_path_factory.mktemp("warm")) as (socket_path, _):
        yield socket_path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory, warm):
    """The result of a real, very small training run."""
    folder = tmp_path_factory.mktemp("run")
    spec = text_run(folder)
    trainer = launch.start_trainer(spec, socket_path=warm)
    assert trainer.warm
    last = read_events(trainer)[-1]
    trainer.close()
    assert last["event"] == "completed", last
    return folder / "work" / "artifact"


@pytest.fixture
def ask(warm, artifact):
    def ask(inputs=("the ",), key="version-1", recipe="text-generation", **more):
        parameters = more.pop("parameters", {"max_new_tokens": 8, "seed": 1})
        where = {"socket_path": warm, "artifact": artifact, "recipe": recipe, "key": key, **more}
        return predict(inputs=list(inputs), parameters=parameters, **where)

    return ask


def model_processes(warm: Path) -> list[int]:
    server = launch.ping(warm)["pid"]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "trainhub-model\n"]


def test_a_trained_model_continues_a_text(ask):
    outputs = ask(["the ", "fox "])
    assert [output["text"][:4] for output in outputs] == ["the ", "fox "]
    assert all(len(output["completion"]) == 8 for output in outputs)


def test_the_second_request_is_answered_by_the_same_process_at_once(ask, warm):
    ask(key="again")
    before = model_processes(warm)
    began = time.perf_counter()
    ask(key="again")
    assert time.perf_counter() - began < 0.5
    assert model_processes(warm) == before


def test_requests_of_many_threads_are_all_answered(ask):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: ask(parameters={"max_new_tokens": 5, "seed": n})[0], range(48)))
    assert len(answers) == 48 and all(len(answer["completion"]) <= 5 for answer in answers)
    for seed in (0, 20, 47):  # each got its own answer
        assert answers[seed] == ask(parameters={"max_new_tokens": 5, "seed": seed})[0]


def test_at_most_three_models_are_kept_and_the_one_not_used_longest_leaves(ask, warm):
    for key in ("a", "b", "c"):
        ask(key=key)
    kept = model_processes(warm)
    assert len(kept) == 3
    ask(key="a")
    ask(key="d")
    until(lambda: len(model_processes(warm)) == 3)
    now = model_processes(warm)
    assert kept[1] not in now and {kept[0], kept[2]} <= set(now)


def test_wrong_inputs_and_parameters_get_the_predictors_own_words(ask):
    with pytest.raises(EngineError) as wrong:
        ask(parameters={"temperature": -1})
    assert wrong.value.code == FailureCode.BAD_CONFIG and "temperature" in wrong.value.message
    with pytest.raises(EngineError) as unreadable:
        ask([b"\x00 bytes are no text"])
    assert unreadable.value.code == FailureCode.BAD_DATA
    assert ask()


def test_inputs_that_are_too_many_or_too_large_are_refused_before_anything_is_sent(ask):
    for inputs in (["x"] * 65, [b"x" * (MAX_PART + 1)], ["x" * 1_000_000]):
        with pytest.raises(EngineError) as refused:
            ask(inputs)
        assert refused.value.code == FailureCode.BAD_DATA


def test_files_that_are_not_what_was_saved_are_not_loaded(ask, artifact):
    good = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in artifact.iterdir()}
    assert ask(key="checked", checksums=good)
    with pytest.raises(EngineError, match="damaged"):
        ask(key="spoilt", checksums={**good, "model.safetensors": "0" * 64})


def test_an_artifact_that_is_not_there_or_a_recipe_without_predictions_is_explained(ask, tmp_path):
    with pytest.raises(EngineError, match=r"config\.json"):
        ask(key="absent", artifact=tmp_path / "absent")
    with pytest.raises(EngineError, match="can't be tried"):
        ask(key="simulated", recipe="simulate")


def test_without_a_node_it_says_how_to_start_one(ask, tmp_path):
    with pytest.raises(PredictionUnavailable) as unavailable:
        ask(socket_path=tmp_path / "nobody.sock")
    assert "make run" in unavailable.value.hint


def test_a_model_that_takes_too_long_is_ended_and_the_next_request_gets_a_new_one(ask, warm):
    ask(key="slow")
    slow = model_processes(warm)[-1]
    with pytest.raises(PredictionTimeout):
        # Without chance: it goes on to the end instead of finding one early now and then.
        ask(["the "] * 64, key="slow", parameters={"max_new_tokens": 1000, "temperature": 0}, timeout=0.5)
    until(lambda: slow not in model_processes(warm))
    assert ask(key="slow")


def test_a_model_process_that_dies_at_work_is_told_and_replaced(ask, warm):
    ask(key="dying")
    pid = model_processes(warm)[-1]
    threading.Timer(0.3, os.kill, (pid, 9)).start()
    with pytest.raises(PredictionUnavailable, match="died"):
        ask(["the "] * 64, key="dying", parameters={"max_new_tokens": 1000, "temperature": 0})
    assert ask(key="dying")


def test_a_model_process_that_died_unnoticed_is_replaced_without_an_error(ask, warm):
    ask(key="gone")
    os.kill(model_processes(warm)[-1], 9)
    assert ask(key="gone")


def test_a_client_that_leaves_or_stalls_does_not_stop_the_others(ask, warm, artifact):
    order = {"op": "serve", "key": "shared", "artifact": str(artifact), "recipe": "text-generation"}
    with socket.socket(socket.AF_UNIX) as leaving:
        leaving.connect(str(warm))
        leaving.sendall(json.dumps(order).encode() + b"\n")
        leaving.recv(1)
    assert ask(key="shared")


def test_a_model_process_leaves_when_nobody_asks(artifact):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    began = time.monotonic()
    assert serve_channel(artifact, "text-generation", {}, theirs.detach(), idle_seconds=0.2) == 0
    assert 0.2 <= time.monotonic() - began < 5
    ours.close()


def test_a_key_used_after_its_run_leaves_no_descriptor_here(ask):
    ask()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        ask()
    assert len(os.listdir("/proc/self/fd")) == before
