"""Figures of devices and processes: right where they can be measured, absent where they can't."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import pytest

from engine import launch
from engine.telemetry import Sampler, devices
from tests.engine.warmth import until

# Two GPUs: the first answers everything, the second neither utilisation nor power.
FAKE_DRIVER = r"""
#include <stdio.h>
#include <string.h>
typedef int R; typedef long long D;
R nvmlInitWithFlags(unsigned f) { return 0; }
R nvmlInit_v2(void) { return 0; }
R nvmlShutdown(void) { return 0; }
R nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
R nvmlDeviceGetHandleByIndex_v2(unsigned i, D *d) { if (i > 1) return 2; *d = i + 1; return 0; }
R nvmlDeviceGetHandleByUUID(const char *u, D *d) { *d = u[4] - '0' + 1; return 0; }
R nvmlDeviceGetName(D d, char *s, unsigned n) { snprintf(s, n, "Pretend %lld", d - 1); return 0; }
R nvmlDeviceGetUUID(D d, char *s, unsigned n) { snprintf(s, n, "GPU-%lld", d - 1); return 0; }
struct M { unsigned long long total, free, used; };
R nvmlDeviceGetMemoryInfo(D d, struct M *m) { m->total = 8ULL << 30; m->used = d << 30; m->free = 0; return 0; }
struct U { unsigned gpu, memory; };
R nvmlDeviceGetUtilizationRates(D d, struct U *u) { if (d == 2) return 3; u->gpu = 87; u->memory = 5; return 0; }
R nvmlDeviceGetTemperature(D d, unsigned s, unsigned *t) { *t = 60 + d; return 0; }
R nvmlDeviceGetPowerUsage(D d, unsigned *p) { if (d == 2) return 3; *p = 215500; return 0; }
"""
ASK = """
import dataclasses, json, os
from engine.telemetry import Sampler, devices
found = devices()
print(json.dumps({"devices": [dataclasses.asdict(d) for d in found], "sample": Sampler(os.getpid(), found).sample()}))
"""


@pytest.fixture(scope="module")
def with_gpus(tmp_path_factory):
    """What a process on a machine with two GPUs finds."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the pretended driver with")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "nvml.c").write_text(FAKE_DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", "libnvidia-ml.so.1", "nvml.c"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(launch.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_gpus_are_listed_with_name_uuid_and_memory(with_gpus):
    first, second, cpu = with_gpus["devices"]
    assert (first["kind"], first["index"], first["name"], first["uuid"]) == ("gpu", 0, "Pretend 0", "GPU-0")
    assert (second["index"], second["uuid"], second["memory_bytes"]) == (1, "GPU-1", 8 << 30)
    assert cpu["kind"] == "cpu"


def test_a_sample_holds_the_figures_of_each_gpu(with_gpus):
    sample = with_gpus["sample"]
    assert sample["gpu/0/utilization_percent"] == 87
    assert sample["gpu/0/memory_used_bytes"] == 1 << 30
    assert sample["gpu/0/memory_total_bytes"] == 8 << 30
    assert sample["gpu/0/temperature_celsius"] == 61
    assert sample["gpu/0/power_watts"] == 215.5
    assert sample["gpu/1/memory_used_bytes"] == 2 << 30


def test_what_a_gpu_does_not_support_is_absent_and_not_zero(with_gpus):
    sample = with_gpus["sample"]
    assert "gpu/1/utilization_percent" not in sample and "gpu/1/power_watts" not in sample
    assert sample["gpu/1/temperature_celsius"] == 62


def test_the_cpu_is_always_a_device():
    cpu = devices()[-1]
    assert cpu.kind == "cpu" and cpu.name
    assert cpu.cores == len(os.sched_getaffinity(0))
    assert cpu.memory_bytes > 1 << 28


def test_the_processes_of_a_run_are_measured_with_what_they_start():
    burn = "import os\nif os.fork() == 0:\n x = bytearray(b'1' * (64 << 20))\nwhile True: pass"
    run = subprocess.Popen([sys.executable, "-c", burn], start_new_session=True)
    try:
        sampler = Sampler(run.pid, devices())
        until(lambda: sampler.sample().get("system/memory_bytes", 0) > 64 << 20)
        sampler.sample()
        time.sleep(0.5)
        sample = sampler.sample()
    finally:
        os.killpg(run.pid, 9)
        run.wait()
    assert 20 < sample["system/cpu_percent"] < 250
    assert 64 << 20 < sample["system/memory_bytes"] < 200 << 20
    assert 0 < sample["system/host_memory_percent"] < 100


def test_of_a_run_that_is_over_only_the_machine_is_measured():
    run = subprocess.Popen(["true"])
    run.wait()
    assert set(Sampler(run.pid).sample()) == {"system/host_memory_percent"}


def test_a_sample_is_cheap(capsys):
    run = subprocess.Popen([sys.executable, "-c", "import numpy, time; time.sleep(60)"])
    sampler = Sampler(run.pid, devices())
    times = []
    for _ in range(50):
        began = time.perf_counter()
        sampler.sample()
        times.append(time.perf_counter() - began)
    run.kill()
    run.wait()
    with capsys.disabled():
        print(f"\none sample: {statistics.median(times) * 1000:.2f} ms")
    assert statistics.median(times) < 0.010
