"""One training step on plain torch, shared by all recipes that train.

A recipe subclasses `TorchTask` and says what its batches and its loss are; what must be the same for all
(mixed precision, clipping, the check that spoils no weights, saving and restoring) is here.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from engine import ahead, compiling, state
from engine.device import Device
from engine.fitting import Fitting
from engine.protocol import EngineError, FailureCode
from engine.randomness import mix
from engine.report import AnyBlock
from engine.task import Context, Plan

BETAS = (0.9, 0.99)
SMALLEST_SCALE = 2.0**-14  # of float16 gradients; when even this overflows, the model has diverged


class TorchTask(ABC):
    """See `engine.task.Task`. `gradient_clip` 0 leaves gradients as they are."""

    # Whether `batch` may be called in a thread while a step is taken: it changes nothing that a step or an evaluation
    # reads, and draws from generators of (seed, index) only.
    ahead_of_steps: ClassVar[bool] = False

    def __init__(
        self,
        context: Context,
        device: Device,
        model: nn.Module,
        plan: Plan,
        weight_decay: float,
        gradient_clip: float,
    ) -> None:
        self.context = context
        self.device = device
        self.model = model.to(device.torch)
        self.plan = plan
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.model, weight_decay)
        self.scaler = torch.amp.GradScaler(device.torch.type, enabled=device.scales)
        self.clip = gradient_clip or math.inf
        self.waited = 0.0  # seconds in which the device had to wait for data
        self.team = context.team
        self.ahead: ahead.Ahead | None = None
        if self.ahead_of_steps and ahead.pays(device.torch, self.team.size):
            self.ahead = ahead.Ahead(self.batch, device.torch, plan.total_steps)
            context.at_end.callback(self.ahead.close)
        self.team.prepare(self.model)
        self.compiles = compiling.wanted(context, device.torch, plan)
        if self.compiles:
            self.loss = compiling.Compiled(self)  # type: ignore[method-assign]
        self.fitting = Fitting(context, device, self.model)
        if self.team.rank:
            # The same weights everywhere, but what is random inside of a step (dropout) is each rank's own.
            torch.manual_seed(mix(context.spec.seed, self.team.rank))

    @abstractmethod
    def learning_rate(self, index: int) -> float:
        """For step `index`; a pure function."""

    @abstractmethod
    def batch(self, index: int) -> Any:
        """What step `index` is trained on, on the device; a pure function of (seed, index). Of a team each
        process takes its `share`: together they are what one process would take."""

    @abstractmethod
    def loss(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The mean loss of a batch, and further metrics of it, all scalars on the device."""

    @property
    def compilable(self) -> bool:
        """Whether the compiler can take the loss, and its batches have few shapes; asked where the recipe has the
        setting `compile`."""
        return False

    @abstractmethod
    def examples(self, index: int) -> int:
        """How many examples step `index` takes, in all processes together."""

    def step(self, index: int) -> tuple[dict[str, float], int]:
        """Make one update; EngineError NOT_FINITE_LOSS before a bad one reaches the weights."""
        rate = self.learning_rate(index)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        started = time.perf_counter()
        batch = self.batch(index) if self.ahead is None else self.ahead.take(index)
        self.waited += time.perf_counter() - started
        examples = self.examples(index)
        metrics = self._update(index, batch, self._part(examples))
        metrics["train/learning_rate"] = rate
        return metrics, examples

    def trained(self) -> state.Weighted:
        """As much of the model as changes."""
        return self.model

    def state(self) -> dict[str, bytes]:
        """{} where it is not for this process to keep."""
        states = self.team.collect(state.pack_random())
        if self.team.rank:
            return {}
        return state.pack(self.trained(), self.optimizer, self.scaler, states, self.fitting.kept())

    def restore(self, files: dict[str, bytes]) -> None:
        self.fitting.take(state.unpack(files, self.trained(), self.optimizer, self.scaler, self.team.rank))

    def weights(self) -> bytes:
        return state.weights(self.trained())

    def put_back(self, weights: bytes) -> None:
        self.trained().load_state_dict(state.load(weights))

    def sample(self, index: int) -> tuple[str, str] | None:
        return None

    def report(self) -> list[AnyBlock]:
        return []

    def _part(self, examples: int) -> float:
        """Which part of a batch this process has."""
        mine = self.team.share(examples)
        return (mine.stop - mine.start) / examples

    def _update(self, index: int, batch: Any, part: float) -> dict[str, float]:
        scaler = self.scaler
        loss, more = self._gradients(index, batch, part)
        if self.team.size > 1:
            wait_for_figures = self.team.figures(torch.stack([loss, *more.values()]).double())
        self.team.sum_gradients()
        if scaler.is_enabled():
            scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.team.size > 1:
            value, *rest = wait_for_figures()
            length = norm.item()
        else:
            value, length, *rest = self._read(loss, norm, *more.values())
        self._check(index, value, length)
        # The length is known here anyway, so most steps are spared a multiplication by one.
        if length > self.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        if scaler.is_enabled():
            scaler.step(self.optimizer)
            scaler.update()
        else:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"train/loss": value, **dict(zip(more, rest, strict=True))}

    def _gradients(self, index: int, batch: Any, part: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """`_passed` in as many parts as memory asks for."""
        size = self.team.size
        least = len(tree_leaves(batch)[0]) if size == 1 else self.examples(index) // size
        undo = partial(self.optimizer.zero_grad, set_to_none=True)
        return self.fitting.trained(index, least, partial(self._passed, batch, part), undo)

    def _passed(self, batch: Any, part: float, count: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Add up the gradients of a batch, in `count` parts; its loss and further metrics. Each counts by its number of
        examples, so sums over the parts, and over the team, are the means of the whole batch."""
        pieces = [(batch, 1.0)] if count == 1 else split(batch, count)
        total: torch.Tensor | None = None
        sums: dict[str, torch.Tensor] = {}
        for number, (piece, share) in enumerate(pieces, start=1):
            self.team.hold_gradients(number < len(pieces))
            with self.device.autocast():
                loss, more = self.loss(piece)
            share *= part
            if share != 1:
                loss = loss * share
                more = {name: value * share for name, value in more.items()}
            self.scaler.scale(loss).backward()
            if total is None:
                total, sums = loss.detach(), more
            else:
                total += loss.detach()
                sums = {name: value + more[name] for name, value in sums.items()}
        assert total is not None
        return total, sums

    def _read(self, *figures: torch.Tensor) -> list[float]:
        """The values of scalars: one transfer from a GPU, where each for itself would wait for the device."""
        if self.device.torch.type == "cpu":
            return [figure.item() for figure in figures]
        return torch.stack([figure.float() for figure in figures]).tolist()

    def _check(self, index: int, loss: float, gradient: float) -> None:
        if not math.isfinite(loss):
            raise _not_finite("The loss", index)
        # float16 gradients overflow now and then; the scaler leaves such a step out and scales less.
        overflows = self.scaler.is_enabled() and self.scaler.get_scale() > SMALLEST_SCALE
        if not math.isfinite(gradient) and not overflows:
            raise _not_finite("The gradient", index)


def split(batch: Any, count: int) -> list[tuple[Any, float]]:
    """A batch (a tensor, or tensors in tuples and dicts, examples along the first dimension) in at most `count` parts
    of about one size, each with its share of the examples."""
    leaves, shape = tree_flatten(batch)
    size = len(leaves[0])
    bounds = [place * size // count for place in range(count + 1)]
    return [
        (tree_unflatten([leaf[first:after] for leaf in leaves], shape), (after - first) / size)
        for first, after in pairwise(bounds)
        if after > first
    ]


def make_optimizer(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices only: norms and biases have no reason to be small."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, betas=BETAS, fused=True)


def check_batch(smallest: int, processes: int) -> None:
    """EngineError BAD_CONFIG when a batch of `smallest` examples leaves a process without any."""
    if smallest < processes:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"A batch of {smallest} examples can't be divided among {processes} processes.",
            f"Use at most {smallest} devices, or a batch size (and a dataset) of at least {processes} examples.",
        )


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _not_finite(what: str, index: int) -> EngineError:
    return EngineError(
        FailureCode.NOT_FINITE_LOSS,
        f"{what} is not a finite number at step {index + 1}; the weights were left as they were.",
        "Lower the learning rate, keep the gradient clip on, or set precision to float32; if it happens "
        "at step 1, look for damaged data.",
    )
