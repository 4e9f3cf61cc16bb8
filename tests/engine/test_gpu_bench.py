"""The measuring of GPUs runs everywhere: with a tiny model, or with a sentence where there is no GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch

from tests.engine.cast import ROOT

SCRIPT = "bench/gpu.py"


def measured(*arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_tiny_model_is_measured_on_any_machine():
    said = measured("--tiny", "--steps", "5", "--compile", "off")
    found = dict(re.findall(r"^(.*?)  +(.+)$", said, re.MULTILINE))
    assert float(found["tokens a second"].replace(",", "")) > 0
    assert float(found["share of the time in which the device waited for data"].rstrip("%")) < 100
    assert "TFLOP/s" in found["operations a second; share of the device's peak (MFU)"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU, which it would measure")
def test_without_a_gpu_it_says_so_and_is_content():
    assert (
        measured() == "This measures a model of GPT-2's size on a GPU, and this machine has none that torch can use.\n"
    )


def test_the_arithmetic_of_gpt_2():
    """124 million weights and attention over 1,024 tokens are 0.86 billion operations a token."""
    found = subprocess.run(
        [sys.executable, "-c", (
            "from bench.gpu import GPT2, operations, peak_of as p; "
            "print(operations(124_000_000, GPT2), p('NVIDIA H100 80GB HBM3'), p('NVIDIA H100 PCIe'), p('CPU (x86_64)'))"
        )],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["857246208", "989500000000000.0", "756500000000000.0", "None"]
