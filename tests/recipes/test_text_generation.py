"""Language models learn running text and answers, from scratch and from a base, in whole and by LoRA."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine import bases, report
from engine.data import open_dataset
from engine.merge import merged
from engine.pairs import IGNORE
from engine.protocol import EngineError, Event, Exit
from engine.recipes.text_generation import preparing
from engine.recipes.text_generation.examples import Example, laid_out, pack, tokens_of
from engine.recipes.text_generation.language import from_artifact, from_base, places
from engine.recipes.text_generation.predictor import TextGenerationPredictor
from engine.recipes.text_generation.tokens import Bytes, Characters, Pieces
from tests.engine.cast import carry_out, outcome, text_spec
from tests.recipes.language_models import SENTENCES, make_gpt2, make_llama
from tests.recipes.rows import rows_data
from tests.recipes.specs import text_fine_tuning
from tests.recipes.specs.text_fine_tuning import pairs
from tests.shared import data as real_data

COLD = {"temperature": 0, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("bases") / "llama")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("bases") / "chatty", template=True)


def run(spec):
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return sink.events[-1]["metrics"], [event["message"] for event in sink.of(Event.LOG)]


def refusal(spec):
    code, sink = carry_out(spec)
    assert code is Exit.FAILED and sink.events[-1]["hint"]
    return sink.events[-1]["message"]


def tuned(root, base, config=None, data=None, **changes):
    spec = text_fine_tuning.spec(root) if base is None else None
    if spec is None:
        spec = text_spec(root, data=data or rows_data(root, pairs(40)), config={})
        settings = text_fine_tuning.SMALL | (config or {})
        spec = spec.model_copy(update={"config": settings, "base": base})
    return spec.model_copy(update=changes)


def gsm8k(count):
    try:
        lines = (real_data("gsm8k") / "train_first2000.jsonl").read_text().splitlines()[:count]
    except pytest.skip.Exception:
        return [{"prompt": f"What is {n} plus {n}?", "completion": f"It is {n + n}."} for n in range(count)]
    return [{"prompt": row["question"], "completion": row["answer"]} for row in map(json.loads, lines)]


@pytest.fixture(scope="module")
def solver(tmp_path_factory):
    """A tiny Llama that was tuned on word problems by LoRA: spec and metrics."""
    root = tmp_path_factory.mktemp("solver")
    problems = gsm8k(200)
    base = make_llama(root / "llama", [f"{one['prompt']} {one['completion']}" for one in problems])
    settings = {"steps": 60, "learning_rate": 1e-2, "block_size": 200, "lora_rank": 8, "sample_every": 0}
    spec = tuned(root, base, settings, rows_data(root, problems))
    return spec, run(spec)[0]


def test_lora_learns_answers_and_keeps_only_the_adapter(solver):
    spec, metrics = solver
    assert metrics["validation/loss"] < metrics["baseline/validation_loss"] - 0.5
    artifact = spec.work_dir / "artifact"
    assert sorted(path.name for path in artifact.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "config.json", "metrics.json", "report.json",
    ]  # fmt: skip
    facts = json.loads((artifact / "config.json").read_bytes())
    assert facts["base"] == bases.reference(spec.base) and facts["layout"] == "plain"
    blocks = {block.kind: block for block in report.read((artifact / report.REPORT).read_bytes())}
    assert blocks["figures"].figures[0].baseline == metrics["baseline/validation_loss"]
    assert "True:" in blocks["texts"].entries[0].text
    (answer,) = TextGenerationPredictor.load(artifact).predict(["How many apples?"], COLD)
    assert answer["text"] == "How many apples?" + answer["completion"] and answer["completion"]


def test_the_adapter_is_peft_s_own_format(solver):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    spec, _ = solver
    artifact = spec.work_dir / "artifact"
    other = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(spec.base), artifact).eval()
    ours = from_artifact(artifact, json.loads((artifact / "config.json").read_bytes()))
    ours.model.eval()
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(other(tokens).logits, ours.logits(tokens), atol=1e-5, rtol=1e-5)


def test_a_merged_model_says_the_same_and_needs_no_base(solver, tmp_path):
    spec, _ = solver
    artifact = spec.work_dir / "artifact"
    out = tmp_path / "merged"
    out.mkdir()
    for name, data in merged(artifact).items():
        (out / name).write_bytes(data)
    both = [from_artifact(folder, json.loads((folder / "config.json").read_bytes())) for folder in (artifact, out)]
    tokens = torch.arange(5, 45)[None]
    with torch.no_grad():
        one, other = (language.model.eval() and language.logits(tokens) for language in both)
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert both[1].adapter is None and both[1].base == both[0].base
    assert TextGenerationPredictor.load(out).predict(["How many?"], COLD)
    with pytest.raises(EngineError, match="no adapter"):
        merged(out)


def test_an_adapter_whose_base_was_changed_or_lost_is_refused(solver, tmp_path):
    spec, _ = solver
    artifact = tmp_path / "version"
    shutil.copytree(spec.work_dir / "artifact", artifact)
    facts = json.loads((artifact / "config.json").read_bytes())
    lost = facts | {"base": facts["base"] | {"path": str(tmp_path / "gone"), "name": "gone"}}
    (artifact / "config.json").write_text(json.dumps(lost))
    with pytest.raises(EngineError, match="is not there any more"):
        TextGenerationPredictor.load(artifact)
    shutil.copytree(spec.base, tmp_path / "gone")
    assert TextGenerationPredictor.load(artifact), "versions and their bases may lie side by side"
    weights = tmp_path / "gone" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EngineError, match="has other weights now"):
        TextGenerationPredictor.load(artifact)


def test_all_weights_of_a_base_are_kept_with_its_tokenizer(llama, tmp_path):
    spec = tuned(tmp_path, llama, {"method": "full", "gradient_checkpointing": True, "packing": False})
    metrics, _ = run(spec)
    assert metrics["validation/loss"] < metrics["baseline/validation_loss"]
    artifact = spec.work_dir / "artifact"
    assert {"model.safetensors", "tokenizer.json"} <= {path.name for path in artifact.iterdir()}
    assert TextGenerationPredictor.load(artifact).predict(["Anna has 3 apples."], COLD)
    again = tuned(tmp_path / "again", artifact, {"method": "lora"}, rows_data(tmp_path / "again", pairs(20)))
    assert run(again)[0]["baseline/validation_loss"] < metrics["baseline/validation_loss"]


def test_a_version_from_scratch_goes_on_and_takes_an_adapter(tmp_path):
    first = text_spec(tmp_path)
    whole, _ = run(first)
    artifact = first.work_dir / "artifact"
    more = text_spec(tmp_path / "more", data=first.data, config={"block_size": "auto"})
    more = more.model_copy(update={"base": artifact})
    onward, said = run(more)
    assert onward["validation/loss"] < onward["baseline/validation_loss"] == pytest.approx(whole["validation/loss"])
    assert any("all weights" in line for line in said)
    adapted = text_spec(tmp_path / "adapted", data=first.data, config={"method": "lora"})
    adapted = adapted.model_copy(update={"base": artifact})
    assert run(adapted)[0]["validation/loss"] < whole["validation/loss"]
    assert "model.safetensors" not in {path.name for path in (adapted.work_dir / "artifact").iterdir()}
    assert TextGenerationPredictor.load(adapted.work_dir / "artifact").predict(["The "], COLD)
    other = text_spec(tmp_path / "other", data=first.data, config={"tokenizer": "byte"})
    assert "reads character tokens" in refusal(other.model_copy(update={"base": artifact}))


def test_a_chat_template_decides_how_answers_are_asked_for(chatty, tmp_path):
    data = rows_data(tmp_path, [{"system": "Count.", "prompt": "Anna has 1", "completion": "Answer: 2"}])
    dataset = open_dataset(data, "text")
    tokenizer = from_base(chatty).tokenizer
    learned = laid_out(dataset, dataset.items[0], "template", tokenizer)
    assert learned.text == "<|system|>Count.<|stop|><|user|>Anna has 1<|stop|><|assistant|>Answer: 2<|stop|>"
    example = tokens_of(learned, "template", tokenizer, 100)
    answer = [token for token, target in zip(example.tokens, example.targets, strict=True) if target != IGNORE]
    assert tokenizer.inner.decode(answer) == "Answer: 2<|stop|>" and answer[-1] == tokenizer.end

    spec = tuned(tmp_path / "run", chatty, {"steps": 3}, rows_data(tmp_path / "run", pairs(20)))
    run(spec)
    assert json.loads((spec.work_dir / "artifact" / "config.json").read_bytes())["layout"] == "template"
    assert TextGenerationPredictor.load(spec.work_dir / "artifact").predict(["Anna has 3"], COLD)


def says(language, monkeypatch, *tokens):
    """A language that wants to write these tokens, the last one again and again; what it is asked about."""
    asked = []

    def forward(input_ids, **_):
        asked.append(input_ids[0].tolist())
        logits = torch.zeros(1, 1, language.tokenizer.size)
        logits[..., tokens[min(len(asked), len(tokens)) - 1]] = 1
        return SimpleNamespace(logits=logits, past_key_values=None)

    monkeypatch.setattr(language.model, "forward", forward)
    return asked


@pytest.mark.parametrize(
    ("prompt", "count", "kept", "written"),
    [
        (10, 300, 10, 118),
        (100, 300, 100, 28),
        (112, 300, 112, 16),
        (128, 300, 112, 16),
        (500, 300, 112, 16),
        (120, 5, 120, 5),
        (128, 5, 123, 5),
    ],
)
def test_a_prompt_is_read_as_far_as_it_fits_and_the_answer_is_shortened(
    tmp_path, monkeypatch, prompt, count, kept, written
):
    language = from_base(make_gpt2(tmp_path / "gpt2"))
    asked = says(language, monkeypatch, 50)
    tokens = [number % 100 for number in range(prompt)]
    made = language.continue_tokens(tokens, count, torch.Generator(), 0.0)
    assert asked[0] == tokens[-kept:] and len(made) == written


@pytest.mark.parametrize("method", [None, "full", "lora"])
def test_answers_end_at_the_marks_of_the_base_too(tmp_path, monkeypatch, method):
    folder = make_llama(tmp_path / "base", template=True)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 3, 60, 10**6]}))
    language = from_base(folder)
    if method:
        spec = tuned(tmp_path / "run", folder, {"steps": 1, "method": method})
        run(spec)
        language = TextGenerationPredictor.load(spec.work_dir / "artifact").language
    said = language.tokenizer.inner.convert_ids_to_tokens(sorted(language.ends))
    assert said == ["<|endoftext|>", "<|stop|>", "<|assistant|>"], "60 is a text, and a million is nothing"
    says(language, monkeypatch, 60, 61, 1, 62)
    assert language.continue_tokens([5], 9, torch.Generator(), 0.0) == [60, 61]


@pytest.mark.parametrize("counted", [True, False])
def test_a_base_whose_method_is_chosen_is_kept_as_one_whose_method_is_said(llama, tmp_path, monkeypatch, counted):
    dtypes = []

    def from_base(*given, **more):
        dtypes.append(given[1])
        return load(*given, **more)

    load = preparing.language.from_base
    monkeypatch.setattr(preparing.language, "from_base", from_base)
    monkeypatch.setattr(preparing, "SMALL", 1000)
    if not counted:
        monkeypatch.setattr(preparing.weights, "held", lambda folder: None)
    settings = {"steps": 2, "precision": "bfloat16"}
    chosen = tuned(tmp_path / "auto", llama, settings | {"method": "auto"})
    run(chosen)
    assert dtypes == ([] if counted else [torch.float32]) + [torch.bfloat16]
    told = tuned(tmp_path / "lora", llama, settings | {"method": "lora"})
    run(told)
    assert outcome(chosen)["artifact/adapter_model.safetensors"] == outcome(told)["artifact/adapter_model.safetensors"]


@pytest.mark.parametrize("make", [make_llama, make_gpt2])
def test_packed_examples_do_not_see_each_other(make, tmp_path):
    language = from_base(make(tmp_path / "base"))
    language.model.eval()
    tokens = torch.arange(10, 22)[None]
    segments = torch.tensor([[1] * 5 + [2] * 7])
    with torch.no_grad():
        together = language.logits(tokens, segments)[0, 5:]
        alone = language.logits(tokens[:, 5:])[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert places(segments).tolist() == [[*range(5), *range(7)]]


def test_packing_fills_rows_and_loses_nothing():
    examples = [Example([n] * n, [n] * n) for n in (3, 9, 2, 5, 5, 1)]
    groups = pack(examples, 10)
    assert len(groups) == 3 and all(sum(len(one.tokens) for one in group) <= 10 for group in groups)
    assert sorted(len(one.tokens) for group in groups for one in group) == [1, 2, 3, 5, 5, 9]


def test_answers_that_do_not_fit_are_cut_and_prompts_that_fill_everything_left_out(llama, tmp_path):
    rows = [{"prompt": "Anna has apples. " * (40 if n % 7 == 1 else 1), "completion": "Yes. " * 30} for n in range(30)]
    spec = tuned(tmp_path, llama, {"steps": 2, "block_size": 40}, rows_data(tmp_path, rows))
    _, said = run(spec)
    assert any("their ends are cut" in line for line in said) and any("are left out" in line for line in said)
    rows = [{"prompt": "Anna has apples. " * 40, "completion": "Yes."}] * 10
    full = tuned(tmp_path / "full", llama, {"block_size": 40}, rows_data(tmp_path / "full", rows))
    assert "has an answer within 40 tokens" in refusal(full)


def test_pieces_are_learned_from_the_training_part_and_the_same_each_time():
    pieces = Pieces.learned(SENTENCES, 320)
    assert pieces.definition == Pieces.learned(SENTENCES, 320).definition
    text = "Anna <|end|> naïve 日本"
    ids, offsets = pieces.spans(text)
    assert pieces.decode(ids) == text and pieces.end not in ids and offsets[-1][1] == len(text)
    assert len(ids) < len(text.encode())
    assert Pieces(pieces.definition).encode(text).tolist() == ids


@pytest.mark.parametrize("tokenizer", [Bytes(), Characters.of(["aé日 "])])
def test_each_token_knows_its_characters(tokenizer):
    ids, offsets = tokenizer.spans("é日 a")
    assert tokenizer.decode([*ids, tokenizer.end]) == "é日 a" and len(ids) == len(offsets)
    assert {place for place, _ in offsets} == set(range(4))


def broken(llama: Path, folder: Path, fault: str) -> Path:
    shutil.copytree(llama, folder)
    if fault == "tokenizer":
        (folder / "tokenizer.json").unlink()
    elif fault == "vocabulary":
        facts = json.loads((folder / "tokenizer.json").read_text())
        facts["added_tokens"].append(facts["added_tokens"][0] | {"id": 5000, "content": "<|far|>"})
        facts["model"]["vocab"] |= {f"extra{n}": 400 + n for n in range(50)}
        (folder / "tokenizer.json").write_text(json.dumps(facts))
    elif fault == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize(
    ("fault", "told"),
    [("tokenizer", "has no tokenizer"), ("vocabulary", "its network knows"), ("pickle", "safetensors")],
)
def test_a_base_that_lacks_something_is_refused_in_words(llama, tmp_path, fault, told):
    base = broken(llama, tmp_path / "base", fault)
    assert told in refusal(tuned(tmp_path / "run", base, data=rows_data(tmp_path / "run", pairs(20))))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"block_size": 1000}, "takes at most 256 tokens"),
        ({"method": "qlora"}, "a GPU with CUDA"),
        ({"lora_targets": "q_proj, nose"}, "No linear layer is called 'nose'"),
        ({"layout": "template"}, "no chat template"),
    ],
)
def test_settings_that_do_not_suit_the_base_are_refused_in_words(llama, tmp_path, config, told):
    assert told in refusal(tuned(tmp_path, llama, config))


def test_an_adapter_needs_a_base(tmp_path):
    assert "This run has none" in refusal(text_spec(tmp_path, config={"method": "lora"}))
