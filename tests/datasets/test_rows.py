"""Files of rows: one item a row, in constant memory, on from any row after a crash."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.dialects import sniff
from datasets.intake.imports import create_dataset, receive, run_import
from datasets.items import rows
from datasets.models import Import, Item
from tests.datasets.conftest import File
from tests.shared import data


def jsonl(*records) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def contents(dataset) -> list[dict]:
    return [item.content for item in dataset.items.order_by("id")]


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ({"prompt": "1+1?", "completion": "2"}, {"prompt": "1+1?", "completion": "2"}),
        ({"question": "1+1?", "answer": 2}, {"prompt": "1+1?", "completion": "2"}),
        ({"Instruction": "Add", "input": "1 1", "output": "2"}, {"prompt": "Add\n\n1 1", "completion": "2"}),
        ({"instruction": "Add", "input": "", "output": "2"}, {"prompt": "Add", "completion": "2"}),
        (
            {"instruction": "Add", "instances": [{"input": "1 1", "output": "2"}]},
            {"prompt": "Add\n\n1 1", "completion": "2"},
        ),
        (
            {"system": "Be brief.", "prompt": "a", "completion": "b"},
            {"system": "Be brief.", "prompt": "a", "completion": "b"},
        ),
        (
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        ),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        ),
        ({"text": "A story."}, {"text": "A story."}),
    ],
)
def test_shapes_that_are_known(texts, bring, record, content):
    ended = bring(texts, ("rows.txt", jsonl(record)))
    assert ended.status == "completed", ended.message
    item = texts.items.get()
    assert item.content == content and item.sha256 == rows.address(content)
    assert (item.name, item.media_type) == ("rows.txt:1", "application/vnd.trainhub.row+json")
    assert item.bytes == len(rows.canonical(content)) and item.label == ""


def test_what_else_is_said_of_a_row_goes_where_it_belongs(texts, bring):
    record = {
        "text": "a", "label": "spam", "group": "g1", "subject": "Ann", "recorded_at": "2024-05-01T10:00:00Z",
        "licence": "MIT", "score": 3, "empty": None,
    }  # fmt: skip
    bring(texts, ("a.jsonl", jsonl(record)))
    item = texts.items.get()
    assert (item.label, item.group, item.subject.name) == ("spam", "g1", "Ann")
    assert item.recorded_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert item.metadata == {"licence": "MIT", "score": 3}


def test_a_bad_row_is_set_aside_with_its_line_and_the_good_ones_are_kept(texts, bring, nothing_left):
    good = [json.dumps({"prompt": f"p{number}", "completion": "c"}) for number in range(6)]
    deep = '{"prompt": "p", "completion": "c", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = [
        good[0], "{broken", "", '{"prompt": "p"}', "[1, 2]", good[1], deep, '{"prompt": "a\\u0000", "completion": "b"}',
        '{"prompt": "a", "completion": "b", "x": NaN}', '{"prompt": "a", "completion": "b", "x": 1e999}',
        '{"prompt": "\\ud800", "completion": "b"}', json.dumps({"prompt": "x" * 2_000_000, "completion": "c"}), good[0],
        *good[2:],
    ]  # fmt: skip
    ended = bring(texts, ("a.jsonl", "\n".join(lines).encode()))
    assert ended.accepted == 6 and ended.set_aside == 10 and ended.done == ended.total == 1
    assert list(ended.refusals.values_list("name", "code")) == [
        ("a.jsonl:2", "bad_row"), ("a.jsonl:4", "bad_row"), ("a.jsonl:5", "bad_row"), ("a.jsonl:7", "bad_row"),
        ("a.jsonl:8", "bad_row"), ("a.jsonl:9", "bad_row"), ("a.jsonl:10", "bad_row"), ("a.jsonl:11", "bad_row"),
        ("a.jsonl:12", "too_large"), ("a.jsonl:13", "duplicate"),
    ]  # fmt: skip
    assert ended.refusals.get(name="a.jsonl:4").reason == "'completion' is missing or empty."
    assert ended.bytes_done == ended.bytes_total > 2_000_000
    nothing_left()


def test_arrays_are_read_to_where_they_are_damaged(texts, bring):
    pairs = [{"question": f"q{number}\n", "answer": "a" * 100} for number in range(4_000)]
    whole = json.dumps(pairs, indent=1).encode()
    assert bring(texts, ("a.json", whole)).accepted == 4_000
    damaged = whole.replace(b'"q2000', b'"other', 1).replace(b"q3000\\n", b'q3000"', 1)
    ended = bring(texts, ("b.json", damaged))
    assert ended.accepted == 1 and ended.set_aside == 3_000
    last = ended.refusals.order_by("-id")[0]
    line = damaged[: damaged.index(b'q3000"')].count(b"\n")
    assert last.name == f"b.json:{line}" and "What follows was not read" in last.reason
    assert bring(texts, ("c.json", whole[:-3])).refusals.order_by("-id")[0].code in {"bad_row", "cut_off"}


def test_quotes_that_do_not_match_cost_one_row(texts, bring):
    lines = ["text,label", *(f'"row {number}",a' for number in range(300))]
    lines[100] = '"never closed,a'
    ended = bring(texts, ("a.csv", "\n".join(lines).encode()))
    assert ended.accepted == 299
    assert list(ended.refusals.values_list("name", flat=True)) == ["a.csv:101"]


def test_rows_in_other_encodings_and_with_line_ends_inside(texts, bring):
    table = 'text;label\r\n"Grüße aus\nKöln";gut\r\nTschüss, schöne Straße;gut\r\nWetter;schlecht\r\n'
    bring(texts, ("a.csv", table.encode("cp1252")))
    assert [(item.content["text"], item.label) for item in texts.items.order_by("id")] == [
        ("Grüße aus\nKöln", "gut"), ("Tschüss, schöne Straße", "gut"), ("Wetter", "schlecht"),
    ]  # fmt: skip
    assert bring(texts, ("b.csv", table.replace("r", "x").encode("utf-16"))).accepted == 3


def test_columns_can_be_named(texts, bring):
    table = b"verse,kind,poet\nThe fog comes,free,Sandburg\nTyger Tyger,rhymed,Blake\nSo much depends,free,Williams\n"
    refused = bring(texts, ("a.csv", table + table[table.index(b"\n") + 1 :]))
    assert refused.status == "failed" and "columns: verse, kind, poet" in refused.message and "options" in refused.hint
    options = {"text_column": "verse", "label_column": "kind", "group_column": "poet"}
    assert bring(texts, ("a.csv", table), options=options).accepted == 3
    first = texts.items.order_by("id")[0]
    assert (first.content, first.label, first.group) == ({"text": "The fog comes"}, "free", "Sandburg")


def test_documents_stay_documents(texts, bring):
    prose = "It was, he said, late.\n\n\tThe next day came.\n\tIt rained, and rained.\n\tNothing more, of course.\n" * 5
    markdown = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[link](http://x)\n"
    code = '{\n  "name": "config",\n  "values": [1, 2]\n}\n'
    ended = bring(texts, ("a.txt", prose.encode()), ("b.md", markdown.encode()), ("c.json", code.encode()))
    assert ended.accepted == 3 and all(item.content is None for item in texts.items.all())
    listed = b"text,label\na,b\nc,d\n"
    assert bring(texts, ("d.csv", listed), options={"read_as": "document"}).accepted == 1
    assert texts.items.get(name="d.csv").content is None


def test_a_file_with_a_header_alone_is_set_aside(texts, bring):
    refusal = bring(texts, ("a.csv", b"prompt,completion\n")).refusals.get()
    assert (refusal.code, refusal.reason) == ("empty", "It has a header and no rows.")


@pytest.mark.django_db(transaction=True)
def test_an_import_killed_inside_a_large_file_goes_on_at_its_row(owner):
    texts, _ = create_dataset(owner, name="stories", modality="text")
    count = 12_000
    content = jsonl(*({"prompt": f"p{number}", "completion": f"c{number}"} for number in range(count)))
    made = receive(texts, owner, [File("first.txt", b"a document"), File("rows.jsonl", content)])
    connection.close()  # a forked process must not share it
    worker = os.fork()
    if worker == 0:
        try:
            run_import(made.pk)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    while not Import.objects.get(pk=made.pk).position.get("row"):
        assert time.monotonic() < deadline
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    made.refresh_from_db()
    assert made.status == "running" and made.done == 1
    assert 0 < made.position["row"] < count and texts.items.count() == made.position["row"] + 1
    assert 0 < made.bytes_done < made.bytes_total
    Import.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=61))
    ended = run_import(made.pk)
    assert (ended.status, ended.attempt, ended.accepted, ended.set_aside) == ("completed", 2, count + 1, 0)
    assert texts.items.count() == count + 1 and ended.position == {}
    names = set(Item.objects.exclude(content=None).values_list("name", flat=True))
    assert names == {f"rows.jsonl:{number}" for number in range(1, count + 1)}


def test_a_large_file_of_rows_takes_no_memory(texts, bring, capsys):
    count = 6_000
    content = jsonl(*({"text": f"{number} " + "words " * 400} for number in range(count)))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    ended = bring(texts, ("a.jsonl", content))
    seconds = time.monotonic() - started
    assert ended.accepted == count
    with capsys.disabled():
        print(f"\n{count:,} rows, {len(content) / 1e6:.0f} MB in {seconds:.1f} s: {count / seconds:,.0f} rows/s")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x00\x1f", exclude_categories=["Cs", "Cc"]), max_size=12
)


@given(
    st.lists(st.lists(CELL.filter(str.strip), min_size=3, max_size=3), min_size=6, max_size=30),
    st.sampled_from(",;\t|"),
)
@settings(max_examples=200, deadline=None)
def test_what_a_csv_writer_wrote_is_read_as_the_same_cells(cells, delimiter):
    out = io.StringIO()
    quoting = csv.QUOTE_ALL
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(cells)
    dialect = sniff(out.getvalue(), whole=True, options={"header": False})
    assert dialect is not None and dialect.delimiter == delimiter
    assert list(dialect.reader(io.StringIO(out.getvalue(), newline=""))) == cells


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1000).map(lambda value: round(value, 3))), min_size=3,
             max_size=40),
    st.sampled_from(",;\t|"), st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_tables_of_numbers_are_told_with_and_without_header(numbers, delimiter, header):
    lines = [f"{first}{delimiter}{second}{delimiter}x{first}" for first, second in numbers]
    names = delimiter.join(["id", "size", "code"])
    dialect = sniff("\n".join([names, *lines] if header else lines), whole=True)
    assert dialect is not None and (dialect.delimiter, dialect.header) == (delimiter, header)
    assert dialect.columns == (("id", "size", "code") if header else ("column_1", "column_2", "column_3"))


@pytest.mark.parametrize(
    ("text", "header", "columns"),
    [
        ("a,a,,b\n1,2,3,4\n5,6,7,8\n", True, ("a", "a_2", "column_3", "b")),
        (",city,size\n0,Lyon,3\n1,Oslo,\n", True, ("column_1", "city", "size")),
        ("name,name,when\nAda,Byron,1815-12-10\n", True, ("name", "name_2", "when")),
        ("Ada,Ada,London\nBob,Eve,Paris\n", False, ("column_1", "column_2", "column_3")),
        ("Ada,,London\nBob,7,Paris\nCy,8,Rome\n", False, ("column_1", "column_2", "column_3")),
        ("Ada,NA,3\nBob,7,4\n", False, ("column_1", "column_2", "column_3")),
    ],
    ids=["both", "unnamed index", "repeated", "words", "a cell is missing", "a value is missing"],
)
def test_names_that_are_repeated_or_empty_are_a_header_where_values_stand_below(text, header, columns):
    dialect = sniff(text, whole=True)
    assert (dialect.header, dialect.columns) == (header, columns)


def test_rows_are_frozen_and_read_by_the_engine(texts, bring, owner):
    from common.files import store
    from datasets.freezing.versions import freeze
    from engine.data import open_dataset
    from engine.protocol import DataSpec

    bring(texts, ("a.jsonl", jsonl(*({"prompt": f"p{number}", "completion": "c"} for number in range(20)))))
    bring(texts, ("b.txt", b"a document"))
    version = freeze(texts, owner)
    spec = DataSpec(manifest=store().path(version.content_hash), store=store().root)
    frozen = open_dataset(spec, "text")
    assert sorted(frozen.text(item) for item in frozen.items) == sorted(
        ["a document", *(f"p{n}\nc" for n in range(20))]
    )


def test_real_files_of_rows(texts, bring):
    expected = {
        "gsm8k/test.jsonl": 1319, "self_instruct/seed_tasks.jsonl": 175,
        "self_instruct/user_oriented_instructions.jsonl": 252,
    }  # fmt: skip
    for name, count in expected.items():
        folder, _, file = name.partition("/")
        ended = bring(texts, (name, (data(folder) / file).read_bytes()))
        assert (
            ended.accepted + ended.refusals.filter(code="duplicate").count()
            == ended.accepted + ended.set_aside
            == count
        )
    ended = bring(texts, ("sms.tsv", (data("sms_spam") / "sms.tsv").read_bytes()))
    assert ended.accepted == 5171 and set(ended.refusals.values_list("code", flat=True)) == {"duplicate"}
    assert texts.items.filter(source=ended, label="spam").count() == 653


def test_real_documents(texts, bring):
    folder = data("ebg_authors")
    files = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.glob("b*/*.txt"))]
    files += [("input.txt", (data("tinyshakespeare") / "input.txt").read_bytes())]
    files += [(path.name, path.read_bytes()) for path in sorted(data("gutenberg_genres").glob("*.txt"))]
    ended = bring(texts, *files)
    assert ended.accepted == len(files) and all(item.content is None for item in texts.items.all())
    assert texts.items.get(name="input.txt").characters == 1_115_394
