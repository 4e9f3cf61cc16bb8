"""Rows of a sheet are read in their order, from any row on, without loading more than is needed."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.paths import PROJECT
from datasets.models import Dataset
from datasets.rendering import sheets
from tests.tables import MACHINES, make_table


def test_rows_of_several_files_are_numbered_through(owner):
    other = {"id": [100, 101], "extra": ["x", "y"]}
    sheet = sheets.open_sheet(make_table(owner, files=[MACHINES, other, MACHINES]))
    assert sheet.rows == 42
    assert sheet.names == [*MACHINES, "extra"]
    rows = [row for batch in sheet.read(size=3) for row in batch]
    assert [row.number for row in rows] == list(range(42))
    assert [row.values["id"] for row in rows] == [*range(1, 21), 100, 101, *range(1, 21)]
    assert rows[20].row == 0
    assert rows[20].item == sheet.tables[1].item


@pytest.mark.parametrize("first", [0, 1, 6, 7, 8, 19, 20, 21, 22, 41, 42])
@pytest.mark.parametrize("size", [1, 5, 100])
def test_reading_goes_on_at_any_row(owner, first, size):
    other = {"id": [100, 101]}
    sheet = sheets.open_sheet(make_table(owner, files=[MACHINES, other, MACHINES]))
    rows = [row for batch in sheet.read(first, ["id", "Type"], size) for row in batch]
    assert [row.number for row in rows] == list(range(first, 42))
    assert all(set(row.values) == {"id", "Type"} for row in rows)


def test_single_rows_are_picked_in_the_order_asked_for(owner):
    sheet = sheets.open_sheet(make_table(owner))
    assert [row.values["id"] for row in sheet.pick([19, 0, 8])] == [20, 1, 9]
    with pytest.raises(NotFoundError, match="no row 21"):
        sheet.pick([20])


def test_fine_times_and_rows_set_aside(owner):
    import pyarrow

    table = {"at": pyarrow.array([1_700_000_000_123_456_789] * 3, pyarrow.timestamp("ns"))}
    dataset = make_table(owner, files=[table])
    item = dataset.items.get()
    item.facts["aside_rows"] = [[1, 2]]
    item.save()
    rows = sheets.open_sheet(dataset).pick([0, 1, 2])
    assert rows[0].values["at"] == datetime(2023, 11, 14, 22, 13, 20, 123456)
    assert [row.aside for row in rows] == [False, True, False]


def test_what_is_no_sheet_is_told(owner):
    texts = Dataset.objects.create(owner=owner, name="texts", modality="text")
    with pytest.raises(InvalidInputError, match="only tables have rows"):
        sheets.open_sheet(texts)
    empty = Dataset.objects.create(owner=owner, name="empty", modality="table")
    with pytest.raises(ConflictError, match="no rows yet"):
        sheets.open_sheet(empty)


def test_pyarrow_is_loaded_with_the_first_row_only():
    code = (
        "import django, sys; django.setup(); from datasets.rendering import renderings, sheets, templates;"
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True,
                          env={**__import__("os").environ, "DJANGO_SETTINGS_MODULE": "trainhub.settings"})  # fmt: skip
    assert done.stdout.strip() == "False"
