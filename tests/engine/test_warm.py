"""The warm server stays small, answers whatever it is sent, and takes everything along when it goes."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engine import launch
from engine.processes import group_members, process_alive
from tests.engine.warmth import endless, proportional_mib, read_events, simulation, until, warm_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with warm_server(tmp_path_factory.mktemp("warm")) as (socket_path, process):
        yield socket_path, process


@pytest.fixture
def warm(server):
    return server[0]


def ask(path: Path, data: bytes, *, fds: tuple[int, ...] = ()) -> bytes:
    """Send bytes, and return everything that comes back until the server closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        with suppress(BrokenPipeError):  # it refuses what is too long before it has read all of it
            socket.send_fds(connection, [data], fds) if fds else connection.sendall(data)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass  # it closed with some of our bytes unread
        return answer


def test_an_idle_server_is_small_and_has_one_thread(server, capsys):
    _, process = server
    size = proportional_mib(process.pid)
    with capsys.disabled():
        print(f"\nidle warm server: {size:.0f} MiB proportional")
    assert size < 200
    assert len(os.listdir(f"/proc/{process.pid}/task")) == 1


def test_it_says_who_it_is(server):
    path, process = server
    assert launch.ping(path)["pid"] == process.pid
    assert launch.ping(path)["torch"]
    assert launch.ping(path.with_name("nobody.sock")) is None


def test_the_socket_is_for_its_owner_alone(warm):
    assert stat.S_IMODE(warm.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"op": "dance"}\n',
        b'{"op": ["train"]}\n',
        b'{"op": "train"}\n',
        b'{"op": "train", "spec": 5}\n',
        b'{"op": "train", "spec": "/x\\u0000y"}\n',
        b'{"op": "train", "spec": "/x", "env": {"A": 5}}\n',
        b'{"op": "train", "spec": "/x", "env": {"A=B": "c"}}\n',
        b'{"op": "train", "spec": "/x"}\n',
        b'{"op": "serve", "key": "k"}\n',
        b'{"op": "serve", "key": "k", "artifact": "/x", "recipe": "y", "checksums": 7}\n',
        b"[" * 60_000 + b"\n",
        b"\xff\xfe\n",
        b"x" * 200_000,
    ],
)
def test_a_malformed_request_gets_an_error_and_harms_nobody(warm, data):
    answer = ask(warm, data)
    assert not answer or "error" in json.loads(answer)
    assert launch.ping(warm)


def test_a_request_with_too_many_descriptors_gets_an_error_and_leaks_none(server):
    path, process = server
    null = os.open(os.devnull, os.O_RDONLY)
    before = len(os.listdir(f"/proc/{process.pid}/fd"))
    for _ in range(5):
        answer = ask(path, b'{"op": "train", "spec": "/x"}\n', fds=(null,) * 9)
        assert "error" in json.loads(answer)
    os.close(null)
    until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) <= before)


def test_a_connection_that_says_nothing_or_closes_half_way_does_not_disturb(warm):
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(warm))
    half = socket.socket(socket.AF_UNIX)
    half.connect(str(warm))
    half.send(b'{"op": "tr')
    half.shutdown(socket.SHUT_WR)
    assert half.recv(10) == b""
    assert launch.ping(warm)
    silent.settimeout(10)
    assert b"in time" in silent.recv(1000)
    silent.close()
    half.close()


def test_out_of_descriptors_it_answers_with_an_error_and_recovers(tmp_path):
    with warm_server(tmp_path) as (path, process):
        used = len(os.listdir(f"/proc/{process.pid}/fd"))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 4, 4096))
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for client in crowd:
            client.connect(str(path))
        crowd[-1].settimeout(3)
        assert b"too many open files" in crowd[-1].recv(1000)
        trainer = launch.start_trainer(simulation(tmp_path), socket_path=path)
        assert not trainer.warm and trainer.wait(20).code == 0
        trainer.close()
        for client in crowd:
            client.close()
        assert until(lambda: launch.ping(path))


def test_a_second_server_on_the_path_leaves_and_the_first_goes_on(server):
    path, process = server
    second = subprocess.run(launch.warm_command(path), env=launch.engine_environment(), timeout=30)
    assert second.returncode == 3
    assert launch.ping(path)["pid"] == process.pid


def test_of_servers_started_at_once_exactly_one_serves(tmp_path):
    path = tmp_path / "warm.sock"
    crowd = [subprocess.Popen(launch.warm_command(path), env=launch.engine_environment()) for _ in range(3)]
    until(lambda: launch.ping(path), 60)
    until(lambda: sum(process.poll() is None for process in crowd) == 1, 30)
    alive = next(process for process in crowd if process.poll() is None)
    assert launch.ping(path)["pid"] == alive.pid
    alive.terminate()
    assert alive.wait(10) == 0
    assert not path.exists()


def test_a_socket_left_by_a_killed_server_is_replaced(tmp_path):
    deep = tmp_path / ("a" * 60) / ("b" * 60)  # longer than the address of a socket may be
    deep.mkdir(parents=True)
    with warm_server(deep) as (path, process):
        process.kill()
        process.wait()
        assert path.exists() and launch.ping(path) is None
    with warm_server(deep) as (path, process):
        assert launch.ping(path)["pid"] == process.pid


def test_when_the_server_is_killed_its_runs_die_and_new_ones_start_cold(tmp_path):
    with warm_server(tmp_path) as (path, process):
        trainer = launch.start_trainer(endless(tmp_path), socket_path=path)
        read_events(trainer, "step")
        process.kill()
        assert trainer.wait(2) == launch.Ended(signal=9, lost_server=True)
        assert group_members(trainer.pid, trainer.start_time) == []
        trainer.close()
        fallback = launch.start_trainer(simulation(tmp_path), socket_path=path)
        assert not fallback.warm and fallback.wait(20).code == 0
        fallback.close()


def test_a_server_told_to_stop_ends_its_runs_and_its_socket(tmp_path):
    with warm_server(tmp_path) as (path, process):
        trainer = launch.start_trainer(endless(tmp_path), socket_path=path)
        read_events(trainer, "step")
        process.terminate()
        assert process.wait(5) == 0
        assert trainer.wait(2).signal == 9
        assert not path.exists()
        trainer.close()


def test_ctrl_c_in_the_terminal_is_left_to_the_supervisors(server):
    path, process = server
    process.send_signal(signal.SIGINT)
    assert launch.ping(path)["pid"] == process.pid


def test_the_server_ends_when_the_process_that_started_it_dies(tmp_path):
    path = tmp_path / "warm.sock"
    script = (
        "import subprocess, sys, time; from pathlib import Path; from engine import launch;"
        "p = subprocess.Popen(launch.warm_command(Path(sys.argv[1])), env=launch.engine_environment());"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=launch.ROOT)
    server = until(lambda: launch.ping(path), 60)["pid"]
    parent.kill()
    parent.wait()
    until(lambda: not Path(f"/proc/{server}").exists() or launch.ping(path) is None, 2)
    until(lambda: not path.exists(), 2)


def test_a_server_whose_parent_is_gone_already_does_not_stay(tmp_path):
    command = launch.warm_command(tmp_path / "warm.sock", parent=1_234_567)
    assert subprocess.run(command, env=launch.engine_environment(), timeout=30).returncode == 4


def test_a_stopped_server_is_passed_over_and_starts_no_second_trainer(tmp_path):
    with warm_server(tmp_path) as (path, process):
        process.send_signal(signal.SIGSTOP)
        spec = endless(tmp_path)
        began = time.monotonic()
        trainer = launch.start_trainer(spec, socket_path=path)
        assert not trainer.warm and time.monotonic() - began < 3
        process.send_signal(signal.SIGCONT)  # it forks for a request whose sender has gone
        assert until(lambda: launch.ping(path))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text() == "", 2)
        assert process_alive(trainer.pid, trainer.start_time)
        trainer.close()


SPEED = """
import sys, time, os
import torch
from engine import eager
eager.install()
def seconds():
    model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 512))
    optimizer = torch.optim.AdamW(model.parameters())
    inputs = torch.randn(256, 512)
    def step():
        model(inputs).pow(2).mean().backward(); optimizer.step(); optimizer.zero_grad()
    for _ in range(5): step()
    times = []
    for _ in range(40):
        began = time.perf_counter(); step(); times.append(time.perf_counter() - began)
    return sorted(times)[20]
"""
FORKED = (
    SPEED
    + """
from engine.child import physical_cores
if os.fork() == 0:
    torch.set_num_threads(physical_cores())
    print(torch.get_num_threads(), seconds(), flush=True)
    os._exit(0)
os.wait()
"""
)
FRESH = SPEED + "print(torch.get_num_threads(), seconds())"


def test_a_fork_of_a_one_thread_process_computes_as_fast_as_a_fresh_one():
    def measure(script: str, **env: str) -> tuple[int, float]:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**launch.engine_environment(), **env},
            capture_output=True,
            text=True,
            check=True,
        )
        threads, seconds = done.stdout.split()
        return int(threads), float(seconds)

    fresh, forked = (measure(script, **env) for script, env in ((FRESH, {}), (FORKED, {"OMP_NUM_THREADS": "1"})))
    assert forked[0] == fresh[0]
    assert forked[1] < 1.5 * fresh[1]


def test_an_optimizer_does_not_load_the_compiler_and_the_compiler_can_still_be_loaded():
    script = SPEED + (
        "seconds(); assert not [n for n in sys.modules if n.startswith('torch._dynamo.')];"
        "assert torch._dynamo.config is sys.modules['torch._dynamo.config']"
    )
    subprocess.run([sys.executable, "-c", script], env=launch.engine_environment(), check=True)
