"""The report of a version is checked before anyone draws it."""

import json
import math

import pytest

from common.errors import NotFoundError
from common.files import store
from engine import report as blocks
from registry import plots, reports
from registry.templatetags.reports import draw
from tests.api.conftest import Api
from tests.world import make_version, png


def version_with(owner, data, **more):
    return make_version(owner, more={"report.json": data} | more)


def lines(**changes):
    given = {"title": "Loss", "x": [0, 1, 2], "lines": [blocks.Line(name="a", values=[1.0, None, 3.0])]}
    return blocks.Lines(**given | changes)


def test_a_version_without_a_report_has_none(owner):
    assert not reports.report_of(make_version(owner))


def test_a_report_is_read_as_typed_blocks(owner):
    found = reports.report_of(version_with(owner, blocks.pack([lines()])))
    assert found.blocks == [lines()] and not found.problem


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b'{"blocks": []}',
        b"\xff\xfe",
        b'[{"kind": "script", "title": "x"}]',
        b'[{"kind": "bars", "title": "x", "labels": ["a"], "values": [NaN]}]',
        b'[{"kind": "pictures", "title": "x", "entries": [{"caption": "", "file": "../secret.png"}]}]',
        b"[" * 100_000,
    ],
)
def test_a_broken_report_is_a_sentence(owner, data):
    found = reports.report_of(version_with(owner, data))
    assert found.blocks == [] and found.problem.endswith(".")


def test_a_report_that_is_too_large_or_missing_is_a_sentence(owner, monkeypatch):
    version = version_with(owner, blocks.pack([lines()]))
    monkeypatch.setattr(reports, "MAX_BYTES", 10)
    assert "too large" in reports.report_of(version).problem
    monkeypatch.undo()
    address = next(file["sha256"] for file in version.artifact if file["name"] == "report.json")
    store().remove(address)
    assert "missing" in reports.report_of(version).problem


def test_a_picture_is_told_by_its_bytes(owner):
    version = make_version(owner, more={"a.png": png(), "b.png": b"<svg onload=alert(1)>"})
    assert reports.picture(version, "a.png") == (png(), "image/png")
    for name in ("b.png", "config.json", "none.png"):
        with pytest.raises(NotFoundError):
            reports.picture(version, name)


def test_the_api_gives_the_blocks(owner):
    version = version_with(owner, blocks.pack([lines(title="<b>")]))
    answer = Api(owner).get(f"versions/{version.pk}/report").json()
    assert answer["problem"] == "" and answer["blocks"][0]["title"] == "<b>"
    assert answer["blocks"][0]["lines"][0]["values"] == [1.0, None, 3.0]
    broken = Api(owner).get(f"versions/{version_with(owner, b'{').pk}/report").json()
    assert broken["blocks"] == [] and broken["problem"]


def test_a_missing_value_is_a_gap_and_a_dash():
    drawn = plots.plot(lines())
    assert (drawn.curves[0].path, drawn.curves[0].points) == ("", "M0.0 1000.0h0M1000.0 0.0h0")
    assert drawn.rows == [["0", "1"], ["1", "–"], ["2", "3"]]


def test_a_line_stays_inside_its_field():
    block = lines(x=["Mon", "Tue", "Wed"], diagonal=True, stretches=[blocks.Stretch(name="late", first=1, last=9)],
                  bands=[blocks.Band(name="90 %", low=[0, None, 1], high=[4, None, 9])])  # fmt: skip
    drawn = plots.plot(block)
    numbers = [float(n) for n in drawn.curves[0].path.replace("M", " ").replace("L", " ").split()]
    assert all(0 <= n <= plots.FIELD for n in numbers)
    assert drawn.x_labels == ["Mon", "Tue", "Wed"]
    assert drawn.columns == ["x", "a", "90 %, low", "90 %, high", "Marked"]
    assert [row[-1] for row in drawn.rows] == ["", "late", "late"]


@pytest.mark.parametrize("values", [[], [None, None, None], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0], [-1e300, 0, 1e300]])
def test_any_values_can_be_drawn(values):
    drawn = plots.plot(lines(lines=[blocks.Line(name="a", values=values)]))
    assert "nan" not in drawn.curves[0].path and len(drawn.y_labels) >= 2
    assert plots.plot(lines(x=[], lines=[])).rows == []


def test_bars_begin_at_zero():
    drawn = plots.bars(blocks.Bars(title="x", labels=["up", "down", "none"], values=[3.0, -1.0, None], unit="%"))
    assert [(bar.start, bar.length) for bar in drawn] == [(250.0, 750.0), (0.0, 250.0), (250.0, 0.0)]
    assert [bar.value for bar in drawn] == ["3 %", "-1 %", "–"]


def test_a_matrix_is_shaded_by_the_share_of_its_row():
    grid = plots.matrix(blocks.Matrix(title="x", labels=["a", "a long label of a class"], counts=[[9, 1], [0, 12_345]]))
    assert [cell.shade for cell in grid.cells] == [9, 1, 0, 10]
    assert [cell.text for cell in grid.cells] == ["9", "1", "", "12k"]
    assert grid.rows[1][1].endswith("…")
    # Rows that are missing are not drawn; the report's own check can't know of them.
    assert plots.matrix(blocks.Matrix(title="x", labels=["a"], counts=[[1, 2], [3]])).cells


def test_figures_are_said_the_same_everywhere():
    assert [plots.figure(v) for v in (None, math.inf, 0.5, 1200, "x", True)] == ["–", "–", "0.5", "1,200", "x", "True"]
    json.dumps([plots.figure(0.1)])


def test_ticks_below_numbers_are_round_and_stay_inside():
    drawn = plots.plot(lines(x=[0.05, 0.35, 0.95]))
    assert [tick.label for tick in drawn.x_ticks] == ["0.2", "0.4", "0.6", "0.8"] and drawn.x_labels == []
    drawn = plots.plot(lines(x=[1, 2, 4]))
    assert [(tick.at, tick.label, tick.anchor) for tick in drawn.x_ticks] == [
        (0.0, "1", "start"), (33.33, "2", "middle"), (66.67, "3", "middle"), (100.0, "4", "end")
    ]  # fmt: skip
    assert drawn.y_labels == ["3", "2", "1"], "between whole numbers there is nothing to show"


def test_a_long_report_begins_with_its_first_parts(client, owner):
    client.force_login(owner)
    parts = [lines(title=f"Part {n}") for n in range(5)]
    html = client.get(f"/versions/{version_with(owner, blocks.pack(parts)).pk}").content.decode()
    more = html.index("More of the report: 2 parts")
    assert html.index("Part 2</h3>") < more < html.index('id="report-4">Part 3</h3>')
    html = client.get(f"/versions/{version_with(owner, blocks.pack(parts[:3])).pk}").content.decode()
    assert "More of the report" not in html


def test_a_long_table_has_its_last_rows_and_says_so():
    many = lines(x=list(range(5)), lines=[{"name": "a", "values": [0, 1, 2, 3, 4]}])
    drawn = plots.plot(many, 2)
    assert drawn.rows == [["3", "3"], ["4", "4"]] and drawn.left_out == 3
    assert "The last 2; the CSV has all." in draw(many, "x", most=2) and "CSV" not in draw(many, "x")


def test_what_is_estimated_is_dashed_and_what_is_measured_is_not():
    told = [blocks.Line(name=name, values=[1.0, 2.0], dashed=name != "v1") for name in ("v1", "v1, estimated")]
    drawn = draw(blocks.Lines(title="Accuracy", x=[0, 1], lines=told), "key")
    assert drawn.count("look-0 solid") == drawn.count("look-1 dashed") == 2
