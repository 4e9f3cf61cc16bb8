"""Small language models in Hugging Face format with random weights, made where a test needs a base."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from engine import hugging_face

SENTENCES = [f"Question {n}: {word} has {n} apples. Answer: {n + 1}." for n in range(40) for word in ("Anna", "Ben")]
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|stop|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_llama(folder: Path, texts: Iterable[str] = SENTENCES, template: bool = False, **sizes: Any) -> Path:
    """A Llama of two layers with a vocabulary of its own. Its weights are large: an adapter can't change how far its
    output layer tells tokens apart."""
    transformers = hugging_face.library()
    size = make_tokenizer(folder, texts, template)
    given = {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": True, "initializer_range": 0.2,
    }  # fmt: skip
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**given | sizes)).save_pretrained(folder)
    return folder


def make_gpt2(folder: Path, texts: Iterable[str] = SENTENCES, **sizes: Any) -> Path:
    """A GPT-2 of one layer."""
    transformers = hugging_face.library()
    size = make_tokenizer(folder, texts, False)
    given = {"vocab_size": size, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 128}
    torch.manual_seed(1)
    config = transformers.GPT2Config(**given | {"bos_token_id": 0, "eos_token_id": 0} | sizes)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def make_roberta(folder: Path, texts: Iterable[str] = SENTENCES) -> Path:
    """A RoBERTa of one layer, whose head has a layer that is called as those of the body are: dense."""
    transformers = hugging_face.library()
    size = make_tokenizer(folder, texts, False)
    config = transformers.RobertaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=130, pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    transformers.RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def make_tokenizer(folder: Path, texts: Iterable[str], template: bool) -> int:
    """A byte-level BPE vocabulary of these texts; its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    marks = ["<|endoftext|>", "<|stop|>", "<|user|>", "<|assistant|>", "<|system|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|stop|>" if template else "<|endoftext|>"}
    if template:
        facts["chat_template"] = TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    return tokenizer.get_vocab_size()
