"""Real sets of every kind go the whole way on one running hub, by the API: in, looked at, checked, split, frozen."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from tests import realsets
from tests.datasets.servers import File, serving
from tests.hub.harness import running
from tests.shared import data

pytestmark = pytest.mark.hub

IN, CHECKED = 60, 60  # seconds
PIECE = 700_000  # bytes of an upload in pieces


@pytest.fixture(scope="module")
def hub():
    folder = data("nab_known_cause").parent
    yield from running(TRAINHUB_IMPORT_ROOTS=str(folder), TRAINHUB_ALLOW_INTERNAL_SOURCES="127.0.0.1/32")


# Ways in. Each starts an import and returns it.


def by_form(hub, dataset, name, options):
    """All files in one request, with their paths beside them."""
    files = getattr(realsets, name)()
    mark = uuid.uuid4().hex
    body = b""
    for path, content in files.items():
        body += _part(mark, f'name="files"; filename="{path.rsplit("/")[-1]}"', content)
    for field_name, text in {"paths": json.dumps(list(files)), "options": json.dumps(options)}.items():
        body += _part(mark, f'name="{field_name}"', text.encode())
    kind = f"multipart/form-data; boundary={mark}"
    return send(hub, "POST", f"/datasets/{dataset}/files", body + f"--{mark}--\r\n".encode(), kind)[1]


def by_zip(hub, dataset, name, options):
    return hub.upload(dataset, getattr(realsets, name)())


def in_pieces(hub, dataset, name, options):
    """In the manner of tus: each file in pieces, of which the hub is asked what it has after each."""
    ids = []
    for path, content in getattr(realsets, name)().items():
        made = hub.post(f"/datasets/{dataset}/uploads", {"name": path, "bytes": len(content)})
        address = f"/datasets/{dataset}/uploads/{made['id']}"
        for start in range(0, len(content), PIECE):
            piece = content[start : start + PIECE]
            checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
            headers = {"Upload-Offset": str(start), "Upload-Checksum": f"sha256 {checksum}"}
            status, _ = send(hub, "PATCH", address, piece, "application/offset+octet-stream", headers)
            assert (status, hub.get(address)["received"]) == (204, start + len(piece))
        ids.append(made["id"])
    return hub.post(f"/datasets/{dataset}/uploads/finish", {"ids": ids, "options": options})


def from_folder(hub, dataset, name, options):
    origin = {"kind": "folder", "path": str(data(name))}
    return hub.post(f"/datasets/{dataset}/imports", {"origin": origin, "options": options})


def from_address(hub, dataset, name, options):
    [(path, content)] = getattr(realsets, name)().items()
    with serving(File(content)) as server:
        origin = {"kind": "url", "url": f"{server.url}/{path}"}
        made = hub.post(f"/datasets/{dataset}/imports", {"origin": origin, "options": options})
        hub.until(lambda: ended(hub.get(f"/datasets/{dataset}/imports/{made['id']}")), IN, "the import")
    return made


def _part(mark, head, content):
    return f"--{mark}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


def send(hub, method, path, body=None, kind="", headers=None):
    """(status, answer): parsed where it is JSON, else bytes."""
    request = urllib.request.Request(f"{hub.url}/api/v1{path}", body, headers or {}, method=method)
    request.add_header("Authorization", f"Bearer {hub.token}")
    if kind:
        request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=30) as answer:
        said = answer.read()
        return answer.status, json.loads(said) if answer.headers.get_content_type() == "application/json" else said


def ended(one):
    return one["status"] in {"completed", "failed"}


# What each set is, as it was counted by other means than ours.


@dataclass
class Seen:
    """A set that has gone the way: what the hub says of it."""

    hub: Any
    dataset: dict[str, Any]
    items: list[dict[str, Any]]
    refused: dict[str, int]
    report: dict[str, Any]
    counts: dict[str, int]  # of findings
    preview: bytes

    @property
    def address(self):
        return f"/datasets/{self.dataset['id']}"

    @property
    def labels(self):
        return {one["label"]: one["count"] for one in self.dataset["labels"]}

    @property
    def whole(self):
        return {one["code"] for one in self.report["run"]["summary"]["whole"]}

    def findings(self, code):
        return self.hub.get(f"{self.address}/quality/findings?code={code}&page_size=200")["results"]

    def item(self, name):
        return next(one for one in self.items if one["name"].endswith(name))


@dataclass
class Way:
    modality: str
    bring: Callable[..., dict[str, Any]]
    items: int
    refused: int
    holds: Callable[[Seen], None]
    options: dict[str, Any] = field(default_factory=dict)
    split_by: str = "content"


def shape(seen, name=""):
    """(rows, how many columns there are of each type) of a table."""
    facts = seen.item(name)["facts"]
    return facts["rows"], Counter(column["type"] for column in facts["columns"])


def machine_states(seen):
    assert shape(seen) == (2000, {"whole": 9, "text": 1, "category": 1, "number": 3})
    [constant] = seen.findings("constant_column")
    assert constant["details"] == {"columns": ["HDF"]} and seen.report["score"] == 97, "no failure of cooling so far"
    head = send(seen.hub, "GET", f"{seen.address}/items/{seen.items[0]['id']}/content")[1].decode("utf-8-sig")
    assert head.startswith("UDI,Product ID,Type,Air temperature [K]")


def buildings(seen):
    assert shape(seen) == (768, {"number": 8, "whole": 2})
    assert seen.counts == {} and seen.report["score"] == 100


def transformer(seen):
    assert shape(seen) == (17420, {"date": 1, "number": 7})
    assert seen.counts == {} and seen.report["score"] == 100
    series = seen.hub.get(f"{seen.address}/items/{seen.items[0]['id']}/series?column=OT")
    first = datetime(2016, 7, 1, tzinfo=UTC).timestamp()
    assert series["x"][0] == first and series["x"][-1] == pytest.approx(first + 17_419 * 3600, abs=86_400)
    assert series["y"][0] == pytest.approx(30.531)


def known_causes(seen):
    """Counted with Python's own csv: steps of more than one and a half times the usual, back, or of nothing."""
    rows = {"ambient_temperature_system_failure.csv": 7267, "cpu_utilization_asg_misconfiguration.csv": 18050,
            "ec2_request_latency_system_failure.csv": 4032, "machine_temperature_system_failure.csv": 22695,
            "nyc_taxi.csv": 10320, "rogue_agent_key_hold.csv": 1882, "rogue_agent_key_updown.csv": 5315}  # fmt: skip
    shapes = {name: shape(seen, name) for name in rows}
    assert {name: count for name, (count, _) in shapes.items()} == rows
    assert all(types["date"] == 1 and types.total() == 2 for _, types in shapes.values())
    assert seen.counts == {"time_gap": 10 + 2 + 91 + 10, "time_repeated": 11, "time_disorder": 1, "value_jump": 2}
    [back] = seen.findings("time_disorder")
    assert back["name"].endswith("machine_temperature_system_failure.csv")
    assert 99 < seen.report["score"] < 100, "124 of 69,561 rows"


def text_messages(seen):
    different = {(label, text) for label, text in realsets.messages()}
    assert seen.labels == Counter(label for label, _ in different)
    assert len(different) == seen.dataset["item_count"], "rows that say the same are told at the door"
    spam = {one["item"] for one in seen.findings("personal_data") if one["label"] == "spam"}
    assert len(spam) > 0.9 * seen.counts["personal_data"], "it is spam that asks to be called"
    assert "class_imbalance" not in seen.whole and seen.counts["mislabelled"] <= 10
    assert seen.report["run"]["summary"]["labels"]["agreement"] > 0.95
    assert seen.counts["leak"] > 0 and seen.counts["near_duplicate"] > 0


def sums(seen):
    assert seen.counts == {} and seen.whole == set() and seen.report["score"] == 100
    assert set(seen.items[0]["content"]) >= {"prompt", "completion"}


def instructions(seen):
    assert "no_answer" not in seen.counts, "one answers with two emojis"
    with_addresses = [task for task in realsets.tasks() if "@" in json.dumps(task["instances"])]
    assert 1 <= seen.counts["personal_data"] <= len(with_addresses) + 1
    [french] = seen.findings("other_language")
    assert french["details"]["language"] == "fr"
    assert seen.whole == set()


def one_text(seen):
    assert seen.items[0]["characters"] == 1_115_394 and seen.counts == {} and seen.report["score"] == 100
    assert seen.preview.decode().startswith("First Citizen:\nBefore we proceed any further")


def genres(seen):
    assert seen.refused == {"unknown_columns": 1}
    assert {one["name"]: one["characters"] for one in seen.items} == {
        name: len(content.decode()) for name, content in realsets.gutenberg_genres().items() if name.endswith(".txt")
    }
    held = {one["name"] for one in seen.findings("personal_data")}
    with_office = {name for name, text in realsets.gutenberg_genres().items() if b"(801) 596-1887" in text}
    assert held == with_office and set(seen.counts) == {"personal_data"}


def authors(seen):
    assert seen.labels == dict.fromkeys(("aa", "b", "bb", "c", "cc"), 13)
    assert seen.whole == set() and set(seen.counts) <= {"mislabelled"} and seen.counts.get("mislabelled", 0) <= 3


def signs(seen):
    assert seen.labels == {str(digit): 6 for digit in range(10)}
    assert all((one["width"], one["height"]) == (100, 100) for one in seen.items)
    assert "unreadable" not in seen.counts and "duplicate" not in seen.counts and seen.report["score"] > 95


def subjects(seen):
    assert seen.labels == {"dog": 5, "toy": 4, "backpack": 6}
    assert {one["caption"] for one in seen.items} == {f"a photo of sks {name}" for name in seen.labels}
    assert all((one["width"], one["height"]) == (512, 512) for one in seen.items)
    assert seen.counts == {} and seen.whole == {"small_class"}


def spoken_digits(seen):
    assert seen.labels == {str(digit): 6 for digit in range(10)}
    speakers = Counter(one["group"] for one in seen.items)
    assert speakers == dict.fromkeys(("george", "jackson", "lucas", "nicolas", "theo", "yweweler"), 10)
    assert {one["facts"]["sample_rate"] for one in seen.items} == {8000}
    assert set(seen.counts) <= {"unusual_length"}


def scenes(seen):
    assert seen.labels == {"bottle_line": 7, "car_park": 7, "people_walking": 7, "asl_samples_mkv": 2}
    assert seen.refused == {"missing_files": 1}, "its list names 58 clips, of which 21 are here"
    assert seen.whole == {"small_class"}
    alike = {one["name"] for one in seen.findings("near_duplicate")}
    assert not any("asl" in name for name in alike), "one person, two signs"
    still = {one["name"].rsplit("/", 1)[-1] for one in seen.findings("still")}
    assert {"car_park_00.mp4", "car_park_01.mp4"} <= still <= {
        "car_park_00.mp4", "car_park_01.mp4", "people_walking_00.mp4"
    }  # fmt: skip
    assert "unreadable" not in seen.counts


SETS = {
    "ai4i2020": Way("table", by_form, 1, 0, machine_states),
    "enb2012": Way("table", in_pieces, 1, 0, buildings),
    "etth1": Way("table", in_pieces, 1, 0, transformer),
    "nab_known_cause": Way("table", from_folder, 7, 5, known_causes),
    "sms_spam": Way("text", by_zip, 1925, 75, text_messages, split_by="stratified"),
    "gsm8k": Way("text", by_form, 1319, 0, sums),
    "self_instruct": Way("text", by_zip, 427, 0, instructions),
    "tinyshakespeare": Way("text", from_address, 1, 0, one_text),
    "gutenberg_genres": Way("text", by_zip, 6, 1, genres),
    "ebg_authors": Way("text", by_form, 65, 0, authors, split_by="stratified"),
    "sign_digits": Way("image", by_zip, 60, 0, signs, split_by="stratified"),
    "dreambooth_dev": Way("image", from_folder, 15, 3, subjects),
    "fsdd": Way("audio", by_form, 60, 0, spoken_digits, {"label_from": "{label}_{group}_*.wav"}, "group"),
    "intel_clips": Way("video", by_zip, 23, 1, scenes),
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_goes_the_whole_way(hub, name):
    data(name)
    way = SETS[name]
    made = hub.post("/datasets", {"name": f"{name} as it is", "modality": way.modality})["id"]
    address = f"/datasets/{made}"
    hub.call("PATCH", f"{address}/quality", {"by_itself": False})  # it is asked for below

    started = way.bring(hub, made, name, way.options)
    hub.until(lambda: ended(hub.get(f"{address}/imports/{started['id']}")), IN, "the import")
    brought = hub.get(f"{address}/imports/{started['id']}?page_size=200")
    assert brought["status"] == "completed", brought["message"]
    assert (brought["accepted"], brought["set_aside"]) == (way.items, way.refused), brought["refusals"]["results"][:9]
    dataset = hub.get(address)
    assert (dataset["status"], dataset["item_count"]) == ("active", way.items)

    items = every(hub, f"{address}/items?page_size=200")
    assert len(items) == len({one["id"] for one in items}) == way.items
    preview = look_at(hub, address, items[0], way.modality)

    run = hub.post(f"{address}/quality")
    hub.until(lambda: ended(hub.get(f"{address}/quality")["run"]), CHECKED, "the check")
    report = hub.get(f"{address}/quality")
    assert (report["run"]["id"], report["run"]["status"], report["run"]["message"]) == (run["id"], "completed", "")
    assert 0 < report["score"] <= 100 and sum(report["histogram"]) == way.items
    summary = report["run"]["summary"]
    assert summary["items"] == summary["measured"] == way.items
    refused = Counter(one["code"] for one in brought["refusals"]["results"])
    way.holds(Seen(hub, dataset, items, refused, report, summary["counts"], preview))
    freeze(hub, address, way, items)


def every(hub, path):
    """All items, page by page."""
    found, following = [], path
    while following:
        page = hub.get(following)
        found += page["results"]
        following = page["next"] and page["next"].removeprefix(f"{hub.url}/api/v1")
    return found


def look_at(hub, address, item, modality):
    """The preview of an item as a person is shown it, and its bytes as they came."""
    path = f"{address}/items/{item['id']}"
    hub.until(lambda: send(hub, "GET", f"{path}/preview")[0] == 200, 30, "the preview")
    preview = send(hub, "GET", f"{path}/preview")[1]
    if modality in {"image", "video"}:
        with Image.open(io.BytesIO(preview)) as picture:
            picture.load()
            assert picture.format == "WEBP" and min(picture.size) >= 32
            assert len(picture.convert("L").getcolors()) > 8, "it shows something"
    elif modality == "audio":
        assert preview.startswith(b"<svg") and b"path" in preview
    else:
        assert preview.decode().strip()
    if item["content"] is None:
        content = send(hub, "GET", f"{path}/content")[1]
        assert len(content) == item["bytes"] and hashlib.sha256(content).hexdigest() == item["sha256"]
    return preview


def freeze(hub, address, way, items):
    """What the split foretells is what the version holds, and its manifest names every item once."""
    asked = {"validation_fraction": 0.2, "test_fraction": 0.1, "seed": 3, "split_by": way.split_by}
    foretold = hub.get(f"{address}/split?" + "&".join(f"{key}={value}" for key, value in asked.items()))["counts"]
    assert sum(foretold.values()) == way.items
    if way.items >= 60 and way.split_by != "group":
        assert math.isclose(foretold["validation"], 0.2 * way.items, rel_tol=0.5)
    version = hub.post(f"{address}/versions", asked)
    assert version["counts"] == foretold
    again = hub.post(f"{address}/versions", asked)
    assert again["content_hash"] == version["content_hash"]
    lines = (hub.home / "store" / version["content_hash"][:2] / version["content_hash"]).read_bytes()
    assert hashlib.sha256(lines).hexdigest() == version["content_hash"]
    _, *entries = [json.loads(line) for line in lines.splitlines()]
    assert Counter(entry["split"] for entry in entries) == {part: count for part, count in foretold.items() if count}
    assert {(int(entry["id"]), entry["sha256"]) for entry in entries} == {
        (one["id"], one["sha256"]) for one in items
    }  # fmt: skip
    if way.split_by == "group":
        parts = {(entry["group"], entry["split"]) for entry in entries}
        assert len(parts) == len({group for group, _ in parts}), "no speaker is in two parts"


def test_the_sets_are_of_every_kind_and_come_in_by_every_way():
    assert {way.bring for way in SETS.values()} == {by_form, by_zip, in_pieces, from_folder, from_address}
    assert {way.modality for way in SETS.values()} == {"image", "text", "audio", "video", "table"}


def test_a_damaged_file_of_a_real_set_is_told_and_the_others_are_kept(hub):
    files = dict(list(realsets.sign_digits().items())[:12])
    broken = next(iter(files))
    files[broken] = files[broken][: len(files[broken]) // 2]
    made = hub.dataset("Signs, one of them cut off", "image", files)
    assert made["item_count"] == 11
    [brought] = hub.get(f"/datasets/{made['id']}/imports")["results"]
    refused = hub.get(f"/datasets/{made['id']}/imports/{brought['id']}")["refusals"]["results"]
    assert [one["name"] for one in refused] == [broken]
