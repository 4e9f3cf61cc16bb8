"""Settings of image classification."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.config import (
    COPIES,
    TRAINED,
    Accumulate,
    Auto,
    Compile,
    Facts,
    Keep,
    Precision,
    RecipeConfig,
    Sampling,
    accumulation_setting,
    base_model_setting,
    compile_setting,
    deterministic_setting,
    final_rate_setting,
    gradient_clip_setting,
    keep_setting,
    label_smoothing_setting,
    last_dropout_setting,
    patience_setting,
    precision_setting,
    sampling_setting,
    setting,
    warmup_setting,
    weight_decay_setting,
)


class ImageClassificationConfig(RecipeConfig):
    """A residual network from scratch: photos, drawings, letters, scans, from some twenty images a class on, each of
    one class. With few photos a pretrained model is better, where you have one as a folder. It is judged by the images
    of the validation part, and at the end by those of the test part. It says nothing of where in an image something
    is, and finds one class only; freeze the version with a split by group when one thing has several photos."""

    base_model: str = base_model_setting()
    trained_part: Literal["all", "head", "head-first"] = setting(
        "all",
        "Trained part",
        "With a base model only. All: everything adapts, the new head ten times as fast. Head: only the last layer; "
        "fast, and safer with very few images. Head first: the last layer alone for a fifth of the run, then all.",
        "Base",
    )
    epochs: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Epochs",
        "How often each image is seen. Auto: about 1,200 updates, at least 10 epochs; a third of it "
        "from a base model. Raise it when the "
        "validation accuracy is still rising at the end.",
    )
    batch_size: int = setting(
        32,
        "Batch size",
        "Images per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        ge=2,
        le=4096,
    )
    learning_rate: Auto | Annotated[float, Field(gt=0, le=1)] = setting(
        "auto",
        "Learning rate",
        "Highest size of an update. Auto: 0.002 from scratch, 0.0001 from a base model. Lower it when the loss jumps.",
    )
    augmentation: Literal["auto", "none", "light", "strong"] = setting(
        "auto",
        "Augmentation",
        "Random changes of the training images. Light: small shifts, rotations and sizes, safe for digits "
        "and letters. Strong: larger ones, light and contrast too, and a part covered; for photos. Auto: strong for "
        "photos, light for tiny images and those that are mostly of one tone, such as letters on white.",
    )
    horizontal_flip: bool = setting(
        False,
        "Mirror images",
        "Mirrors half of the training images left to right. Turn on when left and right mean nothing "
        "(animals, objects); never for digits, letters or hands.",
    )
    sampling: Sampling = sampling_setting()
    label_smoothing: float = label_smoothing_setting(0.05)
    keep: Keep = keep_setting("last")
    patience: int = patience_setting()
    image_size: Auto | Annotated[int, Field(ge=8, le=512)] = setting(
        "auto",
        "Image size",
        "Images are scaled to a square of this many pixels. Auto: by the images, at most 64. Raise it when "
        "small details decide.",
        "Model",
    )
    channels: Auto | Literal["grey", "colour"] = setting(
        "auto", "Channels", "Grey or colour. Auto: colour when any image has colour.", "Model"
    )
    width: Auto | Annotated[int, Field(ge=4, le=512)] = setting(
        "auto",
        "Width",
        "Feature maps of the first stage; each stage doubles them. Auto: by the number of images.",
        "Model",
    )
    depth: Auto | Annotated[int, Field(ge=1, le=6)] = setting(
        "auto",
        "Depth",
        "Stages of the network; each halves the picture. Auto: by the image size.",
        "Model",
    )
    dropout: float = last_dropout_setting(0.1)
    warmup_ratio: float = warmup_setting()
    minimum_learning_rate_ratio: float = final_rate_setting(0.01)
    weight_decay: float = weight_decay_setting(0.05)
    gradient_clip: float = gradient_clip_setting()
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    compile: Compile = compile_setting()
    deterministic: bool = deterministic_setting()

    def least_memory(self, facts: Facts) -> int | None:
        """The weights, with what trains them; from scratch those of the large convolutions, where sizes are set."""
        if (stored := facts.get("base_bytes")) is not None:
            return stored * COPIES if self.trained_part == "all" else stored
        if self.width == "auto" or self.depth == "auto":
            return None
        widths = [self.width * 2**stage for stage in range(self.depth)]
        befores = [self.width, *widths[:-1]]
        return TRAINED * sum(9 * width * (before + width) for before, width in zip(befores, widths, strict=True))

    @classmethod
    def recommend(cls, facts: Facts) -> dict[str, tuple[Any, str]]:
        found: dict[str, tuple[Any, str]] = {}
        items, side, classes = facts.get("items", 0), facts.get("side", 0), facts.get("classes", {})
        if 0 < items < 320:
            found["batch_size"] = 16, f"{items} images make few steps an epoch with larger batches"
        elif items >= 5000 and facts.get("device") == "cuda":
            found["batch_size"] = 128, "a GPU is used better by larger batches, and there are images enough"
        if side >= 160 and facts.get("device") == "cuda":
            found["image_size"] = 128, f"the images are about {side:.0f} pixels high, and 64 would lose their details"
        if classes and max(classes.values()) >= 10 * max(1, min(classes.values())):
            found["sampling"] = "balanced", "some classes are ten times as common as others"
        return found
