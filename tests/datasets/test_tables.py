"""Tables: types found in all cells, a columnar copy, a profile, time series; bad rows told by their line."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import resource
import signal
import time
from datetime import timedelta

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import connection
from django.utils import timezone

from common.files import store
from datasets.creation import delete_dataset
from datasets.formats.conversion import convert
from datasets.intake import worker as worker_module
from datasets.intake.imports import create_dataset, receive, run_import
from datasets.models import Import
from tests.datasets.conftest import File, picture
from tests.datasets.made import workbook
from tests.shared import data


@pytest.fixture
def tables(owner):
    return create_dataset(owner, name="machines", modality="table")[0]


def read(item) -> pa.Table:
    with store().open(item.facts["parquet"]) as file:
        return pq.read_table(file)


def types(item) -> dict[str, str]:
    return {column["name"]: column["type"] for column in item.facts["columns"]}


def profile(item, name: str) -> dict:
    return next(column for column in item.facts["profile"]["columns"] if column["name"] == name)


def test_a_table_comes_in_with_types_a_copy_and_a_profile(tables, bring, owner, nothing_left):
    lines = ["id,when,temp,ok,kind,note,zip"]
    for number in range(1000):
        moment = dt.datetime(2024, 1, 1) + timedelta(minutes=10 * number)
        temp = "NA" if number % 100 == 7 else f"{20 + number % 10 / 4}"
        lines.append(
            f'{number},{moment},{temp},{"yes" if number % 2 else "no"},{"AB"[number % 2]},"n, {number}",0{number:04}'
        )
    content = "\n".join(lines).encode()
    ended = bring(tables, ("m.csv", content))
    assert (ended.status, ended.accepted, ended.set_aside) == ("completed", 1, 0), ended.message
    item = tables.items.get()
    assert (item.media_type, item.bytes, item.facts["rows"]) == ("text/csv", len(content), 1000)
    assert types(item) == {
        "id": "whole", "when": "date", "temp": "number", "ok": "yes_no", "kind": "category", "note": "text",
        "zip": "text",
    }  # fmt: skip
    table = read(item)
    assert table.num_rows == 1000 and table["temp"].null_count == 10 and table["zip"][3].as_py() == "00003"
    assert table["ok"].to_pylist()[:2] == [False, True] and table["note"][5].as_py() == "n, 5"
    temp = profile(item, "temp")
    real = np.array([20 + number % 10 / 4 for number in range(1000) if number % 100 != 7])
    assert (temp["missing"], temp["distinct"], temp["min"], temp["max"]) == (10, 10, 20.0, 22.25)
    assert temp["mean"] == pytest.approx(real.mean()) and temp["std"] == pytest.approx(real.std(ddof=1))
    assert temp["quantiles"]["0.5"] == pytest.approx(np.median(real)) and sum(temp["histogram"]["counts"]) == 990
    assert profile(item, "kind")["top"] == [["A", 500], ["B", 500]]
    series = item.facts["profile"]["series"]
    assert (series["time"], series["step_seconds"], series["gaps"]) == ("when", 600.0, 0)
    assert item.facts["head"][0] == [0, "2024-01-01 00:00:00", 20.0, False, "A", "n, 0", "00000"]
    assert len(item.facts["head"]) == 50
    nothing_left()
    assert delete_dataset(tables, owner) > len(content)
    nothing_left()


COLUMNS = [
    (["1", "2", "-3", ""], "whole", [1, 2, -3, None]),
    (["1", "2.5", "1e3", "?"], "number", [1.0, 2.5, 1000.0, None]),
    (["007", "1", "2"], "text", ["007", "1", "2"]),
    (["1,234.5", "7", "12,000"], "number", [1234.5, 7.0, 12000.0]),
    (["1,5", "2", "1.234,25"], "number", [1.5, 2.0, 1234.25]),
    (["true", "False", "NA"], "yes_no", [True, False, None]),
    (["2024-02-28", "2024-02-29"], "date", [dt.datetime(2024, 2, 28), dt.datetime(2024, 2, 29)]),
    (["2024-02-30", "2024-02-29"], "text", ["2024-02-30", "2024-02-29"]),
    (["2024-01-01T10:00:00+02:00"], "date", [dt.datetime(2024, 1, 1, 8)]),
    (["31.12.2023 23:59", "1.1.2024 0:00"], "date", [dt.datetime(2023, 12, 31, 23, 59), dt.datetime(2024, 1, 1)]),
    (["12/31/2023", "1/2/2024"], "date", [dt.datetime(2023, 12, 31), dt.datetime(2024, 1, 2)]),
    (["13/1/2024", "1/2/2024"], "date", [dt.datetime(2024, 1, 13), dt.datetime(2024, 2, 1)]),
    (["99999999999999999999", "1"], "number", [1e20, 1.0]),
    (["=1+1", "@SUM(A1)"], "text", ["=1+1", "@SUM(A1)"]),
]


def test_types_are_found_in_all_cells(tables, bring):
    rows = [
        {f"c{number}": cells[row] for number, (cells, _, _) in enumerate(COLUMNS) if row < len(cells)}
        for row in range(4)
    ]
    bring(tables, ("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()))
    item = tables.items.get()
    table = read(item)
    for number, (cells, kind, values) in enumerate(COLUMNS):
        assert types(item)[f"c{number}"] == kind, cells
        assert table[f"c{number}"].to_pylist() == [*values, *[None] * (4 - len(values))], cells


def test_a_late_cell_changes_the_type(tables, bring):
    lines = ["a;b", *("1;2,5" for _ in range(60_000)), "x;2,5"]
    bring(tables, ("t.csv", "\n".join(lines).encode()))
    item = tables.items.get()
    assert types(item) == {"a": "category", "b": "number"} and read(item)["b"][0].as_py() == 2.5
    assert item.facts["read_as"] == {"encoding": "utf-8", "delimiter": ";", "header": True, "decimal": "comma"}


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", "|"), ("utf-8-sig", ","), ("utf-16", "\t"), ("cp1252", ";")]
)
def test_encodings_and_delimiters_are_found(tables, bring, encoding, delimiter):
    lines = [
        delimiter.join(("größe", "straße", "ort")),
        *(delimiter.join(("1", f"Weg {n}", "Köln")) for n in range(20)),
    ]
    bring(tables, ("t.xyz", "\r\n".join(lines).encode(encoding)))
    item = tables.items.get()
    assert types(item) == {"größe": "whole", "straße": "text", "ort": "category"}
    assert read(item)["ort"][19].as_py() == "Köln"


def test_rows_of_another_width_are_set_aside_with_their_line(tables, bring):
    ended = bring(tables, ("t.csv", b"a,b\n1,2\n3\n4,5\n6,7,8\n9,10\n" + b"1,1\n" * 40))
    assert ended.accepted == 1 and tables.items.get().facts["rows"] == 43
    assert list(ended.refusals.values_list("name", "reason")) == [
        ("t.csv:3", "It has 1 cells, the others have 2."), ("t.csv:5", "It has 3 cells, the others have 2."),
    ]  # fmt: skip


def test_a_quote_that_never_ends_costs_one_row(tables, bring):
    lines = ["a,b", *(f'{number},"text {number}"' for number in range(40_000))]
    lines[30_000] = '29999,"never closed'
    ended = bring(tables, ("t.csv", "\n".join(lines).encode()))
    assert tables.items.get().facts["rows"] == 39_999, ended.message
    assert ended.refusals.filter(name="t.csv:30001").exists()


def test_guesses_can_be_corrected(tables, bring):
    content = b"1;2024-01-05;1\n2;2024-01-06;0\n3;what;1\n"
    options = {"header": False, "types": {"column_1": "text", "column_2": "date", "column_3": "yes_no"}}
    bring(tables, ("t.csv", content), options=options)
    item = tables.items.get()
    assert types(item) == {"column_1": "text", "column_2": "date", "column_3": "yes_no"}
    assert read(item)["column_2"].null_count == 1 and profile(item, "column_2")["unreadable"] == 1


def test_excel_and_parquet(tables, bring):
    rows = [["part", "size", "made"], *([f"p{number}", number / 4, f"2024-01-{number + 1:02}"] for number in range(20))]
    assert bring(tables, ("t.xlsx", workbook(rows))).accepted == 1
    item = tables.items.get()
    assert types(item) == {"part": "text", "size": "number", "made": "date"} and item.facts["rows"] == 20
    assert item.media_type.endswith("spreadsheetml.sheet") and item.facts["read_as"]["sheet"] == "Sheet1"
    out = io.BytesIO()
    table = pa.table({
        "n": pa.array([1, 2, None], pa.int16()), "x": pa.array([0.5, float("nan"), 1.5], pa.float32()),
        "d": pa.array([dt.date(2024, 1, 1)] * 3), "s": ["1.5", "2.5", None], "l": [[1, 2], [], None],
        "t": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)] * 3, pa.timestamp("ns", "UTC")),
        "c": pa.array(["u", "v", "u"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, out)
    ended = bring(tables, ("t.csv", out.getvalue()))
    assert ended.accepted == 1, ended.message
    item = tables.items.get(source=ended)
    assert types(item) == {
        "n": "whole", "x": "number", "d": "date", "s": "number", "l": "text", "t": "date", "c": "text",
    }  # fmt: skip
    assert (profile(item, "x")["mean"], profile(item, "x")["std"]) == (1.0, pytest.approx(0.5**0.5))
    assert read(item)["l"][0].as_py() == "[1, 2]" and read(item)["t"][0].as_py() == dt.datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (picture(), "not_a_table", "a PNG picture, not a table"),
        (b"Once upon a time\nthere was a text\nwithout any cells.\n", "not_a_table", "no character separates"),
        (b"PAR1" + os.urandom(3000) + b"PAR1", "not_a_table", "damaged"),
        (workbook([["a", "b"], [1, 2]])[:-60], "not_a_table", "damaged"),
        (b"a,b,c\n", "empty", "no rows"),
        (
            ",".join(f"c{number}" for number in range(200_000)).encode() + b"\n1,2\n",
            "too_many_columns",
            "more than 2,000",
        ),
        (b"%PDF-1.4 ...", "not_a_table", "PDF"),
        (b"\x80\x04\x95evil", "not_a_table", "pickle"),
        (b"a,b\n1,\x00\n", "binary", "NUL"),
        (b"[" * 200_000 + b"]" * 200_000, "not_a_table", "no table"),
    ],
    ids=["png", "prose", "junk parquet", "cut excel", "header only", "wide", "pdf", "pickle", "nul", "deep"],
)
def test_what_is_no_table_is_set_aside_with_the_reason(tables, bring, content, code, words, nothing_left):
    refusal = bring(tables, ("bad.csv", content)).refusals.get()
    assert (refusal.code, words in refusal.reason) == (code, True), refusal.reason
    nothing_left()


def test_formulas_stay_what_they_are(tables, bring):
    cells = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", '"=HYPERLINK(""http://x"",""y"")"']
    content = "name,v\n" + "".join(f"{cell},{number}\n" for number, cell in enumerate(cells))
    bring(tables, ("t.csv", content.encode()))
    item = tables.items.get()
    assert read(item)["name"].to_pylist() == [*cells[:-1], '=HYPERLINK("http://x","y")']
    assert types(item) == {"name": "text", "v": "whole"}


def test_a_series_tells_its_gaps(tables, bring):
    start = dt.datetime(2024, 1, 1)
    moments = [start + timedelta(hours=number) for number in range(500) if number not in {100, 101, 102, 300}]
    lines = ["Zeit;Wert", *(f"{moment:%d.%m.%Y %H:%M};{index},5" for index, moment in enumerate(moments))]
    bring(tables, ("t.csv", "\n".join(lines).encode("cp1252")))
    series = tables.items.get().facts["profile"]["series"]
    assert (series["step_seconds"], series["gaps"], series["missing_rows"]) == (3600.0, 2, 4)
    assert series["longest"][0] == {"from": "2024-01-05 03:00:00", "to": "2024-01-05 07:00:00", "rows": 3}


@pytest.mark.django_db(transaction=True)
def test_an_import_killed_inside_a_conversion_goes_on_with_that_table(owner, monkeypatch):
    monkeypatch.setattr(worker_module, "BATCH_SECONDS", 0.0)  # the first file is written down before the second
    tables, _ = create_dataset(owner, name="machines", modality="table")
    large = b"a,b,c\n" + b"".join(b"%d,%d.5,text %d\n" % (number, number, number) for number in range(300_000))
    made = receive(tables, owner, [File("small.csv", b"a,b\n1,2\n3,4\n"), File("large.csv", large)])
    connection.close()  # a forked process must not share it
    worker = os.fork()
    if worker == 0:
        try:
            run_import(made.pk)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    inside = None
    folder = store().temporary_folder()
    while inside is None or not any(path.stat().st_size < len(large) for path in folder.iterdir() if path.is_file()):
        assert time.monotonic() < deadline
        if Import.objects.get(pk=made.pk).done:
            inside = next((child for child in psutil.Process(worker).children() if child.is_running()), None)
        connection.close()
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    inside.wait(10)
    made.refresh_from_db()
    assert (made.status, made.done, tables.items.count()) == ("running", 1, 1)
    Import.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=61))
    ended = run_import(made.pk)
    assert (ended.status, ended.attempt, ended.accepted) == ("completed", 2, 2)
    item = tables.items.get(name="large.csv")
    assert item.facts["rows"] == 300_000 and read(item)["a"][-1].as_py() == 299_999


def test_a_long_table_takes_no_memory(tmp_path, capsys):
    """The conversion in a process of its own, so that its memory alone is counted."""
    path, count = tmp_path / "t.csv", 200_000
    path.write_text("t,a,b,c\n" + "".join(f"{n},{n % 97}.25,{n % 7},{n % 1000}-x\n" for n in range(count)))
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        small = tmp_path / "small.csv"
        small.write_text("t,a,b,c\n" + "".join(f"{n},{n % 97}.25,{n % 7},{n % 1000}-x\n" for n in range(60_000)))
        convert(small, str(tmp_path / "out"), "", {})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = convert(path, str(tmp_path / "out"), "", {})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os._exit(0 if found["rows"] == count and grown < 60 * 1024 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with capsys.disabled():
        print(f"\n{count:,} rows of 4 columns in {time.monotonic() - started:.1f} s")
    for made in tmp_path.glob("*.csv"):
        made.unlink()
    (tmp_path / "out").unlink(missing_ok=True)


def test_real_tables(tables, bring):
    files = [("ai4i2020", "ai4i2020.csv", 10_000), ("enb2012", "ENB2012_data.csv", 768), ("etth1", "ETTh1.csv", 17_420)]
    ended = bring(tables, *((name, (data(folder) / name).read_bytes()) for folder, name, _ in files))
    assert ended.accepted == 3
    for _, name, rows in files:
        assert tables.items.get(name=name).facts["rows"] == rows
    machines = tables.items.get(name="ai4i2020.csv")
    assert types(machines)["UDI"] == "whole" and types(machines)["Type"] == "category"
    assert profile(machines, "Machine failure")["top"] == [[0, 9661], [1, 339]]
    assert tables.items.get(name="ETTh1.csv").facts["profile"]["series"]["step_seconds"] == 3600.0
    folder = data("nab_known_cause")
    ended = bring(tables, *((path.name, path.read_bytes()) for path in sorted(folder.glob("*.csv"))))
    assert ended.accepted == 7
    series = [item.facts["profile"]["series"] for item in tables.items.filter(source=ended)]
    assert sum(item.facts["rows"] for item in tables.items.filter(source=ended)) == 69_561
    assert {one["step_seconds"] for one in series} == {300.0, 1800.0, 3600.0}
