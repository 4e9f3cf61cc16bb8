"""What a job needs of a node: checked once, when it is asked for, and kept as one word for the queue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidInputError

DEVICES = ("any", "cpu", "cuda")
MAX_DEVICES = 64
MAX_MEMORY_GIB = 4096
MAX_LABELS = 8
LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,29}")
GIB = 2**30
FIELDS = ("device", "devices", "memory_gib", "labels")


@dataclass(frozen=True)
class Needs:
    """`devices` slots of one node, each of `device` with at least `memory_gib` GiB, on a node with all `labels`."""

    device: str = "any"  # any, cpu or cuda
    devices: int = 1
    memory_gib: float = 0.0
    labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, resources: dict[str, Any]) -> Needs:
        """From a request. InvalidInputError says which part is wrong."""
        unknown = sorted(set(map(str, resources)) - set(FIELDS))
        if unknown:
            raise _wrong(f"There is no resource called '{unknown[0][:40]}'.", f"Known are: {', '.join(FIELDS)}.")
        device = resources.get("device") or "any"
        if device not in DEVICES:
            raise _wrong("The device is not known.", f"Choose one of: {', '.join(DEVICES)}.")
        return cls(
            device,
            _count(resources.get("devices")),
            _memory(resources.get("memory_gib")),
            read_labels(resources.get("labels")),
        )

    @classmethod
    def of_lane(cls, lane: str) -> Needs:
        """The needs that a lane stands for."""
        device, devices, memory, labels = lane.split(" ")
        return cls(device, int(devices), float(memory), tuple(labels.split(",")) if labels else ())

    @property
    def lane(self) -> str:
        """The same needs give the same word."""
        return f"{self.device} {self.devices} {self.memory_gib:g} {','.join(self.labels)}"

    def stored(self) -> dict[str, Any]:
        """As a job's `resources`; what was not asked for is left out."""
        rest = {"memory_gib": self.memory_gib, "labels": list(self.labels)}
        wanted = {"device": self.device} | ({"devices": self.devices} if self.devices > 1 else {})
        return wanted | {name: value for name, value in rest.items() if value}

    def fits(self, device: str, memory_bytes: int | None) -> bool:
        """Whether a slot of this device will do. A job for the CPU may run on the host of a GPU slot."""
        kind = device.partition(":")[0]
        right_kind = self.device in {"any", "cpu"} or self.device == kind
        return right_kind and (memory_bytes is None or memory_bytes >= self.memory_gib * GIB)

    def __str__(self) -> str:
        """In words: '2 GPUs with 40 GiB each'."""
        noun = {"cuda": "GPU", "cpu": "CPU slot", "any": "device"}[self.device]
        text = f"{self.devices} {noun}s" if self.devices > 1 else f"a {noun}"
        if self.memory_gib:
            text += f" with {self.memory_gib:g} GiB" + (" each" if self.devices > 1 else "")
        if self.labels:
            text += f" on a node labelled {' and '.join(self.labels)}"
        return text


def read_labels(given: Any) -> tuple[str, ...]:
    """Labels, sorted, each once. InvalidInputError for what is no label."""
    if given in (None, ""):
        return ()
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise _wrong("The labels are not a list of words.", 'Send them as ["fast-disk", "a100"].')
    labels = sorted({word.strip().lower() for word in words if word.strip()})
    wrong = [label for label in labels if not LABEL.fullmatch(label)]
    if wrong:
        raise _wrong(
            f"'{wrong[0][:40]}' can't be a label.",
            "Use up to 30 lower-case letters, digits, dots, hyphens and underscores.",
        )
    if len(labels) > MAX_LABELS:
        raise _wrong(f"A job can ask for {MAX_LABELS} labels at most.", "Name fewer.")
    return tuple(labels)


def _count(given: Any) -> int:
    if given is None:
        return 1
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MAX_DEVICES:
        raise _wrong("The number of devices is out of range.", f"Use a whole number from 1 to {MAX_DEVICES}.")
    return given


def _memory(given: Any) -> float:
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= MAX_MEMORY_GIB:
        raise _wrong("The memory is out of range.", f"Use a number of GiB from 0 to {MAX_MEMORY_GIB}.")
    return round(float(given), 2)


def _wrong(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={"resources": [message]})
