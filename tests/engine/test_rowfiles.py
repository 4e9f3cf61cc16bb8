"""Tables that are handed over to a model, in each of the forms that they come in."""

import io
import json
from datetime import date

import pytest

from engine.protocol import EngineError, FailureCode
from engine.rowfiles import rows_of

ROWS = [{"type": "L", "torque": "1.5"}, {"type": "M", "torque": None}]


@pytest.mark.parametrize(
    "text", ["type,torque\nL,1.5\nM,\n", "\ufefftype;torque\r\nL;1.5\r\nM\r\n\r\n", "type\ttorque\nL\t1.5\nM\t\n"]
)
def test_a_csv_has_texts_and_gaps(text):
    assert rows_of(text.encode()) == ROWS


def test_quotes_hold_delimiters_and_line_ends():
    assert rows_of(b'a,b\n"x,\n""y""",2\n') == [{"a": 'x,\n"y"', "b": "2"}]


@pytest.mark.parametrize(
    "form", [json.dumps(ROWS), "\n".join(map(json.dumps, ROWS)), f"  {json.dumps(ROWS, indent=1)}"]
)
def test_json_is_a_list_or_an_object_a_line(form):
    assert rows_of(form.encode()) == ROWS
    assert rows_of(b'{"a": 1}') == [{"a": 1}]
    assert rows_of(b'[{"a": NaN}]') == [{"a": None}]


def test_a_parquet_file_has_its_values():
    import pyarrow as pa
    import pyarrow.parquet

    file = io.BytesIO()
    table = pa.table({"n": [1, None], "x": [0.5, float("nan")], "day": [date(2026, 1, 2), None], "t": ["a", "b"]})
    pyarrow.parquet.write_table(table, file)
    assert rows_of(file.getvalue()) == [
        {"n": 1, "x": 0.5, "day": "2026-01-02", "t": "a"}, {"n": None, "x": None, "day": None, "t": "b"},
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"", b" \r\n", b"[]", b" []\n"])
def test_nothing_is_no_rows_and_left_to_the_model(data):
    assert rows_of(data) == []


@pytest.mark.parametrize(
    "data",
    [b"a,b\n", b"a,a\n1,2\n", b"a\n1,2\n", b"[1, 2]", b"[", b'{"a": 1}\nnone\n', b"\xff\xfe", b"PAR1 broken",
     b"[" * 100_000, b"\n\n1,2"],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_words(data):
    with pytest.raises(EngineError) as refused:
        rows_of(data, 2)
    assert refused.value.code == FailureCode.BAD_DATA
    assert refused.value.message.startswith("Input 3 can't be used: ") and "CSV" in refused.value.hint
