"""How long a run will take and what it will cost, by runs of the past; and how that compares with what happened.

Runs are compared when they are of one recipe, size, base and kind of device: the same settings but for those that only
say how long to train or how. Their time per unit of work (a step, or an example seen once) varies like a product of
many small causes, so its logarithm is what is averaged. The interval is that of one more run, widened while there are
few.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery

from common import wording
from datasets.freezing import sizes
from datasets.models import DatasetVersion
from jobs import measurements
from jobs.models import Attempt, Job, Slot
from jobs.needs import Needs
from jobs.states import Status
from registry.lineage import origins as origins_of

RUNS = 200  # of the past, the latest
# Settings that say how long to train (they are the work itself) or that do not change the time of a step.
LENGTH = {"steps", "epochs"}
NOT_SIZE = {
    "learning_rate", "minimum_learning_rate_ratio", "warmup_steps", "warmup_ratio", "weight_decay", "gradient_clip",
    "dropout", "label_smoothing", "sample_prompt", "horizontal_flip", "failure", "fail_at_step", "fail_attempts",
    "memory",
}  # fmt: skip
# What is believed of the spread of runs before any was seen: a factor of about 1.4, as sure as of three runs.
PRIOR_SPREAD, PRIOR_RUNS = 0.35, 3
COVERS = 1.6  # standard deviations to each side; a test sees that more than 80 in 100 runs fall between
TRIAL_FACTOR = 1.5  # to each side of what a trial says: its few steps were on a small sample
PEAK = "system/memory_peak_bytes"  # among a job's figures
NONE = "no past run to compare with"


@dataclass(frozen=True)
class Work:
    """What a run is compared by, and how much of it there is."""

    size: str
    units: float


@dataclass(frozen=True)
class Estimate:
    """Seconds on the devices, with the interval that most runs fall into; None where nothing is known."""

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    runs: int = 0
    device: str = ""
    devices: int = 1
    price: float | None = None  # of a device hour
    currency: str = ""
    memory: int | None = None  # bytes of the device, or of the machine where it is a CPU
    measured: bool = False  # by a trial, and not by runs of the past

    @property
    def reason(self) -> str:
        """Why there is no estimate; empty when there is one."""
        return "" if self.seconds is not None else NONE

    @property
    def cost(self) -> float | None:
        return self.cost_of(self.seconds)

    def cost_of(self, seconds: float | None) -> float | None:
        """What so many seconds cost; None where no price is set."""
        if seconds is None or self.price is None:
            return None
        return round(seconds / 3600 * self.devices * self.price, 4)

    def stored(self) -> dict[str, Any]:
        """As a job keeps it."""
        found: dict[str, Any] = {"reason": self.reason} if self.seconds is None else {
            "seconds": round(self.seconds, 3), "low": round(self.low or 0, 3), "high": round(self.high or 0, 3),
            "runs": self.runs,
        }  # fmt: skip
        found |= {"memory": self.memory} if self.memory is not None else {}
        found |= {"measured": True} if self.measured else {}
        found |= {"device": self.device, "devices": self.devices}
        if self.price is not None:
            found |= {"price": self.price, "currency": self.currency, "cost": self.cost}
        return found

    @classmethod
    def of(cls, job: Job) -> Estimate:
        """The one that was made when the job was."""
        kept = job.estimate or {}
        names = ("seconds", "low", "high", "runs", "device", "devices", "price", "currency", "memory", "measured")
        return cls(**{name: kept[name] for name in names if name in kept})

    def __str__(self) -> str:
        if self.seconds is None:
            return self.reason
        text = f"about {about(self.seconds)} ({about(self.low)} to {about(self.high)})"
        text += f", {wording.size(self.memory)} of memory" if self.memory else ""
        text += ", by a trial" if self.measured else ""
        return text if self.cost is None else f"{text}, {money(self.cost, self.currency)}"


Alike = tuple[str, str, str, int]  # size, base, kind of device and number of devices


@dataclass(frozen=True)
class Past:
    """Runs of one recipe that completed: log seconds per unit of work, by size, base, kind of device and number of
    them."""

    recipe: str
    rates: Mapping[Alike, list[float]]
    latest: tuple[str, ...]  # kinds of devices, the most recent first
    memory: Mapping[Alike, int] = field(default_factory=dict)  # the most that the latest such run held

    @classmethod
    def of(cls, recipe: str) -> Past:
        """The latest runs; one query, and one for each generation of the versions that they began from."""
        last = Attempt.objects.filter(job=OuterRef("pk")).order_by("-number").values("devices")[:1]
        found = Job.objects.filter(recipe=recipe, status=Status.COMPLETED, spent_seconds__gt=0)
        found = found.annotate(ran_on=Subquery(last)).order_by("-created_at")
        frozen = (f"dataset_version__{name}" for name in ("dataset__modality", "counts", "content_hash"))
        runs = list(
            found.values_list("config", "spent_seconds", "ran_on", f"figures__{PEAK}", "base_version", *frozen)[:RUNS]
        )
        origins = origins_of(base for *_, base, _, _, _ in runs if base is not None)
        rates: dict[Alike, list[float]] = {}
        memory: dict[Alike, int] = {}
        kinds: dict[str, None] = {}
        for config, seconds, devices, peak, base, *data in runs:
            work = work_of(config, sizes.of_frozen(*data))
            kind, number = _kind(devices or []), max(1, len(devices or []))
            alike = (work.size, _base(origins.get(base)), kind, number)
            kinds.setdefault(kind)
            rates.setdefault(alike, []).append(math.log(seconds / work.units))
            if peak is not None and kind == "cpu":
                memory.setdefault(alike, int(peak))
        return cls(recipe, rates, tuple(kinds), memory)

    def estimate(
        self, config: Mapping[str, Any], examples: int | None, needs: Needs, kinds: set[str],
        base_version: int | None = None,
    ) -> Estimate:  # fmt: skip
        """For a run of these settings on `examples` training examples, or rows of tables; `kinds` are the devices that
        the hub has."""
        work = work_of(config, examples)
        device = self._device(needs, kinds)
        price, currency = price_of(device)
        bare = {"device": device, "devices": needs.devices, "price": price, "currency": currency}
        origin = origins_of([base_version])[base_version] if base_version is not None else None
        alike = (work.size, _base(origin), device, needs.devices)
        rates = self.rates.get(alike)
        if not rates:
            return self._by_trial(work, bare, measurements.beginning(config, base_version))
        seconds, low, high = (work.units * math.exp(rate) for rate in interval(rates))
        memory = self.memory.get(alike)
        return Estimate(seconds, low, high, len(rates), **bare, memory=memory)

    def _by_trial(self, work: Work, bare: dict[str, Any], base: str) -> Estimate:
        """By a trial of such a run, where there was one."""
        found = measurements.find(self.recipe, work.size, bare["device"], bare["devices"], base)
        if found is None:
            return Estimate(**bare)
        seconds = work.units * found.rate
        return Estimate(
            seconds, seconds / TRIAL_FACTOR, seconds * TRIAL_FACTOR, **bare, memory=found.memory, measured=True
        )

    def _device(self, needs: Needs, kinds: set[str]) -> str:
        """The kind that the job asks for; of several that would do, the one that ran this recipe last."""
        if needs.device != "any":
            return needs.device
        return next((kind for kind in self.latest if kind in kinds or not kinds), "cuda" if "cuda" in kinds else "cpu")


def estimate(
    recipe: str, config: Mapping[str, Any], version: DatasetVersion | None = None, examples: int | None = None,
    resources: Mapping[str, Any] | None = None, base_version: int | None = None,
) -> Estimate:  # fmt: skip
    """For one run. `config` is complete; `examples` are those to train on, or rows of tables, where `version` is
    None."""
    known = sizes.of_version(version) if version else examples
    return Past.of(recipe).estimate(config, known, Needs.read(dict(resources or {})), device_kinds(), base_version)


def device_kinds() -> set[str]:
    """Kinds of devices that the hub has slots of."""
    return {device.partition(":")[0] for device in Slot.objects.filter(enabled=True).values_list("device", flat=True)}


def work_of(config: Mapping[str, Any], examples: int | None) -> Work:
    """Steps where the recipe counts steps, else examples seen; where neither is known, one run on so many examples."""
    size = {key: value for key, value in config.items() if key not in NOT_SIZE | LENGTH}
    if size.get("accumulate") == "auto":
        size["accumulate"] = 1  # as it begins, and as nearly all of them go on
    if config.get("duration") is not None:
        return Work(_key(size), 1.0)
    if isinstance(steps := config.get("steps"), int):
        return Work(_key(size), float(max(1, steps)))
    if isinstance(epochs := config.get("epochs"), int) and examples:
        return Work(_key(size), float(max(1, epochs * examples)))
    # 'auto': the recipe decides by the data, so runs on about as many examples are alike.
    return Work(_key(size | {"examples": round(math.log2(examples)) if examples else 0}), 1.0)


def interval(rates: Iterable[float]) -> tuple[float, float, float]:
    """(middle, low, high) of the logarithm of one more run's rate."""
    known = list(rates)
    middle = statistics.median(known)
    squares = sum((rate - middle) ** 2 for rate in known) + PRIOR_RUNS * PRIOR_SPREAD**2
    spread = math.sqrt(squares / (PRIOR_RUNS + len(known) - 1)) * math.sqrt(1 + 1 / len(known))
    return middle, middle - COVERS * spread, middle + COVERS * spread


def price_of(device: str) -> tuple[float | None, str]:
    """(price of a device hour, currency) by TRAINHUB_DEVICE_HOUR_PRICE; (None, '') where none is set."""
    prices = settings.DEVICE_HOUR_PRICE
    return (prices[device], settings.DEVICE_HOUR_CURRENCY) if device in prices else (None, "")


def compared(job: Job) -> str:
    """The estimate beside what happened: 'expected 12 min (9 to 16 min), took 14 min'; empty for jobs of old."""
    if not job.estimate:
        return ""
    guess = Estimate.of(job)
    expected = f"expected {guess}" if guess.seconds is not None else f"no estimate: {guess.reason}"
    if job.status != Status.COMPLETED:
        return f"{expected[0].upper()}{expected[1:]}."
    took = f"took {about(job.spent_seconds)}"
    if (cost := guess.cost_of(job.spent_seconds)) is not None:
        took += f" and cost {money(cost, guess.currency)}"
    if guess.memory and guess.device == "cpu" and (peak := (job.figures or {}).get(PEAK)):
        took += f", held {wording.size(peak)}"
    return f"{expected[0].upper()}{expected[1:]}; {took}."


def about(seconds: float | None) -> str:
    """A length of time as coarse as an estimate is: 40 s, 12 min, 3.5 h, 4 days."""
    if seconds is None:
        return wording.NOTHING
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h".replace(".0 ", " ") if hours < 48 else f"{round(hours / 24)} days"


def money(amount: float, currency: str) -> str:
    """'2.50 EUR'; small amounts with the digits that tell something."""
    text = f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"
    return f"{text} {currency}".strip()


def _kind(devices: list[str]) -> str:
    return devices[0].partition(":")[0] if devices else "cpu"


def _base(origin: tuple[int, Mapping[str, Any]] | None) -> str:
    """What the model of a run was in the beginning, since that says how large it is; '' from scratch, or from a folder
    that the settings name. Versions that follow from one another are one base."""
    if origin is None:
        return ""
    return measurements.beginning(origin[1], None) or measurements.beginning({}, origin[0])


def _key(size: Mapping[str, Any]) -> str:
    return json.dumps(size, sort_keys=True, default=str)
