"""Settings of sound classification."""

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


class AudioClassificationConfig(RecipeConfig):
    """A convolutional network on log-mel spectra, from scratch: spoken words, sounds of machines, animals or places,
    from some ten recordings a class on, each file of one class. It is judged by the recordings of the validation part,
    and at the end by those of the test part. When new speakers or new machines are to be understood, freeze the version
    with a split by group, so that no speaker is in two parts: accuracies on known speakers are far higher. It says
    nothing of where in a recording a sound is, and finds one class only."""

    auto_steps: ClassVar[int] = 1000

    epochs: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Epochs",
        "How often each recording is heard. Auto: about 1,000 updates, at least 10 epochs. Raise it when the "
        "validation accuracy is still rising at the end.",
    )
    batch_size: int = setting(
        32,
        "Batch size",
        "Recordings per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        ge=2,
        le=4096,
    )
    learning_rate: float = setting(
        2e-3, "Learning rate", "Highest size of an update. Lower it when the loss jumps.", gt=0, le=1
    )
    augmentation: Literal["none", "light", "strong"] = setting(
        "strong",
        "Augmentation",
        "Random changes of the training recordings: where they begin, speed and pitch, the voice's build, loudness by "
        "pitch, noise, and parts of the spectrum left out. Strong: for voices and devices that were never heard. "
        "Light: when the same ones are heard later, or pitch and speed tell the classes apart.",
    )
    sampling: Sampling = sampling_setting()
    label_smoothing: float = label_smoothing_setting(0.1)
    keep: Keep = keep_setting("last")
    patience: int = patience_setting()
    seconds: Auto | Annotated[float, Field(ge=0.05, le=60)] = setting(
        "auto",
        "Length (seconds)",
        "How much of a recording is heard at once. Auto: all of nearly every recording, at most 5 seconds. Longer "
        "recordings are cut at random places in training, and heard at several places when they are judged.",
        "Model",
    )
    sample_rate: Auto | Annotated[int, Field(ge=2000, le=48_000)] = setting(
        "auto",
        "Samples per second",
        "All recordings are brought to this rate. Auto: that of the recordings, at most 16,000. Raise it when what "
        "matters is above 8 kHz, such as bats or birds.",
        "Model",
    )
    mels: Auto | Annotated[int, Field(ge=8, le=256)] = setting(
        "auto",
        "Bands",
        "Bands of pitch in the spectrum. Auto: 40 for rates up to 16,000, otherwise 64. Fewer for voices that were "
        "never heard, more where fine differences of pitch tell classes apart.",
        "Model",
    )
    width: Auto | Annotated[int, Field(ge=4, le=512)] = setting(
        "auto",
        "Width",
        "Feature maps of the first stage; each stage doubles them. Auto: by the number of recordings.",
        "Model",
    )
    depth: int = setting(3, "Depth", "Stages of the network; each halves the spectrum.", "Model", ge=1, le=6)
    dropout: float = last_dropout_setting(0.3)
    warmup_ratio: float = warmup_setting()
    minimum_learning_rate_ratio: float = final_rate_setting(0.01)
    weight_decay: float = weight_decay_setting(0.05)
    gradient_clip: float = gradient_clip_setting()
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()
