"""Deployed versions have replicas that are kept, started again when they die, and unloaded for want of memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import launch
from engine.predict import PredictionUnavailable
from engine.serving.client import status, wish
from engine.serving.orders import memory_limit
from tests.engine.serving.conftest import Asker
from tests.engine.warmth import model_server, until

SHORT = {"max_new_tokens": 8, "seed": 1}


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_a_wish_loads_as_many_replicas_as_it_says_before_anyone_asks(server, sorts):
    wish(server, [sorts.wish(replicas=2)])
    until(lambda: len(sorts.pids()) == 2)
    told = sorts.told()
    assert told["state"] == "ready" and told["requests"] == 0 and told["memory"] > 0
    wish(server, [sorts.wish(replicas=1)])
    until(lambda: len(sorts.pids()) == 1)


def test_what_is_not_wished_any_more_may_leave(server, sorts, writes):
    wish(server, [sorts.wish(), writes.wish(kept=True, replicas=1)])
    until(lambda: sorts.pids() and writes.pids())
    wish(server, [])
    assert sorts.told()["wanted"] == 0  # it is kept for a while, as one that was tried


def test_a_replica_that_is_killed_is_there_again_without_being_asked(server, sorts):
    wish(server, [sorts.wish()])
    first = until(sorts.pids)
    kill(first[0])
    until(lambda: sorts.pids() and sorts.pids() != first)
    assert sorts.told()["restarts"] == 1


def test_what_a_killed_replica_worked_on_is_answered_by_another(server, writes):
    expected = writes(*["the "] * 16, max_new_tokens=200, seed=1)
    victim = writes.pids()[0]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(writes, *["the "] * 16, max_new_tokens=200, seed=1)
        until(lambda: status(server)["models"][0]["idle"] < 9 and writes.told()["batches"] == 2)
        kill(victim)
        assert asked.result() == expected
    assert writes.told()["restarts"] == 1


def test_a_request_that_kills_every_replica_is_given_up_and_the_others_are_answered(server, writes):
    writes("the ", **SHORT)
    stop = threading.Event()

    def murder():
        while not stop.wait(0.05):
            for pid in writes.pids():
                kill(pid)

    thread = threading.Thread(target=murder)
    thread.start()
    with pytest.raises(PredictionUnavailable, match="died"):
        writes(*["the "] * 64, max_new_tokens=1000, temperature=0)
    stop.set()
    thread.join()
    assert writes("the ", **SHORT)


def test_while_replicas_are_killed_no_answer_is_wrong(server, sorts):
    wish(server, [sorts.wish(replicas=2)])
    texts = ("apple pear plum", "bolt screw nail")
    expected = [sorts(text)[0] for text in texts]
    over = threading.Event()

    def ask(number):
        answers = []
        while not over.is_set():
            answers.append(sorts(texts[number % 2])[0] == expected[number % 2])
        return answers

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, number) for number in range(4)]
        for times in range(1, 5):
            kill(until(sorts.pids)[0])
            until(lambda times=times: sorts.told()["restarts"] == times and len(sorts.pids()) == 2)
        over.set()
        assert all(all(one.result()) and one.result() for one in asked)
    assert sorts.told()["restarts"] == 4


def test_a_model_server_that_is_killed_and_started_again_is_found_by_the_same_client(warm, sorter, tmp_path):
    with model_server(warm, tmp_path) as path:
        ask = Asker(path, sorter, "text-classification", "sorter")
        expected = ask("apple pear")
        kill(status(path)["pid"])
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, "apple pear")
            time.sleep(0.3)
            pid = launch.start_model_server(warm, path, parent=os.getpid(), limit=1 << 40)
            assert asked.result() == expected
        os.kill(pid, signal.SIGTERM)


def test_it_ends_with_its_parent(warm, tmp_path):
    script = "import time; time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", script])
    path = tmp_path / "m.sock"
    pid = launch.start_model_server(warm, path, parent=parent.pid, limit=1 << 40)
    until(path.exists)
    assert status(path)["pid"] == pid
    parent.kill()
    parent.wait()
    until(lambda: not path.exists())


def test_the_one_not_asked_for_longest_is_unloaded_when_memory_is_short_and_comes_back(warm, sorter, writer, tmp_path):
    with model_server(warm, tmp_path, limit=1 << 20) as path:  # less than any two need
        first = Asker(path, sorter, "text-classification", "first")
        second = Asker(path, writer, "text-generation", "second")
        wish(path, [first.wish()])
        until(first.pids)
        second("the ", **SHORT)
        until(lambda: first.told()["state"] == "unloaded" and not first.pids())
        wish(path, [first.wish()])
        assert first.told()["state"] == "unloaded"  # a wish alone does not bring it back
        assert first("apple")[0]["label"] == "fruit"


@pytest.mark.parametrize(("said", "bytes_"), [("1G", 1 << 30), ("300 MiB", None), ("512M", 512 << 20), ("7", 7)])
def test_a_limit_of_memory_is_read(said, bytes_):
    assert memory_limit(said) == (bytes_ or 300 << 20)


def test_a_limit_of_memory_may_be_a_share_and_has_a_default():
    assert memory_limit("10%") * 5 == pytest.approx(memory_limit(""), rel=0.01)
    for wrong in ("much", "-1", "nan", "0", "G"):
        with pytest.raises(ValueError):
            memory_limit(wrong)


def test_the_client_is_light():
    script = "import engine.predict, engine.serving.client, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
