"""The pictures of a version as latents, and their captions as embeddings: made once, before the first step."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from engine import images
from engine.data import Dataset, Item, bad_data

ENCODED_AT_ONCE = 4


@dataclass(frozen=True)
class Latents:
    """Pictures as the distributions that the encoder gives (items, channels, side, side), float32, already scaled, and
    the number of each one's caption (items,)."""

    mean: torch.Tensor
    deviation: torch.Tensor
    captions: torch.Tensor

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device) -> Latents:
        return Latents(self.mean.to(device), self.deviation.to(device), self.captions.to(device))


def captions_of(items: Sequence[Item], fallback: str) -> list[str]:
    """Each picture's caption; EngineError BAD_DATA names the first that has none."""
    found = []
    for item in items:
        caption = item.caption.strip() or fallback.strip()
        if not caption:
            raise bad_data(
                f"'{item.name}' has no caption.",
                "Put a text file of the same name beside each picture, or set the caption of pictures without one.",
            )
        found.append(caption)
    return found


def read_picture(dataset: Dataset, item: Item, side: int) -> np.ndarray:
    """A picture, cropped to its middle square, as float32 (3, side, side) from -1 to 1; EngineError BAD_DATA."""
    try:
        picture = images.upright(images.open_image(dataset.read(item))).convert("RGB")
    except (images.BadImage, OSError, ValueError, SyntaxError, EOFError) as error:
        reason = str(error) if isinstance(error, images.BadImage) else f"it is damaged ({error})"
        raise bad_data(f"'{item.name}' can't be used: {reason}.", "Remove it and freeze a new version.") from error
    square = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(square, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1


@torch.no_grad()
def encode(
    vae: Any, dataset: Dataset, items: Sequence[Item], numbers: Sequence[int], side: int, flip: bool,
    breathe: Callable[[], None],
) -> Latents:  # fmt: skip
    """Put pictures through the encoder; `flip` adds each one's mirror image behind all of them."""
    device = next(vae.parameters()).device
    factor = vae.config.scaling_factor
    means, deviations = [], []
    for mirrored in (False, True) if flip else (False,):
        for start in range(0, len(items), ENCODED_AT_ONCE):
            breathe()
            batch = [read_picture(dataset, item, side) for item in items[start : start + ENCODED_AT_ONCE]]
            pixels = torch.from_numpy(np.stack(batch)).to(device)
            found = vae.encode(pixels.flip(-1) if mirrored else pixels).latent_dist
            means.append(found.mean.float() * factor)
            deviations.append(found.std.float() * factor)
    captions = torch.tensor([*numbers] * (2 if flip else 1), dtype=torch.long, device=device)
    return Latents(torch.cat(means), torch.cat(deviations), captions)


@torch.no_grad()
def embed(pipeline: Any, texts: Sequence[str], breathe: Callable[[], None]) -> torch.Tensor:
    """Texts through the text encoder: float32 (texts, tokens, width)."""
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    device = next(encoder.parameters()).device
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    found = []
    for text in texts:
        breathe()
        ids = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        found.append(encoder(ids.to(device))[0].float())
    return torch.cat(found)


def grid(pictures: Sequence[Image.Image]) -> Image.Image:
    """Up to four pictures side by side, two in a row."""
    columns = min(2, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    whole = Image.new("RGB", (columns * width, rows * height), "white")
    for place, picture in enumerate(pictures):
        whole.paste(picture, (place % columns * width, place // columns * height))
    return whole


def jpeg(picture: Image.Image, most: int) -> bytes:
    """A picture as JPEG of at most `most` bytes: scaled down as long as it is larger."""
    while True:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        if file.tell() <= most or min(picture.size) <= 16:
            return file.getvalue()
        picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))


def png(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
