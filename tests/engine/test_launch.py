"""A supervisor starts trainers, warm or cold, and whatever happens to either side nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import launch
from engine.processes import OomWatch, group_members, kill_leftover, process_alive, start_time_of
from engine.protocol import Command
from tests.engine.warmth import endless, read_events, read_output, simulation, text_run, until, warm_server


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    with warm_server(tmp_path_factory.mktemp("warm")) as (socket_path, _):
        yield socket_path


@pytest.fixture(params=["warm", "cold"])
def start(request, warm):
    """Starts trainers in one of the two ways, and ends them after the test."""
    started = []

    def start(spec: Path, **more) -> launch.Trainer:
        trainer = launch.start_trainer(spec, socket_path=warm if request.param == "warm" else None, **more)
        started.append(trainer)
        assert trainer.warm == (request.param == "warm")
        return trainer

    yield start
    for trainer in started:
        trainer.close()


def test_a_run_reports_its_events_and_its_exit_code(start, tmp_path):
    trainer = start(simulation(tmp_path))
    kinds = [event["event"] for event in read_events(trainer)]
    assert kinds[0] == "started" and kinds[-1] == "completed"
    assert trainer.poll() == launch.Ended(code=0)


def test_a_failed_run_ends_with_the_exit_code_of_failure(start, tmp_path):
    trainer = start(simulation(tmp_path, failure="error", fail_at_step=2))
    assert read_events(trainer)[-1]["event"] == "failed"
    assert trainer.wait(10) == launch.Ended(code=1)


def test_a_trainer_leads_its_own_session_and_group(start, tmp_path):
    trainer = start(endless(tmp_path))
    events = read_events(trainer, "step")
    assert events[0]["pid"] == trainer.pid == os.getpgid(trainer.pid) == os.getsid(trainer.pid)
    assert trainer.start_time == start_time_of(trainer.pid)


def test_a_cancel_is_carried_out(start, tmp_path):
    trainer = start(endless(tmp_path))
    read_events(trainer, "step")
    assert trainer.send(Command.CANCEL)
    assert trainer.wait(5) == launch.Ended(code=4)
    until(lambda: not trainer.send(Command.CANCEL))  # nobody reads any more, and that is no error


def test_a_trainer_killed_by_somebody_ended_by_signal_9_and_not_for_memory(start, tmp_path):
    trainer = start(endless(tmp_path))
    read_events(trainer, "step")
    os.kill(trainer.pid, signal.SIGKILL)
    assert trainer.wait(2) == launch.Ended(signal=9, oom=False)


def test_kill_ends_the_whole_group_and_may_be_repeated(start, tmp_path):
    trainer = start(endless(tmp_path))
    read_events(trainer, "step")
    assert trainer.kill() and trainer.kill()
    assert group_members(trainer.pid, trainer.start_time) == []
    assert trainer.poll().signal == 9
    trainer.close()
    trainer.close()
    assert trainer.kill()


def test_closing_a_live_trainer_kills_it(start, tmp_path):
    trainer = start(endless(tmp_path))
    read_events(trainer, "step")
    trainer.close()
    assert not process_alive(trainer.pid, trainer.start_time)


def test_a_cold_run_gets_the_environment_given_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINHUB_SECRET_KEY", "9b1deb4d")
    trainer = launch.start_trainer(endless(tmp_path), socket_path=None, env={"CUDA_VISIBLE_DEVICES": "7"})
    read_events(trainer, "step")
    environment = Path(f"/proc/{trainer.pid}/environ").read_bytes()
    trainer.close()
    assert b"CUDA_VISIBLE_DEVICES=7" in environment
    assert b"9b1deb4d" not in environment


def test_a_warm_run_gets_the_environment_given(warm, tmp_path):
    def threads(number: str) -> int:
        folder = tmp_path / number
        folder.mkdir()
        trainer = launch.start_trainer(text_run(folder), socket_path=warm, env={"OMP_NUM_THREADS": number})
        started = read_events(trainer, "started")[0]
        trainer.close()
        return started["environment"]["threads"]

    assert threads("1") == 1
    assert threads("3") == 3


def test_warm_and_cold_runs_use_as_many_threads_and_end_with_the_same_weights(warm, tmp_path, capsys):
    def result(name: str, socket_path: Path | None) -> tuple[int, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        spec = text_run(folder, steps=60, width=64, layers=2)
        began = time.perf_counter()
        trainer = launch.start_trainer(spec, socket_path=socket_path)
        events = read_events(trainer, "step")
        took = time.perf_counter() - began
        events += read_events(trainer)
        trainer.close()
        with capsys.disabled():
            print(f"\n{name}: first step of text generation after {took * 1000:.0f} ms")
        weights = (folder / "work" / "artifact" / "model.safetensors").read_bytes()
        return events[0]["environment"]["threads"], weights

    assert result("warm", warm) == result("cold", None)


def test_what_a_run_prints_arrives_as_output(start, tmp_path):
    trainer = start(tmp_path / "absent.json")
    trainer.wait(20)
    assert trainer.poll().code == 1
    assert read_events(trainer)[-1]["code"] == "BAD_CONFIG"
    crashing = start(simulation(tmp_path, failure="error", fail_at_step=1))
    crashing.wait(20)
    assert "Traceback" in read_output(crashing)


def test_no_descriptor_and_no_process_is_left_after_thirty_runs(warm, tmp_path):
    server = launch.ping(warm)["pid"]
    launch.start_trainer(simulation(tmp_path), socket_path=warm).close()
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    before, children = len(os.listdir("/proc/self/fd")), set(own.read_text().split())
    server_before = until(lambda: len(os.listdir(f"/proc/{server}/fd")))
    for number in range(30):
        trainer = launch.start_trainer(simulation(tmp_path), socket_path=warm if number % 10 else None)
        trainer.wait(20)
        trainer.close()
    assert len(os.listdir("/proc/self/fd")) == before
    until(lambda: len(os.listdir(f"/proc/{server}/fd")) <= server_before)
    assert Path(f"/proc/{server}/task/{server}/children").read_text() == ""
    assert set(own.read_text().split()) <= children


def test_a_warm_start_reaches_its_first_step_in_a_fraction_of_a_second(warm, tmp_path, capsys):
    def seconds() -> float:
        spec = simulation(tmp_path)
        began = time.perf_counter()
        trainer = launch.start_trainer(spec, socket_path=warm)
        read_events(trainer, "step")
        took = time.perf_counter() - began
        trainer.close()
        return took

    median = statistics.median(seconds() for _ in range(15))
    with capsys.disabled():
        print(f"\nwarm start to first step: {median * 1000:.0f} ms")
    assert median < 0.3


SUPERVISOR = """
import os, sys, time
from pathlib import Path
from engine import launch
trainer = launch.start_trainer(Path(sys.argv[1]), socket_path=Path(sys.argv[2]) if sys.argv[2] else None)
print(trainer.pid, trainer.start_time, flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["warm", "cold"])
def supervisor(request, warm, tmp_path):
    """A supervisor process with a trainer; yields it and its trainer's process id and start time."""
    socket_path = str(warm) if request.param == "warm" else ""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SUPERVISOR, str(endless(tmp_path)), socket_path],
        env={**os.environ, "PYTHONPATH": str(launch.ROOT)},
        stdout=subprocess.PIPE,
    )
    pid, start_time = map(int, process.stdout.readline().split())
    time.sleep(0.5)  # let a cold one reach its loop
    yield process, pid, start_time
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_trainer_dies_with_its_supervisor(supervisor):
    process, pid, start_time = supervisor
    assert process_alive(pid, start_time)
    process.kill()
    began = time.monotonic()
    until(lambda: group_members(pid, start_time) == [], 2.0)
    assert time.monotonic() - began < 2.0


def test_a_successor_ends_what_is_left_and_nothing_that_only_has_its_number(supervisor):
    _, pid, start_time = supervisor
    assert not kill_leftover(pid, start_time + 1) and process_alive(pid, start_time)
    assert kill_leftover(pid, start_time) and not process_alive(pid, start_time)
    assert not kill_leftover(pid, start_time)


def test_grandchildren_die_although_the_leader_is_gone():
    script = "import os,time\nif os.fork():\n os._exit(0)\ntime.sleep(600)"
    leader = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    start_time = start_time_of(leader.pid)
    leader.wait()
    assert len(group_members(leader.pid, start_time)) == 1
    assert kill_leftover(leader.pid, start_time)
    assert group_members(leader.pid, start_time) == []


def test_a_kill_for_memory_is_told_from_another_by_the_kernels_count(tmp_path):
    counter = tmp_path / "memory.events"
    counter.write_text("oom 1\noom_kill 3\n")
    watch = OomWatch(counter)
    assert not watch.claim()
    counter.write_text("oom 2\noom_kill 4\n")
    assert watch.claim()
    assert not watch.claim()  # one kill explains one death
    counter.write_text("oom 3\noom_kill 5\n")
    for _ in range(2):
        watch.looked -= watch.INTERVAL
        watch.look()
    assert not watch.claim()  # long ago: something else was killed


def test_the_count_of_this_machine_can_be_read():
    assert OomWatch().file.read_text().count("oom_kill") >= 1


def test_the_supervisors_side_needs_no_torch():
    script = "import engine.launch, engine.predict, engine.telemetry, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=launch.ROOT)


def test_a_server_that_refuses_or_speaks_nonsense_means_a_cold_start(tmp_path):
    import socket
    import threading

    path = tmp_path / "odd.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    answers = [json.dumps({"error": "no"}).encode() + b"\n", b"not json\n", b"", None]

    def answer() -> None:
        for text in answers:
            client, _ = listener.accept()
            client.recv(4096)
            if text is None:
                time.sleep(2)
            else:
                client.sendall(text)
            client.close()

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in answers:
        trainer = launch.start_trainer(simulation(tmp_path), socket_path=path)
        assert not trainer.warm
        assert trainer.wait(20) == launch.Ended(code=0)
        trainer.close()
    thread.join()
    listener.close()
