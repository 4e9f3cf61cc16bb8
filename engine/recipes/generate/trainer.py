"""Makes examples: several models write, a judge scores, the best is kept. A step is one example."""

from __future__ import annotations

import json
import time
from collections import deque

from engine.device import choose
from engine.protocol import EngineError, Event, FailureCode
from engine.randomness import mix
from engine.recipes.generate.ahead import Ahead
from engine.recipes.generate.config import GenerateConfig, filled, lines
from engine.recipes.generate.judging import Judge, judge
from engine.recipes.generate.report import blocks
from engine.recipes.generate.tally import Candidate, Example, Tally
from engine.recipes.generate.writers import Asked, Writer, WritingError, writer
from engine.report import AnyBlock
from engine.task import Context, Plan, json_bytes

STATE, SUMMARY = "examples.json", "summary.json"
LONGEST = 100_000  # characters of a candidate
UNJUDGED = 5  # examples in a row without any score that end the run


def build(context: Context) -> GenerateTask:
    """Load the models, and meet the endpoints."""
    config = context.config
    assert isinstance(config, GenerateConfig)
    names = lines(config.generators)
    if not names:
        raise EngineError(
            FailureCode.BAD_CONFIG, "There is no generator to write the examples.",
            "Name at least one under generators: 'version 12', or 'endpoint my-server'.",
        )  # fmt: skip
    device = str(choose(context.spec.device, "auto", False).torch)
    settings = config.max_new_tokens, config.temperature, device, context.breathe
    writers: dict[str, Writer] = {}
    for name in names:
        context.breathe()
        writers[name] = writer(context.spec, name, *settings)
    return GenerateTask(context, config, writers, judge(context.spec, config, device, context.breathe))


class GenerateTask:
    """See `engine.task.Task`."""

    def __init__(self, context: Context, config: GenerateConfig, writers: dict[str, Writer], judge: Judge) -> None:
        self.context = context
        self.config = config
        self.writers = writers
        self.judge = judge
        self.plan = Plan(
            total_steps=config.examples, steps_per_epoch=config.examples, parameters=0, train_items=0,
            validation_items=0, evaluate_every=0,
        )  # fmt: skip
        self.waited = 0.0
        self.prompts = lines(config.prompts)
        self.names, self.weights = zip(*config.weights().items(), strict=True)
        self.tally = Tally(list(writers))  # of what was told
        self.scout = Tally(list(writers))  # of what was made
        self.held: deque[Example] = deque()  # made and not told yet
        waits = judge.waits or any(one.waits for one in writers.values())
        self.ahead = Ahead(self.make, config.at_once if waits else 1, config.examples)
        context.at_end.callback(self.ahead.close)

    def step(self, index: int) -> tuple[dict[str, float], int]:
        self._make_sure(index)
        made = self.held.popleft()
        for name in self.tally.take(index, made):
            self._set_aside(index, name)
        # What follows can't be interrupted: an example is told once, in the step that made it.
        self.context.sink.emit(Event.EXAMPLE, step=index + 1, **made.facts())
        best = {"generate/score": made.winner.score} if made.winner and made.winner.score is not None else {}
        return self.tally.metrics() | best, 1

    def _make_sure(self, index: int) -> None:
        """Have an example for the step. Those that got no score are held back until a later one gets one: when nobody
        answers or judges any more the attempt ends, and they must be neither told nor counted, but made again."""
        while not any(one.winner for one in self.held) and index + len(self.held) < self.plan.total_steps:
            number = index + len(self.held)
            started = time.perf_counter()
            made = self.ahead.take(number, self.context.breathe)
            self.waited += time.perf_counter() - started if self.ahead.threads else 0.0
            if not made.candidates:
                raise self._nobody_answers()
            self.scout.take(number, made)
            self.held.append(made)
            if self.scout.unjudged >= UNJUDGED:
                raise self._judge_is_silent()
        if not self.scout.scored:  # and it is the end
            raise self._judge_is_silent() if self.scout.unjudged else self._nobody_answers()

    def make(self, index: int) -> Example:
        """The example of a step; without candidates when everybody is set aside. Called in threads."""
        genre, prompt = self.asked_for(index)
        made = Example(genre, prompt, [])
        for name in self.scout.asked(index):
            made.candidates.append(self._candidate(index, name, genre, prompt))
        scored = [one for one in made.candidates if one.score is not None]
        if not scored:
            made.reason = "No generator wrote a text that was scored."
            return made
        # Of equals the one whose turn it is, so that the order of the settings helps nobody.
        turn = index % len(scored)
        made.winner = max(scored[turn:] + scored[:turn], key=lambda one: one.score or 0.0)
        made.kept = (made.winner.score or 0.0) >= self.config.minimum_quality
        if not made.kept:
            made.reason = (
                f"The best candidate has {made.winner.score:.1f}, at least {self.config.minimum_quality} is asked."
            )
        return made

    def asked_for(self, index: int) -> tuple[str, str]:
        """Genre and prompt of an example: a function of seed and number."""
        import torch

        generator = torch.Generator().manual_seed(mix(self.context.spec.seed, index))
        drawn = torch.multinomial(torch.tensor(self.weights, dtype=torch.float64), 1, generator=generator)
        genre = self.names[int(drawn)]
        return genre, filled(self.prompts[index % len(self.prompts)], genre, index + 1)

    def evaluate(self, final: bool) -> dict[str, float]:
        return self.tally.metrics()

    def sample(self, index: int) -> tuple[str, str] | None:
        return None

    def state(self) -> dict[str, bytes]:
        return {STATE: json_bytes(self.tally.state())}

    def restore(self, files: dict[str, bytes]) -> None:
        for one in (self.tally, self.scout):
            one.restore(json.loads(files[STATE]))

    def report(self) -> list[AnyBlock]:
        return blocks(self.tally, {name: one.title for name, one in self.writers.items()})

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        facts = self.tally.state() | {"config": self.config.model_dump(), "seed": self.context.spec.seed}
        return {SUMMARY: json_bytes(facts)}

    def _candidate(self, index: int, name: str, genre: str, prompt: str) -> Candidate:
        started = time.perf_counter()
        one = Candidate(name)
        place = list(self.writers).index(name)
        try:
            text = self.writers[name].write(prompt, mix(self.context.spec.seed + 1 + place, index))
            if not text or len(text) > LONGEST:
                raise WritingError("It wrote nothing." if not text else f"It wrote more than {LONGEST:,} characters.")
            one.text = text
            found = self.judge.score(prompt, genre, text)
            one.score, one.reasons = found.value, found.reasons
        except WritingError as error:
            one.error = str(error)
        one.seconds = round(time.perf_counter() - started, 3)
        return one

    def _set_aside(self, index: int, name: str) -> None:
        written = self.tally.generators[name]
        self.context.log(
            f"{self.writers[name].title} failed {written.in_a_row} times in a row and is left out of the next "
            f"{written.away_until - index - 1} examples: {written.last_error}",
            "warning",
        )

    def _nobody_answers(self) -> EngineError:
        said = " ".join(
            f"{self.writers[name].title}: {written.last_error}" for name, written in self.scout.generators.items()
        )
        passing = any(isinstance(one, Asked) for one in self.writers.values())
        return EngineError(
            FailureCode.UNAVAILABLE if passing else FailureCode.BAD_CONFIG,
            f"Every generator failed several times in a row. {said}"[:2000],
            "See that the endpoints run and their keys are right, then retry: it goes on where it was."
            if passing else "Choose other prompts or generators; what was kept so far stays.",
        )  # fmt: skip

    def _judge_is_silent(self) -> EngineError:
        last = reversed([one for made in self.held for one in made.candidates if not one.failed])
        said = next((one.error for one in last if one.error), "")
        return EngineError(
            FailureCode.UNAVAILABLE if self.judge.waits else FailureCode.BAD_CONFIG,
            f"The judge gave no score for {self.scout.unjudged} examples in a row. {said}"[:2000],
            "See that the judge answers, or choose another one, then retry: it goes on where it was.",
        )
