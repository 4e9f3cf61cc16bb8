"""Settings of image classification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config import (
    Precision,
    RecipeConfig,
    accumulation_setting,
    deterministic_setting,
    precision_setting,
    setting,
)

Auto = Literal["auto"]


class ImageClassificationConfig(RecipeConfig):
    """A residual network from scratch. 'auto' chooses by the size and number of the images."""

    epochs: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Epochs",
        "How often each image is seen. Auto: about 1,200 updates, at least 10 epochs. Raise it when the "
        "validation accuracy is still rising at the end.",
    )
    batch_size: int = setting(
        32,
        "Batch size",
        "Images per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        ge=2,
        le=4096,
    )
    learning_rate: float = setting(
        2e-3,
        "Learning rate",
        "Highest size of an update. Lower it when the loss jumps.",
        gt=0,
        le=1,
    )
    augmentation: Literal["none", "light", "strong"] = setting(
        "light",
        "Augmentation",
        "Random changes of the training images. Light: small shifts, rotations and sizes, safe for digits "
        "and letters. Strong: larger ones, light and contrast too, and a part covered; for few photos.",
    )
    horizontal_flip: bool = setting(
        False,
        "Mirror images",
        "Mirrors half of the training images left to right. Turn on when left and right mean nothing "
        "(animals, objects); never for digits, letters or hands.",
    )
    label_smoothing: float = setting(
        0.05,
        "Label smoothing",
        "Keeps the model from being too sure of itself. Lower it when probabilities look too timid.",
        ge=0,
        lt=0.5,
    )
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
    dropout: float = setting(
        0.1, "Dropout", "Share of features left out at random before the last layer.", "Model", ge=0, lt=1
    )
    warmup_ratio: float = setting(
        0.05,
        "Warm-up (share of steps)",
        "Share of the run over which the learning rate rises from zero.",
        "Advanced",
        ge=0,
        le=0.5,
    )
    minimum_learning_rate_ratio: float = setting(
        0.01,
        "Final learning rate (ratio)",
        "The learning rate falls along a cosine to this share of its highest value.",
        "Advanced",
        ge=0,
        le=1,
    )
    weight_decay: float = setting(
        0.05, "Weight decay", "Pulls weights towards zero; limits overfitting.", "Advanced", ge=0, le=10
    )
    gradient_clip: float = setting(
        1.0,
        "Gradient clip",
        "Gradients longer than this are shortened to it; 0 turns it off.",
        "Advanced",
        ge=0,
        le=1000,
    )
    accumulate: int = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()
