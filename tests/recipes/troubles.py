"""What can be wrong with data, settings and bases, recipe by recipe, and the words by which each is told."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.protocol import DataSpec
from tests.engine.cast import SMALL_IMAGES, SMALL_TEXT, TEXT, FileLine, digit_files, make_data
from tests.recipes.clips import film, films, moving, recordings, wav
from tests.recipes.rows import rows_data
from tests.recipes.sheets import sheet_data
from tests.recipes.specs import audio_classification, forecast, image_generation, video_classification

Made = Callable[[Path], DataSpec]


@dataclass(frozen=True)
class Trouble:
    """`told`: what the failure's message and hint say; `logged`: what the log of a run says that completes. Neither: it
    completes as if nothing were."""

    recipe: str
    name: str
    data: Made
    told: str = ""
    logged: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.recipe}: {self.name}"


SMALL: dict[str, dict[str, Any]] = {
    "text-generation": SMALL_TEXT | {"steps": 2, "evaluate_every": 100, "sample_every": 100},
    "text-classification": {"epochs": 1, "batch_size": 8},
    "image-classification": SMALL_IMAGES | {"epochs": 1},
    "audio-classification": audio_classification.SMALL | {"epochs": 1},
    "video-classification": video_classification.SMALL | {"epochs": 1},
    "image-generation": image_generation.SMALL | {"steps": 1, "class_pictures": 0, "sample_every": 100},
    "table-baseline": {"rounds": 20, "early_stopping_rounds": 10},
    "forecast": forecast.SMALL | {"target": "auto", "season": "auto", "horizon": "auto", "history": "auto",
                                  "candidates": ["naive", "linear"]},
    "anomaly": {"trees": 10},
    "simulate": {"steps": 2, "step_seconds": 0.001},
}  # fmt: skip
PARTS = "train", "validation"


def troubles() -> list[Trouble]:
    return [*of_files(), *of_pictures(), *of_sounds(), *of_films(), *of_texts(), *of_rows(), *of_series()]


def good_files(recipe: str) -> list[FileLine]:
    """Files that suit a recipe of files."""
    if recipe == "image-classification":
        return [line for line in digit_files(30, every=4) if line[1] in "123"]
    if recipe == "audio-classification":
        return recordings(4)
    if recipe == "video-classification":
        return films(4)
    if recipe == "image-generation":
        return [(f"{n}.png", None, "train", picture(seed=n)) for n in range(3)]
    words = [f"{'red' if n % 2 else 'blue'} number {n} of many words".encode() for n in range(12)]
    if recipe == "text-classification":
        return [(f"{n}.txt", "ab"[n % 2], PARTS[n % 3 == 0], word) for n, word in enumerate(words)]
    return [("a.txt", None, "train", TEXT[:3000].encode()), ("b.txt", None, "validation", TEXT[3000:4000].encode())]


MODALITIES = {
    "image-classification": "image", "audio-classification": "audio", "video-classification": "video",
    "text-classification": "text", "image-generation": "image", "text-generation": "text",
}  # fmt: skip
CLASSIFIERS = [name for name in MODALITIES if name.endswith("classification")]


def of_files() -> Iterator[Trouble]:
    """What all recipes of files share."""
    for recipe, modality in MODALITIES.items():
        files = good_files(recipe)

        def with_(changed: list[FileLine], modality: str = modality) -> Made:
            return lambda root: make_data(root, modality, changed)

        broken = [(n, y, s, b"\xff\xfe\x00" + n.encode()) for n, y, s, _ in files]
        yield Trouble(recipe, "all files damaged", with_(broken), "can't be used|is not UTF-8")
        yield Trouble(recipe, "a damaged file", with_([*files[:-1], broken[-1]]), "can't be used|is not UTF-8")
        held = [(n, y, "validation", b) for n, y, _, b in files]
        yield Trouble(
            recipe, "nothing to learn from", with_(held), "is meant for training.*smaller validation_fraction"
        )
        if recipe not in CLASSIFIERS:
            continue
        learned = [(n, y, "train", b) for n, y, _, b in files]
        yield Trouble(
            recipe, "validation part empty", with_(learned), "meant for validation.*larger validation_fraction"
        )
        same = [(n, "one", s, b) for n, _, s, b in files]
        yield Trouble(recipe, "one class", with_(same), "belong to one class: 'one'")
        none = [(n, None, s, b) for n, _, s, b in files]
        yield Trouble(recipe, "no labels", with_(none), "has no label")
        yield Trouble(recipe, "one item", with_(learned[:1]), "meant for validation")
        new = [*files, ("new", "new", "validation", files[0][3])]
        yield Trouble(recipe, "a class only in validation", with_(new), logged="of class 'new', so it is never named")
        rare = [*files, ("rare", "rare", "train", files[0][3])]
        yield Trouble(recipe, "a class of one item", with_(rare), logged="is of class 'rare': more would help")


def picture(
    mode: str = "RGB", size: tuple[int, int] = (20, 20), kind: str = "PNG", seed: int = 0, **more: Any
) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 if mode == "I;16" else pixels)
    file = io.BytesIO()
    (image if mode in ("RGB", "I;16") else image.convert(mode)).save(file, kind, **more)
    return file.getvalue()


def odd_pictures() -> dict[str, bytes]:
    turned = Image.new("RGB", (30, 10)).getexif()
    turned[274] = 6
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "white", "teal")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return {
        "of one pixel": picture(size=(1, 1)), "of 16 bits": picture("I;16"), "in CMYK": picture("CMYK", kind="JPEG"),
        "with transparency": picture("RGBA"), "with a palette": picture("P"), "that moves": file.getvalue(),
        "turned by its file": picture(size=(30, 10), kind="JPEG", exif=turned), "very wide": picture(size=(4000, 2)),
    }  # fmt: skip


def of_pictures() -> Iterator[Trouble]:
    huge = io.BytesIO()
    Image.new("1", (9000, 9000)).save(huge, "PNG")
    for recipe in ("image-classification", "image-generation"):
        files = good_files(recipe)

        def with_(content: bytes, files: list[FileLine] = files) -> Made:
            return lambda root: make_data(root, "image", [*files, ("odd", files[0][1], "train", content)])

        for name, content in odd_pictures().items():
            yield Trouble(recipe, f"a picture {name}", with_(content))
        yield Trouble(recipe, "a huge picture", with_(huge.getvalue()), "more than 40,000,000 pixels")
        yield Trouble(recipe, "an empty file", with_(b""), "'odd' can't be used")
        yield Trouble(recipe, "a picture that is cut off", with_(picture()[:300]), "'odd' can't be used: it is damaged")
    pictures = lambda root: make_data(root, "image", good_files("image-generation"))  # noqa: E731
    yield Trouble("image-generation", "no caption", pictures, "has no caption", config={"prompt": ""})
    wild = {"learning_rate": 1.0, "gradient_clip": 0.0, "weight_decay": 10.0, "epochs": 40, "warmup_ratio": 0.0}
    digits = lambda root: make_data(root, "image", good_files("image-classification"))  # noqa: E731
    yield Trouble(
        "image-classification", "a learning rate too high", digits, "not a finite.*learning rate", config=wild
    )


def of_sounds() -> Iterator[Trouble]:
    files = recordings(4)

    def with_(content: bytes) -> Made:
        return lambda root: make_data(root, "audio", [*files, ("odd", files[0][1], "train", content)])

    recipe = "audio-classification"
    random = np.random.default_rng(0)
    yield Trouble(recipe, "a recording of no length", with_(wav(np.zeros(0))), "it holds no sound that can be decoded")
    yield Trouble(recipe, "a recording of one sample", with_(wav(np.zeros(1) + 0.5)))
    yield Trouble(recipe, "96 kHz in stereo", with_(wav(random.normal(0, 0.1, (9600, 2)), 96_000, 2)))
    yield Trouble(recipe, "silence", with_(wav(np.zeros(2000))), logged="1 of 7 recordings are silent")
    hush = [(n, y, s, wav(np.zeros(2000 + k))) for k, (n, y, s, _) in enumerate(files)]
    yield Trouble(recipe, "nothing but silence", lambda root: make_data(root, "audio", hush), "recordings are silent")


def of_films() -> Iterator[Trouble]:
    files = films(4)

    def with_(content: bytes) -> Made:
        return lambda root: make_data(root, "video", [*files, ("odd", files[0][1], "train", content)])

    recipe = "video-classification"
    yield Trouble(recipe, "a film of one frame", with_(film(moving(True, 9, 1))))
    yield Trouble(recipe, "a film that is cut off", with_(files[0][3][:500]), "'odd' can't be used: it is damaged")
    yield Trouble(recipe, "a recording", with_(recordings(1)[0][3]), "'odd' can't be used: it holds no pictures")


def documents(*texts: str, held: str | None = None) -> Made:
    files: list[FileLine] = [(f"{n}.txt", None, "train", text.encode()) for n, text in enumerate(texts)]
    if held is not None:
        files.append(("held.txt", None, "validation", held.encode()))
    return lambda root: make_data(root, "text", files)


def of_texts() -> Iterator[Trouble]:
    recipe = "text-generation"
    auto = {"block_size": "auto"}
    foreign = "".join(chr(0x4E00 + n) for n in np.random.default_rng(0).integers(0, 1500, 2500)) + "😀🎉" * 40
    yield Trouble(recipe, "an empty text", documents(""), "texts are empty")
    yield Trouble(recipe, "one character", documents("a"), "too short to hold some of it out")
    yield Trouble(recipe, "shorter than the block", documents("hello you"), "8 tokens.*Lower block_size or add text")
    yield Trouble(recipe, "shorter than any block", documents("hello you"), "at least 9. Add text", config=auto)
    short = documents("word " * 100, held="hi")
    yield Trouble(recipe, "a short validation text", short, "validation text has 2 tokens.*validation_fraction")
    yield Trouble(
        recipe, "an empty one among others", documents(TEXT[:2000], "", held=TEXT[:500]), logged="1 of 2 train"
    )
    yield Trouble(recipe, "only whitespace", documents(" \n\t" * 400))
    yield Trouble(recipe, "other scripts", documents(foreign), logged="tokens are pieces", config=auto)
    wild = {"learning_rate": 1.0, "gradient_clip": 0.0, "weight_decay": 10.0, "warmup_steps": 0, "steps": 400}
    yield Trouble(recipe, "a learning rate too high", documents(TEXT[:9000]), "finite.*learning rate", config=wild)
    lora = {"method": "lora"}
    yield Trouble(recipe, "an adapter of nothing", documents(TEXT[:9000]), "Choose a base model", config=lora)
    pairs = [{"prompt": f"a {n}", "completion": f"b {n}"} for n in range(9)]
    rows = lambda some: lambda root: rows_data(root, some)  # noqa: E731
    yield Trouble(recipe, "an empty answer", rows([*pairs, {"prompt": "q", "completion": ""}]), "'rows.jsonl:9' can't")
    yield Trouble(recipe, "one example", rows(pairs[:1]), "a single example")
    long = [{"prompt": "x" * 300, "completion": "y"} for _ in range(9)]
    yield Trouble(recipe, "prompts longer than the block", rows(long), "No training example has an answer within")

    recipe = "text-classification"

    def labelled(*texts: str) -> Made:
        return lambda root: rows_data(root, [{"text": text} for text in texts], ["x", "y"] * (len(texts) // 2))

    yield Trouble(recipe, "an empty text", labelled("a b", "  ", *["c", "d"] * 5), "'rows.jsonl:1' is empty")
    yield Trouble(recipe, "texts of a character", labelled(*["a", "b"] * 10))
    yield Trouble(recipe, "texts that are all the same", labelled(*["same", "same"] * 10))
    yield Trouble(recipe, "other scripts", labelled(*["我喜欢苹果", "😀 🎉"] * 10))
    yield Trouble(recipe, "an adapter of nothing", labelled(*["a", "b"] * 10), "Choose a base model", config=lora)


def of_rows() -> Iterator[Trouble]:
    random = np.random.default_rng(5)
    x = random.normal(size=60)
    y = 2 * x + random.normal(0, 0.1, 60)

    def case(name: str, table: Any, told: str = "", logged: str = "", **config: Any) -> Trouble:
        tables = table if isinstance(table, tuple) else (table,)
        return Trouble("table-baseline", name, lambda root: sheet_data(root, *tables), told, logged, config)

    yield case("no rows", {"a": x[:0], "y": y[:0]}, "have no rows")
    yield case("one row", {"a": x[:1], "y": y[:1]}, "too few to learn from.*at least 10")
    yield case("two rows", {"a": x[:2], "y": y[:2]}, "too few to learn from")
    yield case("no numeric column", {"a": ["u", "v"] * 30, "y": ["p", "q"] * 29 + ["q", "q"]})
    yield case("a constant column", {"a": x, "b": [1.0] * 60, "y": y}, logged="'b' is left out: it says the same")
    yield case("only constant columns", {"a": [1.0] * 60, "y": y}, "No column is left to learn 'y' from")
    yield case("a target that is not there", {"a": x, "y": y}, "no column 'z'.*Choose one of: 'a', 'y'", target="z")
    texts = {"a": x, "y": ["p", "q"] * 30}
    yield case("a target of texts", texts, "holds texts, so it can't be a number", task="regression")
    yield case("a target without values", {"a": x, "y": [None] * 60}, "'y' is empty")
    yield case("a column without values", {"a": x, "b": [None] * 60, "y": y}, logged="'b' is left out: it is empty")
    odd = np.where(np.arange(60) == 3, np.inf, x)
    yield case("infinities", {"a": odd, "b": x, "y": y}, logged="'a' holds 1 infinities; they count as missing")
    yield case("figures beyond reckoning", {"a": x * 1e300, "b": x, "y": y}, logged="figures beyond 1e+100")
    yield case("figures next to nothing", {"a": x * 1e-300, "b": x, "y": y}, logged="figures below 1e-100")
    far = {"a": x * 1e300, "y": y * 1e300}
    yield case("a target beyond reckoning", far, "'y' is empty")
    yield case("names that are no words", {'a"b[c]{d}:,': x, "日本": x**2, "y": y})
    unseen = ("train", texts), ("validation", {"a": x[:5], "y": ["z"] * 5})
    yield case("classes only in validation", unseen, "No row of the validation part is of a class")
    yield case("the target as group", {"a": x, "y": y}, "the setting 'group' names it too", group="y")
    yield case(
        "shares that leave nothing", {"a": x, "y": y}, "leave at least", validation_fraction=0.6, test_fraction=0.4
    )
    yield case("kept and left out", {"a": x, "y": y}, "keep it in one of the two", features=["a"], exclude=["a"])


def of_series() -> Iterator[Trouble]:
    random = np.random.default_rng(1)

    def days(count: int) -> np.ndarray:
        return np.datetime64("2024-01-01", "us") + np.arange(count) * np.timedelta64(1, "D")

    def weeks(count: int) -> np.ndarray:
        return 10 + 3 * np.sin(np.arange(count) * 2 * np.pi / 7) + random.normal(0, 0.3, count)

    def case(recipe: str, name: str, table: Any, told: str = "", logged: str = "", **config: Any) -> Trouble:
        return Trouble(recipe, name, lambda root: sheet_data(root, table), told, logged, config)

    for recipe, few in (("forecast", "too short|no two rows"), ("anomaly", "too few")):
        for count in (1, 2, 5):
            yield case(recipe, f"{count} rows", {"t": days(count), "y": weeks(count)}, few)
        yield case(recipe, "no numeric column", {"t": days(80), "y": ["a"] * 80}, "no column of numbers")
        yield case(recipe, "the same time always", {"t": np.repeat(days(1), 80), "y": weeks(80)}, "different times")
        yield case(recipe, "unsorted times", {"t": days(80)[::-1].copy(), "y": weeks(80)})
        gone = np.where(np.arange(80) % 20 == 3, np.inf, weeks(80))
        yield case(recipe, "infinities", {"t": days(80), "y": gone}, logged="'y' holds 4 infinities")
        timeless = {"t": [None, *days(79).astype(object)], "y": weeks(80)}
        yield case(recipe, "a row without a time", timeless, logged="1 rows without a time are left out")
        uneven = np.datetime64("2024-01-01", "us") + np.cumsum(random.integers(10**10, 10**12, 200))
        yield case(recipe, "irregular times", {"t": uneven, "y": weeks(200)})
        half = {"validation_fraction": 0.5, "test_fraction": 0.5}
        yield case(recipe, "shares that leave nothing", {"t": days(80), "y": weeks(80)}, "leave at least", **half)
        far = {"t": days(80), "y": 1e200 * weeks(80)}
        yield case(recipe, "figures beyond reckoning", far, "is missing|No watched column")

    recipe = "forecast"
    two = {"t": np.tile(days(60), 2), "s": ["a"] * 60 + ["b"] * 60}
    table = {"t": days(80), "y": weeks(80)}
    jitter = days(80) + random.integers(0, 10**9, 80).astype("timedelta64[us]")
    yield case(recipe, "times that are nearly a day apart", {"t": jitter, "y": weeks(80)}, logged="in steps of one day")
    yield case(recipe, "too short for the horizon", table, "shorter horizon", horizon=50)
    yield case(recipe, "too short for the history", table, "Set a shorter history", history=60)
    yield case(recipe, "duplicate stamps", {"t": np.repeat(days(40), 2), "y": weeks(80)}, "share their time")
    holes = {"t": np.concatenate([days(60), days(60) + np.timedelta64(900, "D")]), "y": weeks(120)}
    yield case(recipe, "a large gap", holes, "too uneven")
    nameless = two | {"s": ["a"] * 60 + [None] * 60, "y": weeks(120)}
    yield case(recipe, "series without a name", nameless, logged="60 rows without a name in 's'", series="s")
    lost = two | {"y": np.concatenate([weeks(60), np.full(60, np.nan)])}
    yield case(recipe, "an empty series of two", lost, logged="Series 'b' is left out: More than half", series="s")
    still = {"t": days(80), "y": [4.0] * 80}
    yield case(recipe, "a constant series", still, logged="One series never changes, and is continued with its value")
    yield case("anomaly", "a constant series", still, "changes")
    yield case(recipe, "constant series", two | {"y": [1.0] * 120}, logged="2 series never change", series="s")
    late = two | {"y": ([1.0] * 50 + list(range(10))) * 2}
    yield case(recipe, "series that change too late", late, "No series ever changes in the stretch", series="s")
    yield case(recipe, "the series as target", two | {"y": weeks(120)}, "is continued too", series="y", target="y")
    marked = {"t": days(80), "y": weeks(80), "bad": [False] * 80}
    yield case("anomaly", "labels that mark nothing", marked, logged="marks no row", label="bad")
    yield case("anomaly", "labels that are watched", marked, "never learned from", label="bad", columns=["y", "bad"])


def changed(folder: Path, **said: Any) -> None:
    """Change what a base says of itself."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
