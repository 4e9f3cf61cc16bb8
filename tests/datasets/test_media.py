"""Recordings and videos are decoded to their end before they are taken; hostile ones harm nobody."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from datasets import limits
from datasets.formats import sandbox
from datasets.formats.sandbox import Sandbox
from datasets.intake.imports import create_dataset
from datasets.refused import Refused
from tests.datasets.conftest import picture
from tests.datasets.made import FILMS, SOUNDS, film, heic, lying_wav, sound, wav, workbook
from tests.shared import data


@pytest.fixture
def recordings(owner):
    return create_dataset(owner, name="calls", modality="audio")[0]


@pytest.fixture
def videos(owner):
    return create_dataset(owner, name="clips", modality="video")[0]


def test_wav_files_are_taken_with_what_was_measured(recordings, bring, nothing_left):
    ended = bring(recordings, ("dogs/a.mp3", wav(1, seconds=0.5, rate=8000, channels=2)))
    assert ended.status == "completed", ended.message
    item = recordings.items.get()
    assert (item.media_type, item.label) == ("audio/wav", "dogs")
    assert item.facts == {"seconds": 0.5, "sample_rate": 8000, "channels": 2, "codec": "pcm_s16le"}
    nothing_left()


@pytest.mark.parametrize("kind", SOUNDS)
def test_recordings_of_all_kinds_are_decoded_to_their_end(recordings, bring, kind):
    ended = bring(recordings, ("a.bin", sound(kind, seconds=1.5)))
    assert ended.status == "completed", ended.message
    facts = recordings.items.get().facts
    assert facts["seconds"] == pytest.approx(1.5, abs=0.12) and facts["channels"] == 1
    assert facts["sample_rate"] == 48_000


@pytest.mark.parametrize("kind", FILMS)
def test_videos_of_all_kinds_are_decoded_to_their_end(videos, bring, kind):
    ended = bring(videos, ("walk/a.txt", film(kind)))
    assert ended.status == "completed", ended.message
    item = videos.items.get()
    assert (item.width, item.height, item.label) == (64, 48, "walk")
    assert item.facts["frames"] == 20 and item.facts["fps"] == 10 and not item.facts["has_audio"]
    assert item.facts["seconds"] == pytest.approx(2.0, abs=0.11)


def test_a_video_with_sound_says_so(videos, bring):
    bring(videos, ("a.mp4", film("mp4", with_sound=True)))
    assert videos.items.get().facts["has_audio"] is True


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (picture(), "not_audio", "a PNG picture, not a recording"),
        (b"just words", "not_audio", "text, not a recording"),
        (film("mp4"), "not_audio", "It is a video"),
        (workbook([["a"], [1]]), "not_audio", "an Excel workbook"),
        (wav()[:-9000], "cut_off", "cut off"),
        (lying_wav(2**31 - 100), "cut_off", "cut off"),
        (wav()[:30], "broken_media", "decoded"),
        (sound("flac")[: -len(sound("flac")) // 2], "broken_media", "cut off"),
        (sound("m4a")[:-400], "broken_media", "decoded"),
        (b"RIFF" + bytes(4) + b"WAVE" + os.urandom(5000), "broken_media", "decoded"),
        (b"OggS" + os.urandom(5000), "broken_media", "decoded"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "not_audio", "text"),
        (b"", "empty", "0 bytes"),
    ],
    ids=["png", "text", "video", "excel", "cut wav", "lying wav", "header only", "cut flac", "cut m4a", "junk wav",
         "junk ogg", "playlist", "empty"],
)  # fmt: skip
def test_what_is_no_recording_is_set_aside_with_the_reason(recordings, bring, content, code, words):
    ended = bring(recordings, ("good.wav", wav(7)), ("bad.wav", content))
    refusal = ended.refusals.get()
    assert refusal.code == code and words in refusal.reason
    assert ended.accepted == 1


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (wav(), "not_a_video", "sound but no pictures"),
        (picture(format="GIF"), "not_a_video", "animated ones count as pictures"),
        (film("mp4")[:-300], "broken_media", "decoded"),
        (film("mkv", frames=100)[:-3000], "cut_off", "cut off"),
        (film("avi", frames=100)[:-9000], "cut_off", "cut off"),
        (film("mp4", size=(4112, 2400), frames=1), "too_many_pixels", "4,112 x 2,400"),
    ],
    ids=["sound", "gif", "cut mp4", "cut mkv", "cut avi", "too large"],
)
def test_what_is_no_video_is_set_aside_with_the_reason(videos, bring, content, code, words):
    refusal = bring(videos, ("bad.mp4", content)).refusals.get()
    assert (refusal.code, words in refusal.reason) == (code, True), refusal.reason


def test_heic_pictures_are_taken_and_shown(images, bring, client, owner):
    ended = bring(images, ("cats/a.jpg", heic()), ("cats/cut.heic", heic(shade=30)[:-120]))
    item = images.items.get()
    assert (item.media_type, item.width, item.height) == ("image/heic", 40, 30)
    assert ended.refusals.get().code == "broken_image"
    from common.files import store
    from datasets import formats

    with store().open(item.sha256) as file:
        assert formats.thumbnail(file)[8:12] == b"WEBP"


def test_a_recording_longer_than_may_be_is_refused(recordings, bring, monkeypatch):
    monkeypatch.setenv("TRAINHUB_MAX_MEDIA_SECONDS", "1")
    refusal = bring(recordings, ("long.wav", wav(seconds=1.5))).refusals.get()
    assert refusal.code == "too_long"


def test_a_decoder_that_takes_too_long_is_ended_and_the_next_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    with Sandbox() as box:
        assert box.ask("audio", path, lambda: None, format="wav")["seconds"] == 1
        box.process.kill()
        box.process.wait()
        assert box.ask("audio", path, lambda: None, format="wav")["seconds"] == 1, "it ended between two files"
        first = box.process.pid
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr(limits, "MAX_DECODE_SECONDS", 0.1)
        monkeypatch.setattr(sandbox, "WAIT_SECONDS", 0.02)
        with pytest.raises(Refused) as caught:
            box.ask("audio", path, lambda: None, format="wav")
        assert caught.value.code == "too_slow"
        assert not psutil.pid_exists(first)
        monkeypatch.setattr(limits, "MAX_DECODE_SECONDS", 60)
        assert box.ask("audio", path, lambda: None, format="wav")["seconds"] == 1
    path.unlink()


def test_a_file_that_brings_the_decoder_down_is_refused_and_no_more(recordings, bring, monkeypatch):
    ask = Sandbox.ask

    def killed(box, what, path, beat, **more):
        if deadly := path.read_bytes().endswith(b"deadly"):
            box.process.send_signal(signal.SIGSTOP)  # it must not answer before it is killed
        return ask(box, what, path, lambda: box.process.kill() if deadly else beat(), **more)

    monkeypatch.setattr(Sandbox, "ask", killed)
    ended = bring(recordings, ("a.wav", wav(1)), ("b.wav", wav(2) + b"deadly"), ("c.wav", wav(3)))
    assert (ended.accepted, ended.refusals.get().code) == (2, "unreadable")


def test_the_sandbox_is_gone_when_its_parent_dies(tmp_path):
    before = time.monotonic()
    child = os.fork()
    if child == 0:
        box = Sandbox()
        process = box._start()
        (tmp_path / "pid.new").write_text(str(process.pid))
        (tmp_path / "pid.new").rename(tmp_path / "pid")
        signal.pause()
    while not (tmp_path / "pid").exists():
        assert time.monotonic() - before < 20
        os.sched_yield()
    inside = psutil.Process(int((tmp_path / "pid").read_text()))
    while inside.name() != "trainhub-open":
        assert time.monotonic() - before < 20
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    inside.wait(10)
    (tmp_path / "pid").unlink()


def test_real_clips_with_their_list_of_labels(videos, bring):
    folder = data("intel_clips")
    files = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    ended = bring(videos, *files)
    assert ended.accepted == 58 + 6 + 1
    assert sorted(ended.refusals.values_list("name", "code")) == [
        ("SOURCE.txt", "not_a_video"), ("long_sample/people-detection.gif", "not_a_video"),
    ]  # fmt: skip
    clip = videos.items.get(name="val/car_park/car_park_11.mp4")
    assert (clip.label, clip.metadata["split"], clip.facts["frames"]) == ("car_park", "validation", 25)


def test_real_recordings_labelled_by_their_names(recordings, bring, owner):
    folder = data("fsdd") / "recordings"
    files = [(path.name, path.read_bytes()) for path in sorted(folder.glob("*_[0-4].wav"))]
    ended = bring(recordings, *files, options={"label_from": "{label}_{group}_*.wav"})
    assert ended.accepted == 300
    assert recordings.items.filter(label="7", group="theo").count() == 5
    assert {item.facts["sample_rate"] for item in recordings.items.all()} == {8000}
