"""The form in which a version is tried: what it takes, in words of its kind of data, and what was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from common.errors import InvalidInputError
from engine.catalogue import Recipe

MAX_FILE = 32 * 1024 * 1024
MAX_TOTAL = 64 * 1024 * 1024
MAX_FILES = 16
LONGEST_PROMPT = 20_000
LONGEST_TABLE = 1_000_000


@dataclass(frozen=True)
class Parameter:
    """Something that may be set when a model answers; a text where it has no range."""

    name: str
    title: str
    default: str = ""
    low: float | None = None
    high: float | None = None
    whole: bool = False


@dataclass(frozen=True)
class Form:
    """How a version is asked. `kind`: text, rows or file."""

    kind: str
    button: str
    label: str
    noun: str = ""  # one of the files
    accept: str = ""
    hint: str = ""
    may_be_empty: bool = False  # it has an answer to nothing too
    parameters: tuple[Parameter, ...] = ()
    streams: bool = False  # its text can be shown as it is written


SEED = Parameter("seed", "Seed", "", 0, 2**63 - 1, True)
TEXT_PARAMETERS = (
    Parameter("max_new_tokens", "Length in tokens", "200", 1, 1000, True),
    Parameter("temperature", "Temperature", "0.8", 0, 5),
    Parameter("top_k", "Best candidates only", "", 1, 100_000, True),
    SEED,
)
PICTURE_PARAMETERS = (
    Parameter("steps", "Steps", "25", 1, 200, True),
    Parameter("guidance", "Guidance", "6", 1, 30),
    Parameter("negative_prompt", "What it should not show"),
    SEED,
)
KEPT = "They are looked at and not kept."
FILES = {
    "image": ("Pictures", "picture", "image/*"),
    "audio": ("Recordings", "recording", "audio/*"),
    "video": ("Videos", "video", "video/*"),
}
BUTTONS = {"values": "Answer", "forecast": "Forecast", "anomalies": "Find anomalies"}


def form_of(recipe: Recipe) -> Form:
    """The form of a recipe's versions."""
    if recipe.takes == "rows":
        hint = f"CSV with a line of names, JSON or Parquet, up to {MAX_FILE >> 20} MiB. {KEPT}"
        button, goes_on = BUTTONS.get(recipe.output or "", "Answer"), recipe.output == "forecast"
        if goes_on:
            hint += " Without a table, the end of the training data is continued."
        return Form("rows", button, "Table", "table", ".csv,.json,.jsonl,.parquet", hint, may_be_empty=goes_on)
    if recipe.takes == "file":
        label, noun, accept = FILES.get(recipe.modality or "", ("Files", "file", ""))
        hint = f"Up to {MAX_FILES}, {MAX_FILE >> 20} MiB each. {KEPT}"
        return Form("file", "Classify", label, noun, accept, hint)
    if recipe.output == "image":
        return Form(
            "text", "Make a picture", "Prompt", hint="What the picture should show.", parameters=PICTURE_PARAMETERS
        )
    if recipe.output == "text":
        hint = "It goes on from here; may be empty"
        return Form("text", "Generate", "Prompt", hint=hint, parameters=TEXT_PARAMETERS, streams=True)
    return Form("text", "Classify", "Text", hint="The text to classify")


def inputs_of(form: Form, typed: dict[str, str], files: list[UploadedFile]) -> list[str | bytes]:
    """What was given. InvalidInputError when that is nothing, or too much."""
    if form.kind == "text":
        prompt = typed.get("prompt", "").replace("\r\n", "\n")
        if len(prompt) > LONGEST_PROMPT:
            raise InvalidInputError(f"The text is longer than {LONGEST_PROMPT:,} characters.", "Shorten it.")
        return [prompt]
    pasted = typed.get("prompt", "").strip()
    if form.kind == "rows" and pasted and not files:
        if len(pasted) > LONGEST_TABLE:
            raise InvalidInputError("The table is too long to be pasted.", "Choose it as a file.")
        return [pasted]
    if form.may_be_empty and not files:
        return [""]
    if not 1 <= len(files) <= MAX_FILES:
        more = ", or paste its rows" if form.kind == "rows" else ""
        raise InvalidInputError(f"Choose a {form.noun} first{more}.", f"One to {MAX_FILES} at a time.")
    if any((file.size or 0) > MAX_FILE for file in files) or sum(file.size or 0 for file in files) > MAX_TOTAL:
        limits = f"{MAX_FILE >> 20} MiB each and {MAX_TOTAL >> 20} MiB together"
        raise InvalidInputError(f"The {form.noun}s are larger than {limits}.", "Choose smaller or fewer ones.")
    return [file.read() for file in files]


def parameters_of(form: Form, typed: dict[str, str]) -> dict[str, Any]:
    """The parameters that were given; what is empty is left to the model. InvalidInputError names a wrong one."""
    given: dict[str, Any] = {}
    for parameter in form.parameters:
        text = typed.get(parameter.name, "").strip()
        if text:
            given[parameter.name] = text[:2000] if parameter.low is None else _number(parameter, text)
    return given


def _number(parameter: Parameter, text: str) -> float:
    low, high = parameter.low or 0, parameter.high or 0
    try:
        value = int(text) if parameter.whole else float(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        message = f"{parameter.title}: write a {'whole ' * parameter.whole}number from {low} to {high}."
        raise InvalidInputError(message, "Correct it and try again.", fields={parameter.name: [message]})
    return value
