"""What the configurations of all recipes share."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

Auto = Literal["auto"]
Accumulate = Auto | Annotated[int, Field(ge=1, le=1024)]
# Bytes of a trained number: the weight, its gradient and the two averages that the optimizer keeps, in float32.
TRAINED = 16
COPIES = 4  # of a trained number, in whatever format: these four
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Sampling = Literal["natural", "balanced"]
Compile = Literal["auto", "off", "on"]
Keep = Literal["last", "best"]
MOST_HELD_OUT = 0.9  # of a table's rows


class RecipeConfig(BaseModel):
    """A recipe's settings. Every field works as it is; field order is the order of the form."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    auto_steps: ClassVar[int] = 1200  # updates of a run on a small set, where the epochs are 'auto'

    def steps_for(self, items: int, per_epoch: float | None = None) -> int | None:
        """How many steps a run on so many training items takes, as an estimate needs it before all of the data were
        looked at; None where nothing can be said. `per_epoch`: steps of one pass over them, by a trial on a sample
        whose plan was not `fixed`. Override it where steps are counted otherwise."""
        steps, epochs, batch = (getattr(self, name, None) for name in ("steps", "epochs", "batch_size"))
        if isinstance(steps, int):
            return steps
        if not isinstance(batch, int) or epochs is None:
            return None
        each = max(1, math.ceil(items / batch))
        return each * (epochs if isinstance(epochs, int) else auto_epochs(each, self.auto_steps))

    def from_scratch(self) -> str:
        """Why a run with these settings can't start from scratch, as a sentence; '' when it can. Override it where a
        model to start from is needed."""
        return ""

    def least_memory(self, facts: Facts) -> int | None:
        """Bytes that a step needs on one device at the very least, so that no device with fewer is tried; None where
        nothing can be said for sure. With `base_bytes` the run starts from a model that is there, else from scratch.
        Light, as `recommend` is. Override it where something can be said."""
        return None

    @classmethod
    def recommend(cls, facts: Facts) -> dict[str, tuple[Any, str]]:
        """Settings that suit the data at hand better than the defaults: {setting: (value, reason)}, the reason as a
        clause after 'because'. Light: no torch, no file is opened. Override it where something can be said."""
        return {}


class Facts(TypedDict, total=False):
    """What is known of the data and the device before a run. Absent: not known, or there is none of it."""

    items: int  # to learn from: files, or rows of texts
    classes: dict[str, int]  # items by class
    bytes: int  # of all files
    side: float  # median of the smaller sides of pictures, in pixels
    seconds: float  # median length of recordings or videos
    characters: int  # of all texts, about
    rows: int  # of tables
    columns: int
    device: Literal["cpu", "cuda"]
    device_memory: int  # bytes of one device
    base_numbers: int  # of the model that is started from: those that every run from it loads
    base_bytes: int  # of the same, as they are stored


def auto_epochs(steps_per_epoch: int, steps: int, least: int = 10) -> int:
    """Enough for a small set to be learned without a large one taking for ever."""
    return max(least, min(100, math.ceil(steps / max(1, steps_per_epoch))))


def check_shares(validation: float, test: float) -> None:
    """ValueError when parts of a table leave too little to learn from."""
    if validation + test > MOST_HELD_OUT:
        raise ValueError(
            f"validation_fraction and test_fraction are {validation + test:.2f} together: leave at least "
            f"{1 - MOST_HELD_OUT:.1f} of the data to learn from."
        )


def setting(
    default: Any,
    title: str,
    description: str,
    group: str = "Training",
    *,
    lines: bool = False,
    columns: Literal["one", "list", "commas"] | None = None,
    **rules: Any,
) -> Any:
    """A field with what a form needs: title, a description for people, and the group it stands in. `lines`: its text
    may have several. `columns`: it names a column of the data, a list of them, or several with commas between them."""
    more: dict[str, Any] = {"group": group} | ({"lines": True} if lines else {})
    more |= {"columns": columns} if columns else {}
    return Field(default, title=title, description=description, json_schema_extra=more, **rules)


def adds_to_a_base(method: str) -> str:
    """Why a run by this method can't start from scratch."""
    return f"The method {method} adds to a model that is there."


def base_model_setting() -> Any:
    """Which model folder of the hub a run starts from, the same choice in all recipes that have bases. The hub finds
    the folder and hands it over as `Spec.base`."""
    return setting(
        "",
        "Base model",
        "A model to start from instead of from scratch: a folder below the hub's model folders, in Hugging Face format "
        "with safetensors weights. Without one: from scratch, or from the version that the job is based on.",
        "Base",
        max_length=300,
    )


def deterministic_setting() -> Any:
    """Whether two runs must agree bit for bit, the same choice in all recipes that train."""
    return setting(
        False,
        "Deterministic",
        "Uses only operations that give the same bits each time, so that two runs with one seed agree exactly. "
        "On a CPU they do anyway; on a GPU it costs some speed, and operations without such a form end the run.",
        "Advanced",
    )


def sampling_setting() -> Any:
    """How often the items of each class are drawn, the same choice in all recipes that name classes of files."""
    return setting(
        "natural",
        "Sampling",
        "How often a class is seen in training. Natural: as often as it occurs. Balanced: all classes equally often, "
        "by drawing items of rare ones again; when rare classes matter as much as common ones (compare the macro F1).",
    )


def label_smoothing_setting(default: float) -> Any:
    """How sure a classifier may become, the same choice in all that are trained as networks."""
    return setting(
        default,
        "Label smoothing",
        "Keeps the model from being too sure of itself. Lower it when probabilities look too timid.",
        ge=0,
        lt=0.5,
    )


def last_dropout_setting(default: float) -> Any:
    """What is left out before the last layer of a network that names classes."""
    return setting(
        default, "Dropout", "Share of features left out at random before the last layer.", "Model", ge=0, lt=1
    )


def warmup_setting(default: float = 0.05) -> Any:
    """How the learning rate rises, the same choice in all recipes that train by epochs."""
    return setting(
        default,
        "Warm-up (share of steps)",
        "Share of the run over which the learning rate rises from zero.",
        "Advanced",
        ge=0,
        le=0.5,
    )


def final_rate_setting(default: float) -> Any:
    """How far the learning rate falls, the same choice in all recipes that train by gradients."""
    return setting(
        default,
        "Final learning rate (ratio)",
        "The learning rate falls along a cosine to this share of its highest value.",
        "Advanced",
        ge=0,
        le=1,
    )


def weight_decay_setting(default: float) -> Any:
    """How weights are kept small, the same choice in all recipes that train by gradients."""
    return setting(default, "Weight decay", "Pulls weights towards zero; limits overfitting.", "Advanced", ge=0, le=10)


def gradient_clip_setting(default: float = 1.0) -> Any:
    """How long a gradient may be, the same choice in all recipes that train by gradients."""
    return setting(
        default,
        "Gradient clip",
        "Gradients longer than this are shortened to it, which tames rare bad batches; 0 turns it off.",
        "Advanced",
        ge=0,
        le=1000,
    )


def accumulation_setting() -> Any:
    """Into how many parts a batch is split, the same choice in all recipes that train a network."""
    return setting(
        "auto",
        "Accumulate gradients over",
        "Parts that a batch is calculated in, one after the other: the result is that of the whole batch, each part "
        "needs only its share of the memory. Auto: in one part, and in twice as many each time memory runs out; on one "
        "device, as several can't decide it by themselves.",
        "Advanced",
    )


def compile_setting() -> Any:
    """Whether steps run as compiled code, the same choice in all recipes whose networks can be compiled."""
    return setting(
        "auto",
        "Compile the model",
        "Has torch's compiler write code for the steps, which makes large networks faster once a minute or so was "
        "spent on it; where it can't, the run goes on without. Auto: on a GPU, for long runs of large networks that "
        "need not be deterministic. Compiled and other steps differ in their last digits.",
        "Advanced",
    )


def keep_setting(default: Keep) -> Any:
    """Which weights the result has, the same choice in all recipes that look at a validation loss on their way."""
    return setting(
        default,
        "Weights to keep",
        "Last: those of the last step, where the learning rate has come down. Best: those that had the lowest "
        "validation loss; for small data that are learned by heart in a long run. A checkpoint then holds both.",
    )


def patience_setting() -> Any:
    """When a run that gets no better ends, the same choice in all recipes that look at a validation loss."""
    return setting(
        0,
        "Stop early after",
        "Evaluations in a row without a lower validation loss after which the run ends; 0: it never ends early. With "
        "few evaluations chance alone may end it: 5 or more are safe.",
        ge=0,
        le=1000,
    )


def precision_setting() -> Any:
    """The number format of the arithmetic, the same choice in all recipes that train."""
    return setting(
        "auto",
        "Precision",
        "Number format of the arithmetic. Auto: mixed precision on a GPU (bfloat16, or float16 on older ones), float32 "
        "on a CPU. A GPU multiplies float32 as TF32, unless the run is deterministic. "
        "Change it only when mixed precision makes a run unstable (float32) or to save memory.",
        "Advanced",
    )
