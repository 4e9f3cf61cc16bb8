"""Trains boosted trees and a linear model on the rows of a table."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch

from engine import state
from engine.artifact import make_artifact
from engine.data import Dataset, bad_data, open_dataset
from engine.device import choose
from engine.protocol import EngineError
from engine.randomness import mix
from engine.recipes.table_baseline import encoding, figures, linear
from engine.recipes.table_baseline.boosting import Fold, Shape, Trees, first_scores, join, probabilities
from engine.recipes.table_baseline.config import TableBaselineConfig
from engine.recipes.table_baseline.linear import Linear
from engine.recipes.table_baseline.model import Answers
from engine.recipes.table_baseline.parts import Parts, divide, folds
from engine.recipes.table_baseline.roles import (
    Roles,
    check_classes,
    choose_features,
    class_names,
    is_classification,
    names_checked,
    with_target,
)
from engine.report import AnyBlock, Bars, left_out
from engine.tables import Table, read_tables
from engine.task import Context, Plan, json_bytes

SLICE = 10  # rounds of a step
EVALUATIONS = 20
ROWS_OF_A_THREAD = 20_000  # with fewer, threads wait for each other longer than they work
IMPORTANCE_ROWS = 2000
IMPORTANCE_COLUMNS = 40
REPEATS = 3
LEAST_RARE = 10  # rows of the rarer of two classes, below which a threshold would be chosen by chance


def build(context: Context) -> TableBaselineTask:
    """Read the table, find out what is to be learned from what, and divide the rows."""
    config = context.config
    assert isinstance(config, TableBaselineConfig)
    choose(context.spec.device, "float32")  # a device that is not there is told, though trees grow on the CPU
    dataset = open_dataset(context.spec.data, "table")
    table = read_tables(dataset, context.log, context.breathe)
    target = names_checked(table, config)
    whole = table
    table = with_target(table, target, context.log)
    rows = len(whole) + whole.aside
    context.note_left_out("Rows that were set aside", whole.aside, rows)
    context.note_left_out(f"Rows without a value in '{target}'", len(whole) - len(table), rows)
    classification = is_classification(table, target, config)
    classes = check_classes(class_names(table, target), target) if classification else []
    parts = divide(table, config, context.spec.seed)
    y = table.columns[target]
    if classification:
        codes = {name: code for code, name in enumerate(classes)}
        y = np.array([codes[name] for name in class_names(table, target)], dtype=float)
        classes, y, parts = _seen(classes, y, parts, context)
        context.note_left_out("Rows of classes that no training row has", len(y) - parts.count, rows)
    elif np.ptp(y[parts.train]) == 0:
        raise _constant(target)
    features = choose_features(table, parts.train, y, target, classification, config, context.log)
    context.log(
        f"'{target}' is learned as {'a class' if classification else 'a number'} from {len(features)} columns: "
        f"{', '.join(features[:20])}{' …' if len(features) > 20 else ''}."
    )
    context.log(f"Rows are divided {parts.how}: {_sizes(parts)}.")
    return TableBaselineTask(
        context, config, dataset, table, Roles(target, features, classification, classes, y), parts
    )


def choose_shape(config: TableBaselineConfig, rows: int, classes: int, threads: int) -> Shape:
    """How trees are grown: as configured, 'auto' by the number of rows that are learned from."""
    leaves = config.leaves if config.leaves != "auto" else 15 if rows < 5000 else 31 if rows < 100_000 else 63
    least = config.rows_per_leaf if config.rows_per_leaf != "auto" else min(20, max(3, rows // 100))
    rate = config.learning_rate if config.learning_rate != "auto" else 0.05 if rows < 100_000 else 0.1
    return Shape(classes > 0, classes, SLICE, rate, leaves, least, threads)


class TableBaselineTask:
    """See `engine.task.Task`. Step 0 fits the linear model; each other step grows a slice of trees in every fold that
    has not stopped."""

    def __init__(
        self,
        context: Context,
        config: TableBaselineConfig,
        dataset: Dataset,
        table: Table,
        roles: Roles,
        parts: Parts,
    ) -> None:
        self.context, self.config, self.dataset, self.table = context, config, dataset, table
        self.roles, self.parts = roles, parts
        self.waited = 0.0
        train = table.taken(parts.train)
        self.encoder = encoding.learn(train.columns, table.kinds, roles.features, config.time, context.log)
        self.x = {name: self.encoder.matrix(table.taken(rows).columns) for name, rows in self._rows().items()}
        self.mean, self.deviation = 0.0, 1.0
        if not roles.classification:
            self.mean = float(roles.y[parts.train].mean())
            self.deviation = float(roles.y[parts.train].std())
        self.y = (roles.y[parts.train] - self.mean) / self.deviation
        count = len(parts.train)
        threads = min(torch.get_num_threads(), max(1, count // ROWS_OF_A_THREAD))
        self.shape = choose_shape(config, count, len(roles.classes), threads)
        rounds = config.rounds if config.rounds != "auto" else 2000 if count < 100_000 else 1000
        self.ways = folds(table, parts, roles.y, roles.classification, config, context.spec.seed)
        seed = context.spec.seed
        self.folds: list[Fold] = []
        if config.model != "linear":
            for number, (learned, held) in enumerate(self.ways):
                context.breathe()
                self.folds.append(
                    Fold(
                        self.shape, self.x["train"], self.y, learned, held, self.encoder.categorical, mix(seed, number)
                    )
                )
        self.linear = Linear(0, 0)
        self.linear_held = np.zeros((0, 0))  # what linear models of the other folds say of each training row
        slices = math.ceil(rounds / SLICE) if self.folds else 0
        self.plan = Plan(
            total_steps=1 + slices,
            steps_per_epoch=1,
            parameters=0,
            train_items=count,
            validation_items=len(parts.validation),
            evaluate_every=max(1, slices // EVALUATIONS),
        )
        self.known: tuple[int, dict[str, float]] | None = None  # trees at the last evaluation, its metrics
        self.blocks: list[AnyBlock] = []
        self.final: Answers | None = None

    def step(self, index: int) -> tuple[dict[str, float], int]:
        count = len(self.parts.train)
        if index == 0:
            self._fit_linear()
            return {}, count
        for fold in self._growing():
            self.context.breathe()
            if len(fold.texts) < index:  # a step that was interrupted goes on with the folds that are left
                fold.grow()
        if index == self.plan.total_steps - 1 and (still := self._growing()):
            self.context.log(
                f"{len(still)} of {len(self.folds)} models did not stop by themselves; more rounds may help.", "warning"
            )
        return {
            "train/loss": float(np.mean([fold.learned_loss for fold in self.folds])),
            "train/held_out_loss": float(np.mean([fold.losses[-1] for fold in self.folds])),
            "train/trees": float(sum(len(fold.texts) for fold in self.folds) * SLICE),
        }, count

    def evaluate(self, final: bool) -> dict[str, float]:
        """The model as it is, trees after the best slice of each fold left out. At the end the choice between trees and
        the linear model is made, the test part looked at, and what matters to the answer is measured."""
        grown = sum(len(fold.texts) for fold in self.folds)
        if not final and self.known and self.known[0] == grown:
            return self.known[1]
        answers = self._answers(final)
        found = self._figures("validation", answers, final)
        self.known = grown, found
        if final:
            self.final = answers
            found = found | self._finish(answers)
        return found

    def sample(self, index: int) -> tuple[str, str] | None:
        return None

    def state(self) -> dict[str, bytes]:
        return {
            "linear.safetensors": state.weights(self.linear),
            "held.safetensors": state.save({"held": torch.from_numpy(self.linear_held)}),
            "trees.json": json_bytes([fold.texts for fold in self.folds]),
        }

    def restore(self, files: dict[str, bytes]) -> None:
        tensors = state.load(files["linear.safetensors"])
        self.linear = Linear(*tensors["weight"].shape)
        self.linear.load_state_dict(tensors)
        self.linear_held = state.load(files["held.safetensors"])["held"].numpy()
        for fold, texts in zip(self.folds, json.loads(files["trees.json"]), strict=True):
            for text in texts:
                self.context.breathe()
                fold.take(text)

    def report(self) -> list[AnyBlock]:
        return [*self.blocks, *left_out(self.context.left_out)]

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        assert self.final is not None
        about = {
            "target": self.roles.target,
            "classes": self.roles.classes,
            "columns": self.table.kinds,
            "split": self.parts.how,
            "encoder": self.encoder.as_json(),
            "answers": self.final.as_json(),
        }
        files = {f"trees-{number}.txt": text.encode() for number, text in enumerate(self.final.texts)}
        return make_artifact(self.context, self.linear, about, self.dataset, metrics) | files

    def _rows(self) -> dict[str, np.ndarray]:
        return {"train": self.parts.train, "validation": self.parts.validation, "test": self.parts.test}

    def _growing(self) -> list[Fold]:
        return [fold for fold in self.folds if not fold.stopped(self.config.early_stopping_rounds)]

    def _fit_linear(self) -> None:
        straight = self.encoder.straight(self.x["train"])
        self.linear, self.linear_held = linear.fit(
            straight, self.y, self.ways, self.roles.classification, len(self.roles.classes)
        )

    def _answers(self, final: bool) -> Answers:
        """The model that would be saved now."""
        boosted = bool(self.folds) and (not final or self._boosted_is_better())
        texts = [join(fold.texts[: fold.best]) for fold in self.folds] if boosted else []
        starts = [fold.start.tolist() for fold in self.folds] if boosted else []
        answers = Answers(
            self.shape.classification, len(self.roles.classes), texts, starts, self.mean, self.deviation, 0.5, 0
        )
        answers.load(self.encoder, self.linear, self.shape.threads)
        if self.roles.classification:
            self._settle_threshold(answers)
        return answers

    def _settle_threshold(self, answers: Answers) -> None:
        """From which probability on the rarer of two classes is named, chosen inside of the training part."""
        answers.rare = int(np.bincount(self.y.astype(int), minlength=len(self.roles.classes)).argmin())
        if self.config.threshold != "auto":
            answers.threshold = self.config.threshold
        elif len(self.roles.classes) == 2 and (self.y == answers.rare).sum() >= LEAST_RARE:
            held = self._held_scores(boosted=bool(answers.texts))
            told = ~np.isnan(held[:, 0])
            said = probabilities(self.shape, held[told])[:, answers.rare]
            answers.threshold = figures.best_threshold(said, self.y[told] == answers.rare)

    def _held_scores(self, boosted: bool) -> np.ndarray:
        """What models say of training rows that they did not learn from, (rows, outputs); NaN where there is none."""
        if not boosted:
            return self.linear_held
        held = np.full((len(self.y), self.shape.outputs), np.nan)
        for fold in self.folds:
            x = self.x["train"][fold.held]
            held[fold.held] = Trees(join(fold.texts[: fold.best]), fold.start, self.shape.threads).scores(x)
        return held

    def _boosted_is_better(self) -> bool:
        if self.config.model == "boosted":
            return True
        errors = {}
        for name, held in (("boosted model", self._held_scores(True)), ("linear model", self.linear_held)):
            there = ~np.isnan(held[:, 0])
            if self.roles.classification:
                right = probabilities(self.shape, held[there])[np.arange(there.sum()), self.y[there].astype(int)]
                errors[name] = float(-np.log(np.clip(right, 1e-15, 1)).mean())
            else:
                errors[name] = float(np.abs(held[there, 0] - self.y[there]).mean()) * self.deviation
        better = min(errors, key=lambda name: errors[name])
        measure = "log loss" if self.roles.classification else "mean absolute error"
        self.context.log(
            f"The {better} is used: {measure} on held-out training rows {errors['boosted model']:.4g} boosted, "
            f"{errors['linear model']:.4g} linear."
        )
        return better == "boosted model"

    def _figures(self, part: str, answers: Answers, final: bool) -> dict[str, float]:
        """Metrics of a part; at the end with baselines, and with blocks for the report."""
        x, truth = self.x[part], self.roles.y[self._rows()[part]]
        simple = answers.as_linear()
        if not self.roles.classification:
            said = answers.values(x)
            found = figures.of_numbers(said, truth)
            trivial = figures.of_numbers(np.full(len(truth), self.mean), truth)
            straight = figures.of_numbers(simple.values(x), truth)
            drawn = figures.numbers_drawn(part, said, truth) if final else []
            note = f"The baseline always answers {self.mean:.6g}, the mean of the training part."
            loss, sure = found["mae"], {}
        else:
            numbers = truth.astype(int)
            chances = answers.probabilities(x)
            named = answers.named(chances)
            found = figures.of_classes(chances, numbers, named, answers.rare)
            shares = self._class_shares(len(truth))
            trivial = figures.of_classes(shares, numbers, shares.argmax(1), answers.rare)
            said = simple.probabilities(x)
            straight = figures.of_classes(said, numbers, said.argmax(1), answers.rare)
            two = answers.rare if len(self.roles.classes) == 2 else None
            names = self.roles.classes
            drawn = figures.classes_drawn(part, names, chances, numbers, named, two) if final else []
            note = self._note_on_classes(answers)
            loss, sure = found["log_loss"], {"confidence": figures.confidence(chances, named)}
        if final:
            self.blocks += [*figures.compared(part, len(truth), found, trivial, straight, note), *drawn]
        metrics = {f"{part}/loss": loss} | {f"{part}/{key}": value for key, value in (found | sure).items()}
        if final and part == "validation":
            metrics |= {f"baseline/{key}": value for key, value in trivial.items()}
            metrics |= {f"baseline/linear_{key}": value for key, value in straight.items()}
        return metrics

    def _class_shares(self, rows: int) -> np.ndarray:
        """The trivial answer: the shares of the classes in the training part, for each row."""
        return np.repeat(probabilities(self.shape, first_scores(self.shape, self.y)[None]), rows, 0)

    def _note_on_classes(self, answers: Answers) -> str:
        names = self.roles.classes
        common = names[int(np.bincount(self.y.astype(int)).argmax())]
        note = f"The baseline always answers '{common:.100}', the commonest class of the training part."
        if len(names) == 2:
            note += f" '{names[answers.rare]:.100}' is named from a probability of {answers.threshold:.3f} on."
        return note

    def _finish(self, answers: Answers) -> dict[str, float]:
        found = self._figures("test", answers, final=True) if len(self.parts.test) else {}
        if found:  # the test part first: it is what counts
            ours = [block for block in self.blocks if "test part" in block.title]
            self.blocks = ours + [block for block in self.blocks if block not in ours]
        self.blocks.insert(2, self._importance(answers))
        return found

    def _importance(self, answers: Answers) -> Bars:
        """How much worse it gets when a column is shuffled among the validation rows."""
        some = np.linspace(0, len(self.x["validation"]) - 1, min(IMPORTANCE_ROWS, len(self.x["validation"])))
        rows = np.unique(some.astype(int))
        x, truth = self.x["validation"][rows], self.roles.y[self.parts.validation][rows]
        columns = answers.columns_used(self.encoder)[:IMPORTANCE_COLUMNS]
        before = answers.error(x, truth)
        dice = np.random.default_rng(mix(self.context.spec.seed, len(self.ways)))
        worse: dict[str, float] = {}
        for name in columns:
            places = [place for place, feature in enumerate(self.encoder.features) if feature.column == name]
            rises = []
            for _ in range(REPEATS):
                self.context.breathe()
                shuffled = x.copy()
                shuffled[:, places] = x[dice.permutation(len(x))][:, places]
                rises.append(answers.error(shuffled, truth) - before)
            worse[name] = float(np.mean(rises))
        order = sorted(worse, key=lambda name: -worse[name])
        measure = "log loss" if self.roles.classification else "mean absolute error"
        return Bars(
            title="What the answer rests on",
            note=f"How much the {measure} on the validation part rises when a column is shuffled ({REPEATS} times, "
            "the mean). Columns that say the same share their weight.",
            labels=[name[:300] for name in order],
            values=[worse[name] for name in order],
            unit=measure,
        )


def _seen(classes: list[str], y: np.ndarray, parts: Parts, context: Context) -> tuple[list[str], np.ndarray, Parts]:
    """Without classes that no training row has, nor their rows."""
    there = np.unique(y[parts.train]).astype(int)
    if len(there) == len(classes):
        return classes, y, parts
    missing = [name for code, name in enumerate(classes) if code not in there]
    count = int((~np.isin(y, there)).sum())
    context.log(
        f"No training row is of class {', '.join(missing[:10])}{' …' if len(missing) > 10 else ''}; {count:,} rows of "
        "the other parts are left out.",
        "warning",
    )
    kept = [classes[code] for code in there]
    check_classes(np.array([classes[int(code)] for code in y[parts.train]], dtype=object), "of the training part")
    numbers = np.full(len(classes), -1.0)
    numbers[there] = np.arange(len(there))
    y = numbers[y.astype(int)]
    parts = Parts(parts.train, parts.validation[y[parts.validation] >= 0], parts.test[y[parts.test] >= 0], parts.how)
    if not len(parts.validation):
        raise bad_data(
            "No row of the validation part is of a class that is learned from.",
            "Divide the rows so that each class is in both parts, or add rows of these classes.",
        )
    return kept, y, parts


def _sizes(parts: Parts) -> str:
    sizes: list[Any] = [f"{len(parts.train):,} to learn from", f"{len(parts.validation):,} for validation"]
    return ", ".join(sizes + ([f"{len(parts.test):,} for the test"] if len(parts.test) else []))


def _constant(target: str) -> EngineError:
    return bad_data(
        f"The target column '{target}' says the same in every training row: there is nothing to learn.",
        "Choose another target, or add rows in which it differs.",
    )
