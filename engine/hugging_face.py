"""Models in Hugging Face format: tokenizers and networks from local folders, never code that lies beside them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import eager, state
from engine.protocol import EngineError, FailureCode

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
# What transformers raises for folders that it can't make sense of, and files of weights that are damaged.
FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, state.SafetensorError)

_AGAIN = "Copy the whole folder again, or choose another model."


def unusable(name: str, reason: str, hint: str) -> EngineError:
    """The failure of a run whose base can't be started from."""
    return EngineError(FailureCode.BAD_CONFIG, f"The base model '{name}' can't be used: {reason}.", hint)


def first_line(error: BaseException) -> str:
    """What a library says, as part of a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def facts_of(folder: Path) -> dict[str, Any]:
    """The folder's config.json: of a network, or (with 'format') of an artifact."""
    hint = "Choose a folder in Hugging Face format, with config.json, safetensors weights and a tokenizer."
    if not (folder / "config.json").is_file():
        reason = "it has no config.json" if folder.is_dir() else "its folder is not there"
        raise unusable(folder.name, reason, hint)
    try:
        said = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise unusable(folder.name, f"its config.json can't be read ({first_line(error)})", hint) from error
    if not isinstance(said, dict):
        raise unusable(folder.name, "its config.json is no JSON object", hint)
    return said


def library() -> Any:
    """transformers, which takes seconds to load and looks into torch's compiler when it does. Its progress bars and
    advice would fill stderr, which is the log of the run."""
    eager.use_compiler()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def load(kind: str, folder: Path, **options: Any) -> Any:
    """The network in a folder, by one of transformers' Auto classes; EngineError BAD_CONFIG when there is none, or its
    weights are those of another one. A head for `num_labels` classes that is not there, or is for others, is made
    anew."""
    facts_of(folder)
    maker = getattr(library(), kind)
    quantised = "quantization_config" in options  # packed weights have other sizes by their nature
    try:
        network, found = maker.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=not quantised,  # told below, in words
            output_loading_info=True,
            **options,
        )
    except state.SafetensorError as error:
        raise unusable(folder.name, f"its weights are damaged ({first_line(error)})", _AGAIN) from error
    except FAULTS as error:
        hint = "Choose a model of this kind that the installed transformers knows, with safetensors weights."
        raise unusable(folder.name, first_line(error), hint) from error
    if not quantised:
        _check_weights(folder, network, found, head="num_labels" in options)
    return network


def _check_weights(folder: Path, network: nn.Module, found: dict[str, Any], head: bool) -> None:
    """That no weight was made up but those of a new head, and of what lies between it and the body."""

    def strange(keys: Any) -> list[str]:
        names = (key if isinstance(key, str) else key[0] for key in keys)
        body = f"{network.base_model_prefix}."
        return sorted(name for name in names if not head or (name.startswith(body) and ".pooler." not in name))

    if other := strange(found["mismatched_keys"]):
        reason = f"its config.json describes another network than its weights: '{other[0]}' has another size"
        raise unusable(folder.name, reason, _AGAIN)
    if missing := strange(found["missing_keys"]):
        raise unusable(folder.name, f"it lacks weights such as '{missing[0]}'", _AGAIN)


def made(kind: str, described: dict[str, Any]) -> Any:
    """The network of a configuration, its weights still to be filled in."""
    transformers = library()
    config = transformers.AutoConfig.for_model(**described)
    return getattr(transformers, kind).from_config(config, trust_remote_code=False)


def described(model: nn.Module) -> dict[str, Any]:
    """A network's configuration as an artifact keeps it, for `made`."""
    return json.loads(json.dumps(model.config.to_dict(), default=str))  # type: ignore[union-attr, operator]


def tokenizer(folder: Path) -> tuple[Any, dict[str, bytes]]:
    """The fast tokenizer of a model folder or an artifact, and its files; EngineError BAD_CONFIG when there is none."""
    hint = "Put the model's tokenizer.json and tokenizer_config.json into its folder."
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise unusable(folder.name, "it has no tokenizer", hint)
    transformers = library()
    # The config.json of an artifact is not that of the network, so nothing can be found out from it.
    artifact = "format" in facts_of(folder)
    kind = transformers.PreTrainedTokenizerFast if artifact else transformers.AutoTokenizer
    try:
        found = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except FAULTS as error:
        raise unusable(folder.name, f"its tokenizer can't be read ({first_line(error)})", hint) from error
    if not found.is_fast:
        raise unusable(folder.name, "its tokenizer has no fast form", "Convert it to a tokenizer.json.")
    with tempfile.TemporaryDirectory() as scratch:
        found.save_pretrained(scratch)
        paths = [Path(scratch) / name for name in TOKENIZER_FILES]
        return found, {path.name: path.read_bytes() for path in paths if path.exists()}


def ends_of(folder: Path) -> set[int]:
    """The tokens that end what a model writes, by its generation_config.json; none where it says nothing of them."""
    try:
        said = json.loads((folder / "generation_config.json").read_bytes())["eos_token_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {token for token in (said if isinstance(said, list) else [said]) if isinstance(token, int)}


def check_vocabulary(folder: Path, tokens: int, model: nn.Module) -> None:
    """EngineError BAD_CONFIG when a tokenizer has tokens that the network does not know."""
    rows = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if tokens > rows:
        reason = f"its tokenizer has {tokens:,} tokens, and its network knows {rows:,}"
        raise unusable(folder.name, reason, "Put the tokenizer into the folder that belongs to these weights.")


def limit(model: nn.Module, beyond: int = 1_000_000) -> int:
    """The longest text of a network in tokens; `beyond` where it has no limit."""
    config: Any = model.config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(found := getattr(config, name, None), int) and found > 0:
            # The positions of RoBERTa and its kin begin behind the padding token's number.
            return found - (config.pad_token_id + 1 if "roberta" in str(config.model_type) else 0)
    return beyond


def whole(model: nn.Module) -> dict[str, torch.Tensor]:
    """All weights of a model, each once even where two layers share it."""
    found: dict[int, str] = {}
    kept = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if found.setdefault(id(tensor), name) == name:
            kept[name] = tensor.detach().cpu().contiguous()
    return kept


def fill(model: nn.Module, folder: Path) -> None:
    """Put an artifact's weights, as `whole` gave them, into a model; EngineError BAD_CONFIG when they don't fit."""
    try:
        weights = state.load((folder / state.MODEL).read_bytes())
        missing, unknown = model.load_state_dict(weights, strict=False)
    except (OSError, RuntimeError, ValueError, state.SafetensorError) as error:
        raise _damaged(f"{state.MODEL} can't be loaded: {error}") from error
    shared = model.state_dict().keys() - whole(model).keys()
    if unknown or set(missing) - shared:
        raise _damaged(f"{state.MODEL} can't be loaded: it holds the weights of another network")


class Trained:
    """As much of a model as changes during training: what a checkpoint keeps. `engine.state` takes it for the model."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return dict(self._parameters)

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(state_dict[name])


def _damaged(reason: str) -> EngineError:
    return EngineError(FailureCode.BAD_CONFIG, f"The model's files can't be used: {reason}.", "Train the model again.")
