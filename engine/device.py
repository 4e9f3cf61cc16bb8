"""Which device a run uses, and in which number format it calculates there."""

from __future__ import annotations

import ctypes
import os
import platform
import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from engine import eager
from engine.config import Precision
from engine.protocol import EngineError, FailureCode, Spec

eager.install()  # before the first optimizer is made

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_KEPT = 32 * 2**20  # the most that glibc takes as M_MMAP_THRESHOLD
KEPT = 2**30
DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Device:
    """A device and the number format for it."""

    torch: torch.device
    dtype: torch.dtype | None  # of autocast; None: float32 throughout

    @property
    def scales(self) -> bool:
        """Whether gradients must be scaled, because float16 would lose the small ones."""
        return self.dtype is torch.float16

    def arrange(self, model: nn.Module) -> nn.Module:
        """A model with its pictures laid out as the device takes them fastest: tensor cores want channels last."""
        return model.to(memory_format=torch.channels_last) if self.torch.type == "cuda" else model

    def near(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor on this device; it travels to a GPU through pinned memory, beside the arithmetic."""
        if self.torch.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self.torch, non_blocking=True)

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for a forward pass. One object serves any number of `with` blocks in a row."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.torch.type, dtype=self.dtype)


def choose(requested: str, precision: Precision, deterministic: bool = False) -> Device:
    """The device for `requested` ('auto', 'cpu', 'cuda', 'cuda:1'); EngineError BAD_CONFIG when it can't be.

    `deterministic` allows only operations that give the same bits each time."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA is first used
        eager.use_compiler()  # the next line reaches for its settings
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    device = _torch_device(requested)
    if device.type == "cuda":
        # What is left in float32 of mixed precision, and all of precision float32, is multiplied with 10 bits of
        # mantissa (TF32) and added up in float32.
        torch.set_float32_matmul_precision("highest" if deterministic else "high")
        torch.backends.cudnn.allow_tf32 = not deterministic
    if precision == "auto":
        return Device(device, _best_dtype(device))
    if precision == "float16" and device.type == "cpu":
        raise EngineError(
            FailureCode.BAD_CONFIG,
            "Precision float16 needs a GPU, and this run has none.",
            "Set precision to 'auto' or 'float32'.",
        )
    return Device(device, DTYPES[precision])


def prepare(spec: Spec, processes: int = 1) -> dict[str, Any]:
    """Fix threads and random states before anything is calculated; facts about where the run takes place.

    The threads of the spec are divided among its processes."""
    keep_freed_memory()
    if spec.threads is not None:
        torch.set_num_threads(max(1, spec.threads // processes))
    seed_everything(spec.seed)
    return {
        "torch": torch.__version__,
        "device": describe(_torch_device(spec.device)),
        "threads": torch.get_num_threads(),
    }


def keep_freed_memory() -> None:
    """Have the C library keep what a step frees for the next step, instead of giving it back to the system.

    The tensors of a step on a CPU are freed and wanted again at every step. By default (mallopt(3), M_TRIM_THRESHOLD)
    they go back and forth: thousands of page faults a step, which cost up to a tenth of its time. Only glibc has this.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
    mallopt(M_TRIM_THRESHOLD, KEPT)


def seed_everything(seed: int) -> None:
    """Set all global random states, whatever the size or sign of the seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)


def describe(device: torch.device) -> str:
    """The device's name for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"


def _torch_device(requested: str) -> torch.device:
    if requested == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"There is no device '{requested}'.", "Use 'auto', 'cpu' or 'cuda'."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"Device '{requested}' is not there: {torch.cuda.device_count()} GPUs are visible.",
            "Check the driver, or set the device to 'auto'.",
        )
    return device


def _best_dtype(device: torch.device) -> torch.dtype | None:
    """Mixed precision on a GPU only: on CPUs bfloat16 was slower than float32."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
