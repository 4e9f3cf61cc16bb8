"""Figures of devices and of a run's processes: NVML and psutil, no torch.

What can't be measured is absent from a sample, never zero.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import pynvml

_nvml: tuple[int, bool] | None = None  # (process that initialised it, whether there is a driver)


@dataclass(frozen=True)
class Device:
    """Something that a run can take place on."""

    kind: Literal["gpu", "cpu"]
    index: int
    name: str
    memory_bytes: int | None  # None: the driver does not say
    uuid: str | None = None  # GPUs only
    cores: int | None = None  # CPUs only: those that this process may use


def devices() -> list[Device]:
    """The GPUs of this machine, if it has any, and its CPU last."""
    found = []
    if _have_nvml():
        for index in range(_asked(pynvml.nvmlDeviceGetCount) or 0):
            with suppress(pynvml.NVMLError):
                found.append(_gpu(index))
    cpu = Device("cpu", 0, _cpu_name(), psutil.virtual_memory().total, cores=len(os.sched_getaffinity(0)))
    return [*found, cpu]


def machine_figures() -> dict[str, float]:
    """Use of the whole machine now: processors since the last call, memory, every GPU."""
    figures = {
        "system/cpu_percent": psutil.cpu_percent(None),
        "system/host_memory_percent": psutil.virtual_memory().percent,
    }
    for device in devices():
        if device.kind == "gpu" and (handle := _handle(device)) is not None:
            figures |= _gpu_figures(device.index, handle)
    return figures


def driver_version() -> str | None:
    """The NVIDIA driver's, None where there is none."""
    return _asked(pynvml.nvmlSystemGetDriverVersion) if _have_nvml() else None


class Sampler:
    """Measures one run: the tree of processes under `pid`, and the GPUs among `devices`."""

    def __init__(self, pid: int, devices: Iterable[Device] = ()) -> None:
        self.pid = pid
        self._gpus = [(device.index, _handle(device)) for device in devices if device.kind == "gpu"]
        self._used: dict[tuple[int, float], float] = {}
        self._measured = time.monotonic()
        self._processor_seconds(self._tree())

    def sample(self) -> dict[str, float]:
        """The figures now. `system/cpu_percent` is over the time since the last sample; 100 is one core."""
        figures = {"system/host_memory_percent": psutil.virtual_memory().percent}
        tree = self._tree()
        now = time.monotonic()
        if tree and now > self._measured:
            figures["system/cpu_percent"] = 100 * self._processor_seconds(tree) / (now - self._measured)
        self._measured = now
        sizes = [size for process in tree if (size := _proportional_bytes(process.pid)) is not None]
        if sizes:
            figures["system/memory_bytes"] = float(sum(sizes))
        for index, handle in self._gpus:
            if handle is not None:
                figures |= _gpu_figures(index, handle)
        return figures

    def _tree(self) -> Sequence[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def _processor_seconds(self, tree: Sequence[psutil.Process]) -> float:
        """Processor time that the tree took since the last call."""
        before, self._used = self._used, {}
        taken = 0.0
        for process in tree:
            with suppress(psutil.Error):
                times = process.cpu_times()
                key = (process.pid, process.create_time())
                self._used[key] = times.user + times.system
                taken += self._used[key] - before.get(key, 0.0)
        return max(0.0, taken)


def _proportional_bytes(pid: int) -> int | None:
    """Memory of a process; pages shared with others (the warm server's) count in part. None when gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _have_nvml() -> bool:
    """Whether there is a driver to ask. Initialised in each process of its own: it does not outlive a fork."""
    global _nvml
    if _nvml is None or _nvml[0] != os.getpid():
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            _nvml = (os.getpid(), False)
        else:
            _nvml = (os.getpid(), True)
    return _nvml[1]


def _asked(question: Callable[..., Any], *arguments: Any) -> Any:
    """What NVML answers, None when this device or driver does not support the question."""
    try:
        return question(*arguments)
    except (pynvml.NVMLError, ValueError):
        return None


def _gpu(index: int) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
    name = _asked(pynvml.nvmlDeviceGetName, handle) or "GPU"
    uuid = _asked(pynvml.nvmlDeviceGetUUID, handle)
    return Device("gpu", index, name, memory.total if memory else None, uuid=uuid)


def _handle(device: Device) -> Any | None:
    if not _have_nvml():
        return None
    if device.uuid:
        return _asked(pynvml.nvmlDeviceGetHandleByUUID, device.uuid)
    return _asked(pynvml.nvmlDeviceGetHandleByIndex, device.index)


def _gpu_figures(index: int, handle: Any) -> dict[str, float]:
    utilization = _asked(pynvml.nvmlDeviceGetUtilizationRates, handle)
    memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
    temperature = _asked(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
    milliwatts = _asked(pynvml.nvmlDeviceGetPowerUsage, handle)
    figures = {
        "utilization_percent": utilization.gpu if utilization else None,
        "memory_used_bytes": memory.used if memory else None,
        "memory_total_bytes": memory.total if memory else None,
        "temperature_celsius": temperature,
        "power_watts": milliwatts / 1000 if milliwatts is not None else None,
    }
    return {f"gpu/{index}/{name}": float(value) for name, value in figures.items() if value is not None}
