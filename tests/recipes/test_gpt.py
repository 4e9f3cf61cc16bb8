"""The network from scratch: what it remembers while it writes, and how it pays attention."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.recipes.text_generation.language import Language, _choose
from engine.recipes.text_generation.model import GPT
from tests.engine.conftest import one_thread

LIMIT = 24
__all__ = ["one_thread"]


class Counting(GPT):
    """Notes how many tokens each call brought."""

    brought: list[int]

    def forward(self, tokens, segments=None, past=None):
        self.brought.append(tokens.shape[1])
        return super().forward(tokens, segments, past)


@pytest.fixture
def language() -> Language:
    torch.manual_seed(3)
    model = Counting(50, layers=3, heads=2, width=32, block_size=LIMIT)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # fresh blocks change nothing, which would prove nothing
    model.brought = []
    return Language(model.eval(), SimpleNamespace(end=None, size=50), LIMIT, {"family": "gpt"})


def plainly(language: Language, tokens: list[int], count: int, seed: int, temperature: float) -> list[int]:
    """What is written by looking at the whole window for each token."""
    generator = torch.Generator().manual_seed(seed)
    made: list[int] = []
    with torch.no_grad():
        for _ in range(count):
            known = torch.tensor([[*tokens, *made][-LIMIT:]])
            made.append(_choose(language.model(known)[0, -1], generator, temperature, None))
    return made


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("prompt", [1, 10, LIMIT - 1, LIMIT, LIMIT + 7])
def test_what_it_remembers_changes_nothing_that_it_writes(language, prompt, temperature) -> None:
    tokens = [number * 7 % 50 for number in range(prompt)]
    expected = plainly(language, tokens, 40, 5, temperature)
    made = language.continue_tokens(tokens, 40, torch.Generator().manual_seed(5), temperature)
    assert made == expected and len(set(made)) > 2


def test_a_token_is_calculated_once_until_the_window_moves(language) -> None:
    language.continue_tokens([1, 2, 3, 4, 5], 30, torch.Generator(), 0.0)
    room = LIMIT - 5
    assert language.model.brought == [5] + [1] * room + [LIMIT] * (30 - room - 1)


def test_the_answers_are_the_same_to_the_last_digits(language) -> None:
    tokens = torch.arange(LIMIT)[None] * 3 % 50
    past = language.model.nothing_yet()
    with torch.no_grad():
        whole = language.model(tokens)
        first = language.model(tokens[:, :9], past=past)
        rest = [language.model(tokens[:, place : place + 1], past=past) for place in range(9, LIMIT)]
    torch.testing.assert_close(torch.cat([first, *rest], dim=1), whole, rtol=1e-4, atol=1e-4)


class Attentions(TorchDispatchMode):
    """Notes which kernels attention takes."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, bool]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "scaled_dot_product" in func.__name__ and "backward" not in func.__name__:
            self.taken.append((func.__name__, args[4] if len(args) > 4 else False))
        return func(*args, **(kwargs or {}))


def test_running_text_takes_the_causal_kernel_without_a_mask() -> None:
    """A mask of its own would take memory with the square of the length, and keep a GPU from flash attention."""
    model = GPT(50, layers=2, heads=2, width=32, block_size=LIMIT)
    with Attentions() as seen:
        model(torch.arange(LIMIT)[None] % 50).sum().backward()
    assert seen.taken == [("_scaled_dot_product_flash_attention_for_cpu.default", True)] * 2
