"""Settings of video classification."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.config import (
    Accumulate,
    Auto,
    Keep,
    Precision,
    RecipeConfig,
    Sampling,
    accumulation_setting,
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


class VideoClassificationConfig(RecipeConfig):
    """A convolutional network on a few frames of each video and on how they differ, from scratch: scenes, actions,
    signs, from some ten clips a class on, each file of one class. It is judged by the videos of the validation part,
    and at the end by those of the test part; clips that were cut from one video belong into one part, so freeze the
    version with a split by group. Of each video the first ten minutes are seen, of long ones only the frames that are
    stored whole. It doesn't hear the sound, says nothing of when something happens, and finds one class only."""

    auto_steps: ClassVar[int] = 400

    epochs: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Epochs",
        "How often each video is seen. Auto: about 400 updates, at least 10 epochs. Raise it when the validation "
        "accuracy is still rising at the end.",
    )
    batch_size: int = setting(
        8,
        "Batch size",
        "Videos per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        ge=2,
        le=1024,
    )
    learning_rate: float = setting(
        2e-3, "Learning rate", "Highest size of an update. Lower it when the loss jumps.", gt=0, le=1
    )
    augmentation: Literal["none", "light", "strong"] = setting(
        "strong",
        "Augmentation",
        "Random changes of the training videos, the same for all frames of one: shifts, rotations and sizes; strong: "
        "larger ones, light and contrast too, and a part covered. Light: when the place in the frame tells classes "
        "apart. Except for 'none', other frames are seen each time.",
    )
    horizontal_flip: bool = setting(
        False,
        "Mirror videos",
        "Mirrors half of the training videos left to right. Turn on when left and right mean nothing; never for signs "
        "or for what moves in a direction that matters.",
    )
    sampling: Sampling = sampling_setting()
    label_smoothing: float = label_smoothing_setting(0.05)
    keep: Keep = keep_setting("last")
    patience: int = patience_setting()
    frames: int = setting(
        8,
        "Frames",
        "How many frames of a video are looked at together. Raise it when fast movements decide; each costs its time.",
        "Model",
        ge=2,
        le=64,
    )
    image_size: int = setting(
        64,
        "Frame size",
        "Frames are scaled to a square of this many pixels. Raise it when small things decide.",
        "Model",
        ge=16,
        le=256,
    )
    width: Auto | Annotated[int, Field(ge=4, le=512)] = setting(
        "auto",
        "Width",
        "Feature maps of the first stage; each stage doubles them. Auto: by the number of videos.",
        "Model",
    )
    depth: int = setting(3, "Depth", "Stages of the network; each halves the frames.", "Model", ge=1, le=6)
    dropout: float = last_dropout_setting(0.3)
    warmup_ratio: float = warmup_setting()
    minimum_learning_rate_ratio: float = final_rate_setting(0.01)
    weight_decay: float = weight_decay_setting(0.05)
    gradient_clip: float = gradient_clip_setting()
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()
