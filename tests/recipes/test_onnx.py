"""What is exported as ONNX answers as the model does, from nothing but the exported folder."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import sounds
from engine.catalogue import RECIPES, load
from engine.export import FACTS, MODEL, MOST_DIFFERENT, exported, write_exported
from engine.films import decode as film_frames
from engine.protocol import EngineError, Exit, Spec
from tests.engine.cast import carry_out
from tests.recipes.clips import films, recordings, tone, wav
from tests.recipes.language_models import make_roberta
from tests.recipes.sheets import sheet_data
from tests.recipes.specs import (
    anomaly,
    audio_classification,
    forecast,
    table_baseline,
    text_classification,
    text_encoder,
    video_classification,
)

random = np.random.default_rng(11)


def trained(spec: Spec) -> Spec:
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return spec


def choosing(spec: Spec, candidate: str) -> Spec:
    """The same result, as if this candidate had been the best."""
    about = spec.work_dir / "artifact" / "config.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"chosen": candidate}))
    return spec


class Exported:
    """An exported folder: what `onnx.json` says, and the network in onnxruntime. `own`: the model itself."""

    def __init__(self, spec: Spec) -> None:
        import onnxruntime

        artifact, self.folder = spec.work_dir / "artifact", spec.work_dir / "exported"
        self.own = load(RECIPES[spec.recipe].predictor).load(artifact)
        self.told = write_exported(artifact, self.folder)
        self.about: dict[str, Any] = json.loads((self.folder / FACTS).read_bytes())
        assert self.about["difference"] == self.told["difference"] <= self.about["tolerance"] == MOST_DIFFERENT
        assert self.about["opsets"]["ai.onnx"] == 17
        self.session = onnxruntime.InferenceSession(self.folder / MODEL, providers=["CPUExecutionProvider"])

    def __call__(self, *given: np.ndarray) -> list[np.ndarray]:
        inputs = {}
        for said, value in zip(self.about["inputs"], given, strict=True):
            inputs[said["name"]] = np.asarray(value, dtype=said["type"])
        made = self.session.run(None, inputs)
        assert [one["name"] for one in self.about["outputs"]] == [one.name for one in self.session.get_outputs()]
        assert [str(one.dtype) for one in made] == [one["type"] for one in self.about["outputs"]]
        return made

    def probabilities(self, *given: np.ndarray) -> list[dict[str, float]]:
        return [dict(zip(self.about["classes"], row.tolist(), strict=True)) for row in self(*given)[0]]


def same(found: list[dict[str, float]], answers: list[dict[str, Any]]) -> None:
    for mine, answer in zip(found, answers, strict=True):
        for name, probability in answer["probabilities"].items():
            assert mine[name] == pytest.approx(probability, abs=1e-4)


def features(about: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """Rows as a network of a table takes them, by its words alone."""

    def one(row: dict[str, Any], feature: dict[str, Any]) -> float:
        value = row.get(feature["column"])
        if value is None:
            return np.nan
        if feature["is"] == "category":
            return feature["categories"].index(value) if value in feature["categories"] else np.nan
        if feature["is"] == "number":
            return float(value)
        when = np.datetime64(value)
        day = int(when.astype("datetime64[D]").astype(int))
        parts = {"day": day, "month": int(value[5:7]), "weekday": (day + 3) % 7}
        return parts[feature["is"]] if feature["is"] in parts else int(value[11:13]) + int(value[14:16]) / 60

    return np.array([[one(row, feature) for feature in about["features"]] for row in rows], dtype=float)


def test_trees_name_classes_of_rows_with_gaps_and_unknown_categories(tmp_path):
    made = Exported(trained(table_baseline.spec(tmp_path)))
    assert made.about["opsets"]["ai.onnx.ml"] == 3
    rows = [
        {"a": a, "b": b, "colour": colour}
        for a in (-1.5, 0.2, None) for b in (-0.7, 1.1, None) for colour in ("red", "green", "violet", None)
    ]  # fmt: skip
    same(made.probabilities(features(made.about, rows)), made.own.predict([rows])[0]["rows"])


def machines(rows: int = 400) -> dict[str, Any]:
    """Power by load and by which of many machines it is, with times; no number is ever missing."""
    load, place = random.uniform(0, 5, rows), random.integers(0, 60, rows)
    hours = np.datetime64("2024-01-01T00:30", "us") + np.arange(rows) * np.timedelta64(7, "h")
    power = 1e6 + 3 * load + np.where(place % 7 < 3, 9, 0) + random.normal(0, 0.2, rows)
    return {"at": hours, "load": load, "machine": [f"M{number}" for number in place], "power": power}


@pytest.mark.parametrize("target", ["power", "big"])
def test_values_and_two_classes_of_many_categories_and_dates(tmp_path, target):
    columns = machines()
    if target == "big":
        columns["big"] = np.where(columns.pop("power") > 1e6 + 12, "yes it is", "no")
    config = {"rounds": 60, "early_stopping_rounds": 30, "target": target, "test_fraction": 0.15}
    data = sheet_data(tmp_path, columns)
    made = Exported(trained(table_baseline.spec(tmp_path / "run", **config).model_copy(update={"data": data})))
    rows = [
        {"at": "2024-03-05 14:30:00", "load": load, "machine": f"M{number}"}
        for number in range(62) for load in (0.5, 4.2, None)
    ]  # fmt: skip
    answers = made.own.predict([rows])[0]["rows"]
    given = features(made.about, rows)
    if target == "big":
        same(made.probabilities(given), answers)
        rule = made.about["answer"]
        other = next(name for name in made.about["classes"] if name != rule["class"])
        named = [rule["class"] if one[rule["class"]] >= rule["from"] else other for one in made.probabilities(given)]
        assert named == [answer["label"] for answer in answers]
        return
    values = [answer["value"] for answer in answers]
    assert np.ptp(values) > 5 and made(given)[0] == pytest.approx(values, abs=1e-3)


def test_the_linear_model_answers_where_no_trees_do(tmp_path):
    load = random.uniform(0, 5, 120)
    columns = {"load": np.where(random.random(120) < 0.2, np.nan, load), "kind": ["a", "b", "c"] * 40}
    columns["power"] = 7 * load + np.array([0, 3, 5] * 40)
    data = sheet_data(tmp_path, columns)
    spec = table_baseline.spec(tmp_path / "run", rounds=10, model="linear").model_copy(update={"data": data})
    made = Exported(trained(spec))
    assert "ai.onnx.ml" not in made.about["opsets"]
    rows = [{"load": load, "kind": kind} for load in (-90.0, 2.5, 90.0, None) for kind in ("a", "c", "d", None)]
    values = [answer["value"] for answer in made.own.predict([rows])[0]["rows"]]
    assert made(features(made.about, rows))[0] == pytest.approx(values, abs=1e-6)


def test_series_are_continued_with_their_intervals_by_what_is_no_fit_of_its_own(tmp_path):
    places = np.arange(700)
    noise = random.normal(0, 0.3, (2, 700)) * (1 + (places > 600))  # restless in the end: intervals widen
    week = np.sin(places * 2 * np.pi / 7)
    days = np.datetime64("2023-01-01", "us") + places.astype("timedelta64[D]")
    data = sheet_data(tmp_path, {"day": days, "a": week + noise[0], "b": 3 * week + 0.1 * places + noise[1]})
    spec = forecast.spec(tmp_path / "run", candidates=["naive", "network"]).model_copy(update={"data": data})
    trained(spec)
    for candidate in ("naive", "linear", "network"):
        made = Exported(choosing(spec, candidate))
        assert made.about["series"] == ["a", "b"] and made.own.chosen == candidate
        assert not np.isnan(made.own.bands.usual).any()
        for count in (made.about["inputs"][0]["shape"][1], 25, 19):  # all that counts, less, the least
            check_forecast(made, count)
    with pytest.raises(EngineError, match="fitted anew to each past: no network does that"):
        exported(choosing(spec, "ets").work_dir / "artifact")


def check_forecast(made: Exported, count: int) -> None:
    days = (np.datetime64("2025-01-01") + np.arange(count)).astype(str)
    rows = [{"day": day, "a": float(np.sin(n)), "b": 3.0 + n % 7} for n, day in enumerate(days)]
    past = np.full((2, made.about["inputs"][0]["shape"][1]), np.nan)
    past[:, -count:] = [[row[name] for row in rows] for name in "ab"]
    found = dict(zip((one["name"] for one in made.about["outputs"]), made(past, np.array([0, 1])), strict=True))
    for place, name in enumerate("ab"):
        mine = [one for one in made.own.predict([rows])[0]["forecast"] if one["series"] == name]
        assert found["forecast"][place] == pytest.approx([one["value"] for one in mine], abs=1e-4)
        for bound in ("low_80", "high_95"):
            assert found[bound][place] == pytest.approx([one[bound] for one in mine], abs=1e-4)


def test_rows_in_order_of_time_are_scored(tmp_path):
    spec = trained(anomaly.spec(tmp_path, candidate="forest", trees=10, window=80, season=24))
    hours = np.datetime64("2024-03-01", "us") + np.arange(40).astype("timedelta64[h]")
    values = random.normal(size=(40, 2))
    values[7, 0], values[30, 1] = np.nan, 40.0
    rows = [
        {"at": str(at), "heat": None if np.isnan(heat) else heat, "noise": noise}
        for at, (heat, noise) in zip(hours, values.tolist(), strict=True)
    ]
    for candidate in ("forest", "season"):
        made = Exported(choosing(spec, candidate))
        before = np.array(made.about["before"]["values"], dtype=float)
        scores = made(np.concatenate([before, values]))[0][len(before) :]
        answers = made.own.predict([rows])[0]["rows"]
        assert scores == pytest.approx([answer["score"] for answer in answers], abs=1e-6) and np.ptp(scores) > 0.1
        assert (scores >= made.about["threshold"]).tolist() == [answer["is_anomaly"] for answer in answers]


def test_rows_that_stand_for_themselves_are_scored(tmp_path):
    data = sheet_data(tmp_path, {"heat": random.normal(size=300), "noise": random.normal(size=300) ** 2})
    spec = anomaly.spec(tmp_path / "run", candidate="auto", trees=10).model_copy(update={"data": data})
    made = Exported(trained(spec))
    rows = [{"heat": heat, "noise": noise} for heat in (-9.0, 0.1, None) for noise in (0.5, 30.0)]
    given = np.array([[np.nan if one is None else one for one in row.values()] for row in rows])
    scores = [answer["score"] for answer in made.own.predict([rows])[0]["rows"]]
    assert made(given)[0] == pytest.approx(scores, abs=1e-6)


def test_sounds_are_named_from_waves(tmp_path):
    made = Exported(trained(audio_classification.spec(tmp_path)))
    said = made.about["inputs"][0]
    samples = said["shape"][1]
    short = wav(tone(True, 99, 0.1))
    for file in (recordings(1)[0][3], short):
        wave = sounds.decode(file, said["samples_per_second"], 60) / 32768
        spare = len(wave) - samples
        starts = [round(spare * part) for part in np.linspace(0, 1, made.about["looks"])] if spare > 0 else [0]
        lead = round(-spare / 2) if spare < 0 else 0
        padded = np.pad(wave, (lead, max(0, -spare - lead)))
        found = made(np.stack([padded[start : start + samples] for start in starts]))[0].mean(0)
        same([dict(zip(made.about["classes"], found.tolist(), strict=True))], made.own.predict([file]))


def test_videos_are_named_from_frames(tmp_path):
    made = Exported(trained(video_classification.spec(tmp_path)))
    _, count, _, side, _ = made.about["inputs"][0]["shape"]
    files = [content for _, _, _, content in films(1)]
    frames = np.stack([film_frames(file, 2 * count, side)[1::2] for file in files])
    same(made.probabilities(frames), made.own.predict(files))


def test_texts_are_named_from_features_that_the_folder_explains(tmp_path):
    made = Exported(trained(text_classification.spec(tmp_path)))
    from safetensors.numpy import load_file

    known = load_file(made.folder / "vocabulary.safetensors")
    about = made.about

    def runs(values: list[int], lengths: range) -> dict[int, int]:
        counts: dict[int, int] = {}
        for length in lengths:
            for first in range(len(values) - length + 1):
                h = length
                for value in values[first : first + length]:
                    h = (h ^ value) * 0x9E3779B97F4A7C15 % 2**64
                    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
                    h ^= h >> 27
                counts[h & 0x7FFFFFFFFFFFFFFF] = counts.get(h & 0x7FFFFFFFFFFFFFFF, 0) + 1
        return counts

    def prepared(text: str) -> tuple[list[int], list[float]]:
        text = text.lower() if about["lower_case"] else text
        words = [zlib.crc32(word.encode()) for word in re.findall(r"\w+|[^\w\s]", text)]
        letters = [ord(letter) for letter in f" {' '.join(text.split())} "]
        numbers, weights = [], []
        for name, first, counts in (
            ("words", 0, runs(words, range(1, about["words"] + 1))),
            ("letters", len(known["words"]), runs(letters, range(2, about["letters"] + 1))),
        ):
            places = {int(hash): place for place, hash in enumerate(known[name])}
            mine = {places[hash]: count for hash, count in counts.items() if hash in places}
            told = [(1 + np.log(count)) * known[f"{name[:-1]}_weights"][place] for place, count in mine.items()]
            numbers += [first + place for place in mine]
            weights += (np.array(told) / max(np.linalg.norm(told), 1e-12)).tolist()
        return numbers, weights

    texts = ["The ripe  PEAR was in a tree", "a hammer, a screw and a saw", "zzz"]
    rows = [prepared(text) for text in texts]
    longest = max(len(numbers) for numbers, _ in rows)
    padded = [[part + [0] * (longest - len(part)) for part in row] for row in rows]
    same(made.probabilities([row[0] for row in padded], [row[1] for row in padded]), made.own.predict(texts))


@pytest.mark.parametrize("kind", ["adapter of a Llama", "whole RoBERTa"])
def test_texts_are_named_from_tokens_by_the_tokenizer_beside_it(tmp_path, kind):
    from tokenizers import Tokenizer

    changes: dict[str, Any] = {"epochs": 1}
    if kind == "whole RoBERTa":
        make_roberta(tmp_path / "llama")
        changes |= {"method": "full"}
    made = Exported(trained(text_encoder.spec(tmp_path, **changes)))
    tokenizer = Tokenizer.from_file(str(made.folder / "tokenizer.json"))
    texts = ["the pear was ripe", "a hammer, a screw and a very long saw with a nail " * 20, "x"]
    rows = [tokenizer.encode(text).ids[: made.about["longest"]] for text in texts]
    longest = max(map(len, rows))
    tokens = [row + [made.about["padding"]] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    same(made.probabilities(tokens, mask), made.own.predict(texts))


def test_every_recipe_says_whether_its_results_can_be_exported(tmp_path: Path):
    can = {name for name, recipe in RECIPES.items() if not recipe.why_no_onnx}
    assert {"image-classification", "table-baseline", "forecast", "anomaly", "text-classification"} <= can
    for name in RECIPES.keys() - can:
        (tmp_path / "config.json").write_text(json.dumps({"recipe": name}))
        with pytest.raises(EngineError, match="can't be exported as ONNX"):
            exported(tmp_path)
