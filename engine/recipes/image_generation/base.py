"""The pipeline that a run starts from: a folder in the format of diffusers, or an earlier result on top of one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine import bases, hugging_face
from engine.artifact import CONFIG
from engine.protocol import EngineError, FailureCode

ADAPTER = "pytorch_lora_weights.safetensors"  # the name under which others look for it
INDEX = "model_index.json"
WEIGHTS = ("unet", "vae", "text_encoder")
TARGETS = ("to_k", "to_q", "to_v", "to_out.0")  # attention, as in the DreamBooth scripts of diffusers


@dataclass(frozen=True)
class Base:
    """Where a pipeline lies, how results name it, and the adapter of an earlier result, if there is one."""

    folder: Path
    reference: dict[str, Any]
    adapter: Path | None = None


def find_base(folder: Path | None) -> Base:
    """The base that a run was given; EngineError BAD_CONFIG says what is wrong with it."""
    if folder is None:
        raise _unusable("no base model was chosen", "Choose a base model, or start from a version of this recipe.")
    earlier = _earlier_result(folder)
    if earlier is not None:
        place = bases.find(earlier, folder)
        _check(place)
        return Base(place, earlier, folder / ADAPTER)
    _check(folder)
    return Base(folder, bases.reference(folder))


def open_pipeline(base: Base) -> Any:
    """The pipeline with its own weights, on the CPU, nothing of it trainable; no code of the folder's is run."""
    _quiet()
    from diffusers import StableDiffusionPipeline

    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            base.folder, local_files_only=True, use_safetensors=True, safety_checker=None, feature_extractor=None,
            image_encoder=None, requires_safety_checker=False, dtype=torch.float32,
        )  # fmt: skip
    except hugging_face.FAULTS as error:
        raise _unusable(f"'{base.folder.name}' can't be loaded: {error}", "Download it again.") from error
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
        part.eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_adapter(unet: Any, path: Path) -> None:
    """Put the weights of an earlier result into the adapter that the network has already."""
    from diffusers.utils import convert_unet_state_dict_to_peft
    from peft.utils import set_peft_model_state_dict
    from safetensors.torch import load_file

    layers = {name.removeprefix("unet."): tensor for name, tensor in load_file(path).items()}
    set_peft_model_state_dict(unet, convert_unet_state_dict_to_peft(layers))


def fast_scheduler(pipeline: Any) -> Any:
    """A scheduler that makes good pictures in about 20 steps, for the noise that the pipeline was trained with."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)


def _earlier_result(folder: Path) -> dict[str, Any] | None:
    """What an artifact of this recipe says of its base; None when the folder is no artifact."""
    if (folder / INDEX).exists():
        return None
    try:
        facts = json.loads((folder / CONFIG).read_bytes())
        if facts["recipe"] == "image-generation":
            return dict(facts["base"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise _unusable(
        f"'{folder.name}' is no pipeline: it has no {INDEX}",
        "Choose a folder that diffusers' save_pretrained has made, with unet, vae, text_encoder and tokenizer.",
    )


def _check(folder: Path) -> None:
    """EngineError BAD_CONFIG for a pipeline that this recipe can't train."""
    try:
        kind = json.loads((folder / INDEX).read_bytes())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(f"{INDEX} of '{folder.name}' can't be read: {error}", "Download it again.") from error
    if kind != "StableDiffusionPipeline":
        raise _unusable(f"'{folder.name}' is a {kind}", "This recipe trains pipelines like Stable Diffusion 1 and 2.")
    if not any((folder / "tokenizer").glob("*.json")):
        raise _unusable(f"'{folder.name}' has no tokenizer", "Copy the whole folder again, with tokenizer.")
    for part in WEIGHTS:
        if not any((folder / part).glob("*.safetensors")):
            raise _unusable(
                f"'{folder.name}' has no safetensors weights in {part}", "Download the files that end in .safetensors."
            )


def _quiet() -> None:
    """Never ask a server for anything, and keep bars of progress out of the log."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TQDM_DISABLE"] = "1"
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    diffusers_log.set_verbosity_error()
    transformers_log.set_verbosity_error()
    transformers_log.disable_progress_bar()


def _unusable(reason: str, hint: str) -> EngineError:
    return EngineError(FailureCode.BAD_CONFIG, f"The base model can't be used: {reason}.", hint)
