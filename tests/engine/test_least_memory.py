"""What a run needs at the very least is never more than it takes, and near it where the weights are large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine import weights
from engine.catalogue import config_class
from engine.config import Facts
from engine.hugging_face import load
from engine.recipes.image_classification.config import ImageClassificationConfig
from engine.recipes.image_classification.model import ResidualNetwork, Shape
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.model import GPT
from engine.recipes.text_generation.tokens import Bytes
from engine.training import make_optimizer
from tests.recipes.language_models import make_gpt2, make_llama


def taken(model: torch.nn.Module) -> int:
    """Bytes of weights, gradients and what the optimizer keeps after a step."""
    optimizer = make_optimizer(model, 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    kept = [value for values in optimizer.state.values() for value in values.values()]
    tensors = [*model.parameters(), *(p.grad for p in model.parameters()), *kept]
    return sum(tensor.nbytes for tensor in tensors if tensor.dim())


@pytest.mark.parametrize("tokenizer", ["byte", "character"])
def test_a_language_model_from_scratch(tokenizer: str) -> None:
    config = TextGenerationConfig(layers=3, width=128, heads=4, tokenizer=tokenizer)
    truth = taken(GPT(Bytes().size if tokenizer == "byte" else 60, 3, 4, 128, 64))
    assert 0.97 * truth < (config.least_memory({}) or 0) <= truth


def test_a_network_for_pictures_from_scratch() -> None:
    config = ImageClassificationConfig(width=24, depth=3)
    truth = taken(ResidualNetwork(Shape(32, 1, 24, 3, 2), 0.0))
    assert 0.9 * truth < (config.least_memory({}) or 0) <= truth
    assert ImageClassificationConfig(width=24).least_memory({}) is None, "its depth is decided by the pictures"


@pytest.mark.parametrize("make", [make_llama, make_gpt2])
def test_the_weights_of_a_folder_are_counted_by_their_headers(tmp_path: Path, make) -> None:
    folder = make(tmp_path / "base")
    found = weights.held(folder)
    model = load("AutoModelForCausalLM", folder)
    assert found is not None
    assert found.numbers == sum(p.numel() for p in model.parameters()) and found.bytes == 4 * found.numbers


def test_a_folder_in_pieces_beside_other_formats_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for name, count in (("one", 10), ("two", 20), ("consolidated", 30)):
        save_file({f"{name}.weight": torch.zeros(count, dtype=torch.bfloat16)}, tmp_path / f"{name}.safetensors")
    index = {"weight_map": {"one.weight": "one.safetensors", "two.weight": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights.held(tmp_path) == weights.Held(30, 60)
    (tmp_path / "config.json").write_text('{"vision_config": {}, "text_config": {}}')
    assert weights.held(tmp_path) is None, "a run may take only one of its networks"


def test_what_is_no_weight_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    tensors = {
        "h.0.attn.c_attn.weight": torch.zeros(6), "h.0.attn.bias": torch.zeros(50), "lm_head.weight": torch.zeros(70),
        "layers.0.packed": torch.zeros(90, dtype=torch.int32), "classifier.weight": torch.zeros(110),
    }  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors")
    assert weights.held(tmp_path) == weights.Held(6, 24)


@pytest.mark.parametrize("content", [b"weights", b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]"])
def test_of_a_damaged_folder_nothing_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(content)
    assert weights.held(tmp_path) is None
    (tmp_path / "config.json").write_text("[")
    assert weights.held(tmp_path) is None


@pytest.mark.parametrize(
    ("recipe", "config", "device", "least"),
    [
        ("text-generation", {"method": "full"}, "cuda", 1600),
        ("text-generation", {"method": "auto"}, "cuda", 400),
        ("text-generation", {"method": "lora"}, "cuda", 200),
        ("text-generation", {"method": "lora"}, "cpu", 400),
        ("text-generation", {"method": "lora", "precision": "float32"}, "cuda", 400),
        ("text-generation", {"method": "qlora"}, "cuda", 50),
        ("text-classification", {"method": "full"}, "cuda", 800),
        ("text-classification", {"method": "auto"}, "cuda", 200),
        ("image-classification", {}, "cuda", 800),
        ("image-classification", {"trained_part": "head"}, "cuda", 200),
        ("image-generation", {}, "cuda", 400),
    ],
)
def test_a_base_of_100_numbers_in_16_bits(recipe: str, config: dict, device, least: int) -> None:
    facts: Facts = {"base_numbers": 100, "base_bytes": 200, "device": device}
    assert config_class(recipe).model_validate(config).least_memory(facts) == least


@pytest.mark.parametrize("recipe", ["text-classification", "image-generation", "audio-classification", "forecast"])
def test_of_others_nothing_is_said(recipe: str) -> None:
    assert config_class(recipe)().least_memory({"device": "cpu"}) is None
