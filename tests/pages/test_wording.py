"""Numbers and times are said the same everywhere."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from common import wording
from common.pages import WRITTEN, _written, harmless
from jobs.presentation import ACTIONS
from jobs.states import LOOKS, Status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (float("nan"), "—"), (0, "0 s"), (0.25, "250 ms"), (3.21, "3.2 s"), (59.9, "59 s"), (64, "1 m 04 s"),
     (3852, "1 h 04 m 12 s"), (90_000, "1 d 01 h 00 m")],
)  # fmt: skip
def test_durations(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "—"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes(count, text):
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (1234, "1,234"), (0.5, "0.5"), (1.23456, "1.235"), (0.00001234, "1.23e-05"),
     (float("inf"), "not a number"), ("text", "text"), (12345.6, "12,346")],
)  # fmt: skip
def test_numbers(value, text):
    assert wording.number(value) == text


def test_accuracies_are_percentages_and_losses_are_not():
    assert wording.metric("validation/accuracy", 0.9741) == "97.4 %"
    assert wording.metric("validation/loss", 0.9741) == "0.9741"
    assert wording.metric("validation/accuracy", None) == "—"


def test_moments():
    now = timezone.now()
    said = [wording.ago(now - timedelta(seconds=s), now) for s in (1, 42, 300, 7300, 200_000)]
    assert said == ["just now", "42 s ago", "5 min ago", "2 h ago", "2 d ago"]
    assert wording.ago(now + timedelta(minutes=5, seconds=1), now) == "in 5 min"
    lasted = [wording.lasting(now - timedelta(seconds=s), now) for s in (1, 42, 300, 40 * 86400)]
    assert lasted[:3] == ["for some seconds", "for 42 s", "for 5 min"] and lasted[3].startswith("since ")


@pytest.mark.parametrize("cell", ["=1", "+A1", "-x", "@sum", "\tx", "＝1"])
def test_cells_that_a_spreadsheet_would_run_are_made_harmless(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1.5", "+3", 7, -2, "plain"])
def test_other_cells_stay_as_they_are(cell):
    assert harmless(cell) == cell


def test_every_status_has_a_look_and_a_way_on():
    for status in Status:
        assert all(LOOKS[status]) and status.label
        assert status in ACTIONS


def test_a_long_table_is_written_as_if_each_row_were_written_alone():
    rows = [[n, n / 7, None, n % 2 == 0, f"=cell {n}", 'a "b", c\n', "", Decimal("1.5"), "-3"] for n in range(3000)]

    def alone(row):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow([harmless(cell) for cell in row])
        return out.getvalue()

    pieces = list(_written(rows))
    assert len(pieces) > 2 and max(map(len, pieces)) < 2 * WRITTEN
    assert "".join(pieces) == "".join(map(alone, rows))
    assert "".join(_written([[None]])) == alone([None])
