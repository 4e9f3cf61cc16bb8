"""Checks of pictures, recordings, videos and tables, on files made here and, where they are there, on real sets."""

import csv
import io
import math
import random
import struct
import wave

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from datasets.creation import create_dataset
from datasets.quality import acts, columns, personal, runs
from tests.datasets.planted import scores
from tests.shared import data


def png(picture):
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def scene(number, size=(96, 96)):
    """A picture with edges, of which each number gives another."""
    chance = random.Random(number)
    picture = Image.new("RGB", size, tuple(chance.randrange(60, 200) for _ in range(3)))
    for _ in range(12):
        left, top = chance.randrange(size[0]), chance.randrange(size[1])
        box = (left, top, min(size[0], left + chance.randrange(8, 50)), min(size[1], top + chance.randrange(8, 50)))
        picture.paste(tuple(chance.randrange(256) for _ in range(3)), box)
    return picture


def tone(pitch, seconds=1.0, rate=8000, level=0.4, extra=b""):
    """A recording of a chord that moves, as WAV; `extra` makes other bytes of the same sound."""
    times = np.arange(int(seconds * rate)) / rate
    sound = sum(np.sin(2 * math.pi * pitch * part * times * (1 + 0.1 * part * times)) / part for part in (1, 2, 3))
    return wav(level * sound, rate, extra)


def wav(sound, rate=8000, extra=b""):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    plain = out.getvalue()
    if not extra:
        return plain
    chunk = b"note" + struct.pack("<I", len(extra)) + extra
    return plain[:4] + struct.pack("<I", len(plain) - 8 + len(chunk)) + plain[8:] + chunk


def film(pictures):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return out.getvalue()


def table(header, rows):
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


@pytest.fixture
def looked_at(owner, bring):
    """Bring files into a new dataset of this kind and check it; returns it."""

    def look(kind, files, **options):
        dataset, _ = create_dataset(owner, name=kind, modality=kind)
        ended = bring(dataset, *files.items(), **options)
        assert ended.accepted, ended.message
        run = runs.run_quality(dataset.quality_runs.get().pk, alone=True)
        assert (run.status, run.message) == ("completed", "")
        dataset.refresh_from_db()
        return dataset

    return look


def found(dataset):
    """{name: codes} of items with findings."""
    told = {}
    for name, code in dataset.findings.order_by("code").values_list("item__name", "code").distinct():
        told.setdefault(name, []).append(code)
    return told


def test_pictures(looked_at):
    files = {f"good-{number}.png": png(scene(number)) for number in range(30)}
    files |= {
        "blurred.png": png(scene(100).filter(ImageFilter.GaussianBlur(4))),
        "blank.png": png(Image.new("RGB", (96, 96), (200, 10, 10))),
        "tiny.png": png(scene(101, (16, 16))),
        "dark.png": png(scene(102).point(lambda value: value // 14)),
        "mirrored.png": png(ImageOps.mirror(scene(3))),
        "smaller.png": png(scene(4).resize((80, 80))),
        "same.png": png(scene(5).convert("RGBA")),
    }
    told = found(looked_at("image", files))
    assert told.pop("blurred.png") == ["blurred"]
    assert told.pop("blank.png") == ["blank"]
    assert "low_resolution" in told.pop("tiny.png")
    assert told.pop("dark.png") == ["too_dark"]
    assert set(told.pop("smaller.png")) - {"leak"} == {"near_duplicate"}
    assert set(told.pop("same.png")) - {"leak"} == {"duplicate"}
    assert not {code for codes in told.values() for code in codes} - {"leak"}


def test_recordings(looked_at):
    files = {f"good-{number}.wav": tone(90 * 1.1**number) for number in range(24)}
    files |= {
        "silent.wav": wav(np.zeros(8000)),
        "clipped.wav": tone(300, level=3.0),
        "fast.wav": tone(777, rate=16000),
        "long.wav": tone(333, seconds=40),
        "same.wav": tone(90 * 1.1**3, extra=b"made by hand"),
        "quieter.wav": tone(90 * 1.1**5, level=0.2),
    }
    told = found(looked_at("audio", files))
    assert told.pop("silent.wav") == ["silent"]
    assert "clipped" in told.pop("clipped.wav")
    assert told.pop("fast.wav") == ["other_rate"]
    assert told.pop("long.wav") == ["unusual_length"]
    assert set(told.pop("same.wav")) - {"leak"} == {"duplicate"}
    assert set(told.pop("quieter.wav")) - {"leak"} == {"near_duplicate"}
    assert not {code for codes in told.values() for code in codes} - {"leak"}


def test_videos(looked_at):
    black = Image.new("RGB", (64, 64))
    files = {
        f"good-{number}.mp4": film([scene(10 * number + step, (64, 64)) for step in range(8)]) for number in range(6)
    } | {
        "black.mp4": film([black] * 5 + [scene(step, (64, 64)) for step in range(90, 95)]),
        "still.mp4": film([scene(99, (64, 64))] * 8),
    }
    told = found(looked_at("video", files))
    assert told == {"black.mp4": ["black_frames"], "still.mp4": ["still"]}


def room(places, person=(20, 30, 40), noise=0):
    """Pictures of one room, in which someone stands at each of the places in turn."""
    chance = np.random.default_rng(noise)
    for left, top in places:
        picture = scene(7, (64, 64))
        picture.paste(person, (left, top, left + 6, top + 16))
        grain = chance.integers(-noise, noise + 1, (64, 64, 3))
        yield Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype("u1"))


def test_videos_of_one_camera_are_alike_only_when_the_same_moves_in_them(looked_at):
    to_the_right = [(4 + 7 * step, 40) for step in range(8)]
    files = {
        "right.mp4": film(room(to_the_right)),
        "darker.mp4": film(picture.point(lambda value: value * 0.85) for picture in room(to_the_right)),
        "left.mp4": film(room(to_the_right[::-1])),
        "down.mp4": film(room([(30, 4 + 6 * step) for step in range(8)])),
        "stands.mp4": film(room([(30, 24)] * 8, noise=2)),
        "another.mp4": film(room([(30, 24)] * 8, person=(250, 240, 60))),
    }
    alike = looked_at("video", files).findings.filter(code="near_duplicate")
    assert [finding.item.name for finding in alike] == ["darker.mp4"]


def test_a_small_thing_that_moves_is_no_still(looked_at):
    far_away = [scene(99, (64, 64)) for _ in range(8)]
    for step, picture in enumerate(far_away):
        picture.paste((250, 20, 20), (20 + step, 30, 22 + step, 33))
    dataset = looked_at("video", {"far.mp4": film(far_away), "still.mp4": film([scene(99, (64, 64))] * 8)})
    assert [finding.item.name for finding in dataset.findings.filter(code="still")] == ["still.mp4"]


PEOPLE = ["anna.berg@post.example.org", "+44 20 7946 0018", "5500 0000 0000 0004", "GB82 WEST 1234 5698 7654 32"]


def test_rows_of_a_table_with_planted_faults(looked_at, owner):
    chance = random.Random(7)
    rows = [
        [f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00:00", round(20 + 5 * math.sin(hour / 9) + chance.random(), 3),
         f"note {chance.randrange(10**6)} by day", "same"]
        for hour in range(700)
    ]  # fmt: skip
    personal_rows = sorted(chance.sample(range(5, 690), 12))
    for row in personal_rows:
        rows[row][2] = f"ask {chance.choice(PEOPLE)} first"
    rows[300][1] = 900
    for row in range(400, 407):
        rows[row][1] = ""
    rows[500:505] = []
    rows.insert(100, list(rows[99]))
    dataset = looked_at("table", {"sensor.csv": table(["time", "value", "note", "unit"], rows)})
    by_code = {}
    for code, row in dataset.findings.values_list("code", "row"):
        by_code.setdefault(code, set()).add(row)
    shifted = {row + (row >= 100) - 5 * (row >= 505) for row in personal_rows if not 500 <= row < 505}
    recall, precision = scores(by_code["personal_data"], shifted)
    assert (recall, precision) == (1, 1)
    assert by_code["duplicate_row"] == {100} == by_code["time_repeated"]
    assert by_code["time_gap"] == {501}
    assert by_code["outlier"] == {301}
    assert by_code["missing_values"] == {None} == by_code["constant_column"]
    assert 80 < dataset.items.get().quality < 100

    done = acts.set_aside(dataset, owner, "personal_data")
    item = dataset.items.get()
    assert (done.rows, item.aside) == (len(shifted), "")
    assert sum(end - start for start, end in item.facts["aside_rows"]) == len(shifted)
    runs.run_quality(runs.start_run(dataset, owner).pk)
    assert not dataset.findings.filter(code="personal_data").exists()
    assert acts.take_rows_back(dataset, owner, "personal_data").rows == len(shifted)
    assert "aside_rows" not in dataset.items.get().facts
    runs.run_quality(dataset.quality_runs.get(status="queued").pk)
    assert dataset.findings.filter(code="personal_data").count() == len(shifted)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to a.b+c@mail.example.co.uk today", {"email": 1}),
        ("@everyone met at 10:00, see example.org/@me", {}),
        ("call +49 30 901820 or 020 7946 0018", {"phone": 2}),
        ("(212) 555-0187 and 212-555-0188", {"phone": 2}),
        ("in 2024-01-02 12:30:00 it cost 1,250,000.75 for 1234567 people", {}),
        ("order 5551234567, part 0.123456789, 12.5 %", {}),
        ("4539 1488 0343 6467", {"card": 1}),
        ("4539 1488 0343 6468", {}),  # its last digit is wrong
        ("1234567812345670", {}),  # a right last digit, but no network
        ("DE89 3704 0044 0532 0130 00", {"iban": 1}),
        ("DE89370400440532013000", {"iban": 1}),
        ("DE88 3704 0044 0532 0130 00", {}),
        ("from 8.8.8.8, not 192.168.1.4, nor 127.0.0.1, nor 999.1.1.1", {"ip": 1}),
        ("2001:4860:4860::8888 is one, 12:30:45 is none", {"ip": 1}),
        ("219-09-9999 but not 000-12-3456, 666-12-3456 or 219-00-9999", {"ssn": 1}),
    ],
)  # fmt: skip
def test_personal_data_is_told_from_what_looks_like_it(text, kinds):
    assert dict(personal.kinds_in(text)) == kinds


def test_a_column_of_long_numbers_is_not_taken_for_card_numbers():
    import pyarrow as pa

    chance = random.Random(3)
    numbers = pa.array([chance.randrange(4 * 10**15, 5 * 10**15) for _ in range(500)])
    assert list(columns.personal(numbers, "id", lambda: None)) == []
    cards = pa.array([4539148803436467, 4111111111111111, 4532015112830366])
    assert len(list(columns.personal(cards, "number", lambda: None))) == 3


@pytest.mark.parametrize(("name", "file"), [("etth1", "ETTh1.csv"), ("ai4i2020", "ai4i2020.csv")])
def test_clean_tables_have_no_findings(looked_at, name, file):
    dataset = looked_at("table", {file: (data(name) / file).read_bytes()})
    assert found(dataset) == {} and dataset.quality == 100


def test_series_with_known_holes_say_where(looked_at):
    folder = data("nab_known_cause")
    dataset = looked_at("table", {path.name: path.read_bytes() for path in sorted(folder.rglob("*.csv"))})
    told = found(dataset)
    assert "time_gap" in told["ambient_temperature_system_failure.csv"]
    assert "time_repeated" in told["ec2_request_latency_system_failure.csv"]
    assert dataset.quality > 95
    assert dataset.findings.filter(code="outlier").count() < 10


def test_spoken_digits_are_learned_and_nearly_all_labels_believed(looked_at):
    paths = sorted(data("fsdd").rglob("*.wav"))[::3]
    dataset = looked_at("audio", {f"{path.name[0]}/{path.name}": path.read_bytes() for path in paths})
    assert dataset.quality_runs.latest("id").summary["labels"]["agreement"] > 0.85
    assert dataset.findings.count() <= 0.02 * len(paths)
