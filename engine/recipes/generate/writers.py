"""Who writes: models of the hub, and endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from engine.catalogue import load, recipe
from engine.guarded import Allowance
from engine.protocol import EngineError, FailureCode, Source, Spec
from engine.recipes.generate.endpoint import Endpoint, NoAnswerError

OWN_SEEDS, ENDPOINT_SEEDS = 2**62, 2**31
OWN_TOKENS = 1000  # that a version of the hub writes at most


class WritingError(Exception):
    """There is no text this time; the message says why, for people."""


class Writer(Protocol):
    """Answers prompts. Safe to use from several threads."""

    title: str
    waits: bool  # whether most of its time is spent waiting for another machine

    def write(self, prompt: str, seed: int, system: str = "", plain: bool = False) -> str:
        """An answer to a prompt; WritingError when there is none. `plain` asks for the likeliest words."""
        ...


class OwnModel:
    """A text-generation version of the hub, in this process. One text at a time."""

    waits = False

    def __init__(self, source: Source, device: str, tokens: int, temperature: float) -> None:
        self.title = source.title
        if tokens > OWN_TOKENS:
            raise EngineError(FailureCode.BAD_CONFIG, too_long(source.title), "Set a longest answer of fewer tokens.")
        self.predictor = load_predictor(source, device, "text-generation")
        self.parameters = {"max_new_tokens": tokens, "temperature": temperature}
        self.lock = threading.Lock()

    def write(self, prompt: str, seed: int, system: str = "", plain: bool = False) -> str:
        given = f"{system}\n\n{prompt}" if system else prompt
        parameters = self.parameters | {"seed": seed % OWN_SEEDS} | ({"temperature": 0.0} if plain else {})
        try:
            with self.lock:
                return self.predictor.predict([given], parameters)[0]["completion"].strip()
        except EngineError as error:
            raise WritingError(f"{error.message} {error.hint}") from error


class Asked:
    """A model behind an endpoint."""

    waits = True

    def __init__(self, endpoint: Endpoint, tokens: int, temperature: float) -> None:
        self.title = endpoint.title
        self.endpoint = endpoint
        self.tokens, self.temperature = tokens, temperature

    def write(self, prompt: str, seed: int, system: str = "", plain: bool = False) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        try:
            return self.endpoint.answer(
                messages, self.tokens, 0.0 if plain else self.temperature, seed % ENDPOINT_SEEDS
            ).strip()
        except NoAnswerError as error:
            raise WritingError(str(error)) from error


def writer(spec: Spec, name: str, tokens: int, temperature: float, device: str, breathe: Callable[[], None]) -> Writer:
    """Who is called so in the settings; EngineError BAD_CONFIG when the hub gave nobody of this name."""
    source = source_of(spec, name)
    if source.url:
        return Asked(Endpoint(source, Allowance.of(spec.allow_internal), breathe), tokens, temperature)
    return OwnModel(source, device, tokens, temperature)


def too_long(title: str) -> str:
    """That a version of the hub can't write so much."""
    return f"'{title}' is a version of the hub, which writes at most {OWN_TOKENS:,} tokens."


def source_of(spec: Spec, name: str) -> Source:
    """The source of a name."""
    try:
        return spec.sources[name]
    except KeyError:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"There is no model called '{name}' for this run.",
            "Name a version ('version 12') or an endpoint ('endpoint my-server') of the hub.",
        ) from None  # fmt: skip


def load_predictor(source: Source, device: str, wanted: str) -> Any:
    """The predictor of a version's artifact; EngineError when it is of another recipe than is `wanted`."""
    if source.artifact is None or source.recipe != wanted:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"'{source.title}' is no result of {recipe(wanted).title.lower()}.",
            f"Name a version that {wanted} made.",
        )
    dotted = recipe(wanted).predictor
    assert dotted is not None
    return load(dotted).load(source.artifact, device)
