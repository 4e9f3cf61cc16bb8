"""What a run takes of its device: number formats, layouts, and only repeatable operations where asked."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from engine import device
from engine.device import Device, choose
from engine.gradients import Bucket
from engine.training import make_optimizer

REPEATED = """
import resource, sys, torch
from engine import device

if sys.argv[1] == "kept":
    device.keep_freed_memory()
for step in range(60):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(700, 1000) for _ in range(30)]  # 84 MB a step, freed as a step frees its activations
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says it has a GPU; what `choose` sets is put back afterwards."""
    monkeypatch.setattr(device, "_torch_device", lambda _: GPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    kept = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(kept[0])
    torch.backends.cudnn.allow_tf32 = kept[1]


def test_auto_is_bfloat16_on_a_gpu_that_has_it_and_float32_on_a_cpu(gpu, monkeypatch):
    assert choose("cuda", "auto").dtype is torch.bfloat16
    assert choose("cuda", "float32").dtype is None
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    old = choose("cuda", "auto")
    assert old.dtype is torch.float16 and old.scales
    monkeypatch.undo()
    assert choose("cpu", "auto") == Device(torch.device("cpu"), None)


def test_a_gpu_multiplies_float32_as_tf32_unless_the_run_is_deterministic(gpu):
    choose("cuda", "auto")
    assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.allow_tf32
    choose("cuda", "auto", deterministic=True)
    assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
    assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_workspace_is_set_before_the_device_is_looked_for(monkeypatch):
    """The first look may start CUDA, whose libraries read it once."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = []

    def look(_: str) -> torch.device:
        seen.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
        return torch.device("cpu")

    monkeypatch.setattr(device, "_torch_device", look)
    choose("auto", "auto", deterministic=True)
    assert seen == [":4096:8"]


def test_the_optimizer_is_the_fused_one():
    assert make_optimizer(nn.Linear(2, 2), 0.1).defaults["fused"] is True


def test_gradients_of_a_team_lie_as_their_weights_do():
    """Or the fused optimizer would refuse weights whose channels come last."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5)).to(memory_format=torch.channels_last)
    bucket = Bucket(list(model.parameters()))
    for number, (parameter, place) in enumerate(bucket.places.items()):
        assert place.shape == parameter.shape and place.stride() == parameter.stride()
        place.fill_(number)
    assert sorted(bucket.flat.unique().tolist()) == [0, 1, 2, 3], "each has its own piece of the whole"
    assert [int((bucket.flat == number).sum()) for number in range(4)] == [p.numel() for p in model.parameters()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_what_a_step_frees_is_there_for_the_next_one():
    def faults(how: str) -> int:
        command = [sys.executable, "-c", REPEATED, how]
        # In a plain environment: what other tests set for the allocator would hide the difference.
        plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=plain)
        return int(done.stdout)

    given_back = faults("given back")
    if not given_back:
        pytest.skip("this kernel does not count page faults")
    assert faults("kept") < given_back / 5
