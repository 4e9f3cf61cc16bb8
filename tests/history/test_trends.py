"""Trends: what each period adds up to, whoever counts, and nobody else's."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from datasets.subjects.subjects import create as create_subject
from engine.report import Bars, Line, Lines
from history import browsing, daily, filters
from history.models import Session
from history.recording import record_reported
from history.trend_charts import charts
from history.trends import READ, trends
from registry import plots
from tests.api.conftest import Api
from tests.history.sums import days_are_right, rows
from tests.world import make_version

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def record(owner, day=0, **more):
    at = MONDAY + timedelta(days=day)
    given = {
        "started_at": at,
        "completed_at": at + timedelta(minutes=5),
        "total_seconds": 3600.0,
        "outcome": "completed",
        **more,
    }
    return record_reported(owner, given)[0]


@pytest.fixture
def weeks(owner):
    """Two weeks with sessions and an empty one between them."""
    told = {"genres": ["noir"], "genre_distribution": {"noir": 3, "sea": 1}}
    record(owner, 0, quality_average=6, recipe="image-classification", metrics={"validation/accuracy": 0.5}, **told)
    record(owner, 1, quality_average=8, recipe="image-classification", metrics={"validation/accuracy": 0.7},
           performance_by_model={"A": {"wins": 2, "average_quality": 6.0}, "B": {"wins": 1}})  # fmt: skip
    record(owner, 2, outcome="failed", recipe="text-generation")
    record(owner, 15, recipe="text-generation", metrics={"validation/loss": 1.5}, genres=["noir"],
           performance_by_model={"A": {"wins": 1, "average_quality": 8.0}})  # fmt: skip


def of(person, **asked):
    more = {name: asked.pop(name) for name in ("period", "by") if name in asked}
    return trends(person, filters.read(asked, person), **more)


def test_each_week_adds_up_and_an_empty_one_is_shown(owner, weeks):
    found = of(owner)
    assert found.starts == [date(2026, 3, 2), date(2026, 3, 9), date(2026, 3, 16)]
    assert [point["sessions"] for point in found.points] == [3, 0, 1]
    assert [point["failed"] for point in found.points] == [1, 0, 0]
    assert [point["seconds"] for point in found.points] == [10800, 0, 3600]
    assert [point["quality"] for point in found.points] == [7.0, None, None]
    assert len(of(owner, period="day").points) == 16
    assert [point["sessions"] for point in of(owner, period="month").points] == [4]


def test_days_and_sessions_give_the_same(owner, weeks):
    """A search for nothing in particular is added up from the sessions themselves."""
    Session.objects.update(name="x", estimated_seconds=1800.0)
    from history import daily

    daily.rebuild()
    quick, slow = of(owner, recipe="image-classification"), of(owner, recipe="image-classification", search="x")
    assert quick == slow
    assert quick.points[0]["took_of_expected"] == 2.0
    assert (quick.points[0]["estimated"], quick.points[0]["expected_seconds"]) == (2, 3600)


def test_lines_by_recipe_have_their_headline_metric(owner, weeks):
    groups = {(group.key, group.metric): group.points for group in of(owner).groups}
    first = groups["image-classification", "validation/accuracy"][date(2026, 3, 2)]
    assert (first["sessions"], first["quality"], first["value"]) == (2, 7.0, pytest.approx(0.6))
    assert groups["text-generation", "validation/loss"][date(2026, 3, 16)]["value"] == 1.5


def test_lines_by_subject_and_by_model(owner, weeks):
    subject, version = create_subject(owner, name="Pump"), make_version(owner)
    first = Session.objects.order_by("started_at").first()
    Session.objects.filter(pk=first.pk).update(subject=subject, model_version=version)
    assert [(group.name, len(group.points)) for group in of(owner, by="subject").groups] == [("Pump", 1)]
    assert [group.name for group in of(owner, by="model").groups] == ["Teller"]
    assert [point["sessions"] for point in of(owner, subject=str(subject.pk)).points] == [1]


def test_of_very_many_sessions_only_the_newest_are_read_and_it_is_said(client, owner, weeks, monkeypatch):
    Session.objects.update(name="x")
    every = of(owner, search="x")
    monkeypatch.setattr(browsing, "COUNTED", 2)  # fitting ones
    newest = of(owner, search="x")
    assert (every.partial, newest.partial) == (False, True)
    assert [point["sessions"] for point in newest.points] == [1, 0, 1]
    assert {group.key for group in newest.groups} == {"text-generation"}
    monkeypatch.setattr(browsing, "LOOKED_THROUGH", 1)  # ones that are searched
    assert [point["sessions"] for point in of(owner, search="x").points] == [1]
    client.force_login(owner)
    assert "newest ones that fit" in client.get("/history/trends?search=x").content.decode()
    assert of(owner).partial is False


def test_lines_by_subject_are_of_as_many_sessions_as_can_be_read(client, owner, weeks, monkeypatch):
    Session.objects.update(subject=create_subject(owner, name="Pump"))
    every = of(owner, by="subject")
    assert every.groups_since is None
    assert sum(point["sessions"] for group in every.groups for point in group.points.values()) == 4
    monkeypatch.setitem(READ, "subject", 3)
    found = of(owner, by="subject")
    assert (found.groups_since, [list(group.points) for group in found.groups]) == (
        date(2026, 3, 9), [[date(2026, 3, 16)]],
    )  # fmt: skip
    assert sum(point["sessions"] for point in found.points) == 4
    client.force_login(owner)
    assert "since 9 March 2026" in client.get("/history/trends?by=subject").content.decode()


def test_genres_and_generators(owner, weeks):
    found = of(owner)
    assert found.genres == [
        {"name": "noir", "sessions": 2, "examples": 3}, {"name": "sea", "sessions": 1, "examples": 1},
    ]  # fmt: skip
    assert found.generators == [
        {"name": "A", "sessions": 2, "wins": 3, "quality": 7.0},
        {"name": "B", "sessions": 1, "wins": 1, "quality": None},
    ]  # fmt: skip
    assert [genre["sessions"] for genre in of(owner, since="2026-03-10").genres] == [1]


def test_the_estimate_stands_beside_what_it_took(owner, weeks):
    assert all(chart.key not in {"estimate", "ratio"} for chart in charts(of(owner)))
    record(owner, 3)
    Session.objects.filter(pk=Session.objects.order_by("-id").first().pk).update(estimated_seconds=7200.0)
    from history import daily

    daily.rebuild()
    shown = {chart.key: chart for chart in charts(of(owner))}
    assert shown["ratio"].rows[0] == ["2026-03-02", 0.5]
    assert shown["estimate"].rows[0] == ["2026-03-02", 2.0, 1.0]


def test_the_page_draws_each_chart_with_table_and_csv(client, owner, weeks):
    client.force_login(owner)
    html = client.get("/history/trends").content.decode()
    for title in (
        "Runs",
        "Time at work",
        "Validation accuracy by recipe",
        "Examples by genre",
        "Wins by generating",
    ):
        assert title in html, title
    assert html.count("The numbers as a table") == html.count("csv=")
    lines = b"".join(client.get("/history/trends?csv=sessions")).decode().splitlines()
    assert lines == ["week,Runs,Failed", "2026-03-02,3,1", "2026-03-09,0,0", "2026-03-16,1,0"]
    assert client.get("/history/trends?csv=nothing").status_code == 404
    assert "No run fits" in client.get("/history/trends?outcome=cancelled").content.decode()


def test_a_name_that_is_a_formula_does_not_become_one(client, owner):
    record(owner, genres=["=1+1"])
    client.force_login(owner)
    assert "'=1+1" in b"".join(client.get("/history/trends?csv=genres")).decode()


def test_the_api_gives_the_same_to_its_owner_alone(owner, stranger, administrator, weeks):
    path = f"training-history/user/{owner.pk}/trends"
    told = Api(owner).get(f"{path}?period=month&by=recipe").json()
    assert [point["sessions"] for point in told["points"]] == [4]
    assert told["genres"][0] == {"name": "noir", "sessions": 2, "examples": 3}
    assert Api(stranger).get(path).status_code == 404
    assert Api(administrator).get(path).status_code == 200
    assert Api(owner).get(f"{path}?period=hour").status_code == 400
    assert trends(stranger, filters.Filters()).points == []


def test_many_sessions_cost_as_many_queries_as_few(owner, weeks, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        of(owner)


def test_means_that_differ_by_rounding_alone_are_drawn(client, owner):
    for day, value in ((0, 0.44999999999999996), (7, 0.45)):
        record(owner, day, recipe="text-generation", metrics={"validation/loss": value})
    client.force_login(owner)
    assert "Validation loss by recipe" in client.get("/history/trends").content.decode()


def test_titles_read_as_words_and_axes_end_where_values_can_not_go(owner):
    record(owner, 0, quality_average=10, recipe="generate", metrics={"generate/quality": 10.0})
    record(owner, 8, quality_average=9, recipe="generate", metrics={"generate/quality": 9.0})
    record(owner, 0, recipe="image-classification", metrics={"validation/accuracy": 1.0})
    drawn = {chart.block.title: plots.plot(chart.block) for chart in charts(of(owner)) if chart.block.kind == "lines"}
    assert not [title for title in drawn if "Generate" in title]
    for title, top in (
        ("Example generation: quality by recipe", "10"), ("Mean quality", "10"),
        ("Mean quality by recipe", "10"), ("Validation accuracy by recipe", "1"),
    ):  # fmt: skip
        assert float(drawn[title].y_labels[0]) == float(top), title


def test_figures_of_runs_that_diverged_are_recorded_and_spoil_no_sum(owner, client, weeks):
    """Two of them on one day are more than a float can hold."""
    told = {"recipe": "image-classification", "metrics": {"validation/accuracy": 1.7e308, "validation/loss": -1.7e308}}
    for _ in range(2):
        record(owner, 1, **told, performance_by_model={"A": {"wins": 1, "average_quality": 1.7e308}})
    days_are_right(rows, json.loads)
    daily.rebuild()
    days_are_right(rows, json.loads)
    subject = create_subject(owner, name="Anna")
    Session.objects.update(subject=subject)
    for by in ("recipe", "subject"):
        values = {group.metric: group.points for group in of(owner, by=by).groups}["validation/accuracy"]
        assert values[date(2026, 3, 2)]["value"] == pytest.approx(0.6)
    client.force_login(owner)
    for page in ("/history", "/history/trends", f"/history/{Session.objects.latest('pk').pk}"):
        html = client.get(page).content.decode()
        assert "1.70e+308" in html or "trends" in page
        assert "000,000,000,000" not in html and not re.search(r"\b(inf|nan)\b", html)


def test_curves_leave_out_what_no_axis_holds(owner):
    huge = Line(name="loss", values=[1.0, 1.7e308, -1.7e308, 2.0])
    drawn = plots.plot(Lines(title="t", x=[1, 2, 3, 4], lines=[huge]))
    assert len(drawn.y_labels) < 9 and not re.search("inf|nan|e[+]", drawn.curves[0].path + str(drawn.y_labels))
    bars = plots.bars(Bars(title="t", labels=["a", "b"], values=[1.0, 1.7e308]))
    assert [bar.length for bar in bars] == [1000, 1000] and bars[1].value == "1.70e+308"


def test_sessions_of_a_wrong_clock_blank_no_trend(owner, client, weeks):
    before = of(owner)
    for year in (1, 9999):
        record(owner, started_at=datetime(year, 1, 3, tzinfo=UTC), completed_at=datetime(year, 1, 3, tzinfo=UTC))
    for asked in ({}, {"search": "", "outcome": "completed"}, {"period": "month"}, {"by": "subject"}):
        assert len(of(owner, **asked).points) in {2, 3, 1} and of(owner).points == before.points
    assert of(owner, search="x").points == []
    client.force_login(owner)
    for page in ("/history", "/history/trends", "/history?sort=started"):
        assert client.get(page).status_code == 200


def test_counts_have_whole_ticks_and_short_times_are_in_short_units(owner, client):
    record(owner, 0, total_seconds=3.2, genres=["sea"], recipe="text-generation")
    shown = {chart.key: chart for chart in charts(of(owner))}
    assert plots.plot(shown["sessions"].block).y_labels == ["1", "0"]
    assert (shown["time"].header, shown["time"].rows) == (["week", "Time, seconds"], [["2026-03-02", 3.2]])
    record(owner, 7, total_seconds=300)
    shown = {chart.key: chart for chart in charts(of(owner))}
    assert (shown["time"].block.y_label, shown["time"].rows[1]) == ("minutes", ["2026-03-09", 5.0])
    client.force_login(owner)
    whole, narrowed = (
        client.get(f"/history/trends{query}").content.decode() for query in ("", "?recipe=text-generation")
    )
    assert "Of all runs of these days." in whole and "whatever else the list is narrowed to" in narrowed
    assert not re.search(r">[^<]*[Ss]essions?\b[^<]*<", whole)


@pytest.mark.parametrize(
    ("values", "limits", "labels"),
    [
        ([7.5, 7.5], (0, 10), ["10", "8", "6", "4", "2", "0"]),
        ([0.0, 0.0], (None, None), ["1", "0"]),
        ([-3.0], (None, None), ["0", "-1", "-2", "-3"]),
        ([2.0, 3.0], (None, None), ["3", "2"]),
    ],
)
def test_an_axis_has_no_invented_bounds(values, limits, labels):
    block = Lines(title="t", x=list(range(len(values))), lines=[Line(name="a", values=values)], lowest=limits[0],
                  highest=limits[1])  # fmt: skip
    assert plots.plot(block).y_labels == labels


def test_a_value_that_stands_alone_between_gaps_is_a_dot(owner, client):
    block = Lines(title="t", x=[1, 2, 3, 4, 5], lines=[Line(name="a", values=[1, None, 2, 3, None])])
    drawn = plots.plot(block).curves[0]
    assert drawn.points.count("M") == drawn.points.count("h0") == 1 and drawn.path.count("M") == 1 and "L" in drawn.path
