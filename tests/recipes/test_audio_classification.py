"""Sounds are told apart, at the rate and length that the recordings call for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import sounds
from engine.catalogue import load, recipe
from engine.media import BadMedia
from engine.protocol import EngineError, Event, Exit
from engine.randomness import Dice
from engine.recipes.audio_classification.augmentation import STRENGTHS, changed, warps
from engine.recipes.audio_classification.recordings import choose_samples, in_a_row
from engine.recipes.audio_classification.spectra import Sizes, Spectra, bank, mel
from tests.engine.cast import Process, carry_out, make_data, spec
from tests.recipes.clips import RATE, recordings, tone, wav

NAME = "audio-classification"
SIZES = Sizes(rate=RATE, samples=RATE // 2, mels=40)


def test_tones_that_rise_are_told_from_tones_that_fall(tmp_path: Path) -> None:
    files = recordings(32)
    config = {"epochs": 12, "batch_size": 8, "width": 8}
    job = spec(tmp_path, NAME, config, data=make_data(tmp_path, "audio", files))
    process = Process(job)
    assert process.finish() == Exit.COMPLETED
    metrics = process.events[-1]["metrics"]
    assert metrics["validation/accuracy"] >= 0.9
    assert {"validation/macro_f1", "validation/calibration_error"} <= set(metrics)

    model = load(recipe(NAME).predictor).load(job.work_dir / "artifact", "cpu")
    held_out = [(label, content) for _, label, split, content in files if split == "validation"]
    answers = model.predict([content for _, content in held_out])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, held_out, strict=True))
    assert right / len(held_out) == pytest.approx(metrics["validation/accuracy"])
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    # Another rate, two channels, and a long one, all in one call.
    loud = np.repeat(tone(True, 99, seconds=3), 2)
    others = model.predict([wav(np.stack([loud, loud], 1), 2 * RATE, channels=2), held_out[0][1]])
    assert others[1] == answers[0]
    for bad in ([b"no sound"], ["text"]):
        with pytest.raises(EngineError, match="Input 1 can't be classified"):
            model.predict(bad)


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    files = [*recordings(4), ("rising/broken.wav", "rising", "train", b"RIFF\0\0\0\0WAVE")]
    code, sink = carry_out(spec(tmp_path, NAME, {}, data=make_data(tmp_path, "audio", files)))
    assert code is Exit.FAILED and sink.events[-1]["code"] == "BAD_DATA"
    assert "'rising/broken.wav' can't be used" in sink.events[-1]["message"]
    assert not sink.of(Event.STEP)


def test_a_wave_is_mixed_brought_to_a_rate_and_cut() -> None:
    left = np.sin(np.arange(RATE) / RATE * 2 * np.pi * 440)
    stereo = wav(np.stack([left, np.zeros_like(left)], 1), channels=2)
    assert sounds.look(stereo) == sounds.Facts(RATE, 2)
    mono = sounds.decode(stereo, RATE, 60)
    assert mono.dtype == np.int16 and len(mono) == RATE
    twice = sounds.decode(stereo, 2 * RATE, 60)
    assert len(twice) == pytest.approx(2 * RATE, abs=100)
    assert np.abs(np.fft.rfft(twice)).argmax() * 2 * RATE / len(twice) == pytest.approx(440, abs=3)
    assert len(sounds.decode(stereo, RATE, 0.25)) == RATE // 4
    for bad in (b"", b"#EXTM3U\nfile:///etc/passwd", stereo[:20]):
        with pytest.raises(BadMedia):
            sounds.decode(bad, RATE, 60)


def test_the_bank_covers_all_bands_and_a_warp_moves_them() -> None:
    plain = bank(SIZES)
    assert plain.shape == (40, 129) and (plain.sum(1) > 0).all() and plain.min() >= 0
    assert mel(1000) == pytest.approx(1000, abs=1)  # what the scale is made for
    middles = plain.argmax(1)[20:]
    higher, lower = bank(SIZES, 1.2).argmax(1)[20:], bank(SIZES, 0.8).argmax(1)[20:]
    assert (higher >= middles).all() and (lower <= middles).all() and (higher > lower).all()


def test_a_louder_recording_has_the_same_spectrum() -> None:
    waves = torch.from_numpy(tone(True, 1)).float()[None, :2000]
    spectra = Spectra(Sizes(RATE, 2000, 40))
    found = spectra(waves)
    assert found.shape == (1, 1, 40, 26)
    assert torch.allclose(found, spectra(waves * 0.1), atol=1e-3)
    assert found.mean() == pytest.approx(0, abs=1e-5) and found.std() == pytest.approx(1, abs=0.01)
    assert torch.isfinite(spectra(torch.zeros(2, 2000))).all()


def test_changes_are_a_function_of_the_seed_and_of_the_place_in_the_batch() -> None:
    batch = in_a_row([(tone(True, number) * 32000).astype(np.int16) for number in range(6)])
    strength = STRENGTHS["strong"]
    spectra = Spectra(SIZES, warps(strength))
    whole = changed(batch, spectra, strength, Dice(1).at(5), slice(0, 6), 6)
    assert torch.equal(whole, changed(batch, spectra, strength, Dice(1).at(5), slice(0, 6), 6))
    assert not torch.equal(whole, changed(batch, spectra, strength, Dice(1).at(6), slice(0, 6), 6))
    part = changed(batch[slice(2, 4)], spectra, strength, Dice(1).at(5), slice(2, 4), 6)
    assert torch.allclose(part, whole[2:4], atol=1e-4)


def test_a_stretch_is_heard_with_silence_around_it() -> None:
    batch = in_a_row([np.full(10, 16384, np.int16), np.full(4, -16384, np.int16)])
    heard = batch.heard(torch.tensor([2, -3]), 6)
    assert heard.tolist() == [[0.5] * 6, [0, 0, 0, -0.5, -0.5, -0.5]]
    faster = in_a_row([np.arange(0, 1000, 100, dtype=np.int16)]).heard(torch.tensor([0.5]), 4, torch.tensor([1.5]))
    assert (faster * 32768).flatten().tolist() == [50, 200, 350, 500]


def test_the_length_covers_nearly_all_recordings() -> None:
    lengths = torch.tensor([4000] * 99 + [400_000])
    assert choose_samples(lengths, 8000, "auto") == 4000
    assert choose_samples(torch.full((5,), 10**6), 8000, "auto") == 40_000
    assert choose_samples(lengths, 8000, 0.25) == 2000
    assert math.isclose(SIZES.hop / RATE, 0.01)
