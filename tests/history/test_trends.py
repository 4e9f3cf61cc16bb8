"""Trends: what each period adds up to, whoever counts, and nobody else's."""

from datetime import UTC, date, datetime, timedelta

import pytest

from datasets.subjects.subjects import create as create_subject
from history import browsing, filters
from history.models import Session
from history.recording import record_reported
from history.trend_charts import charts
from history.trends import READ, trends
from registry import plots
from tests.api.conftest import Api
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
        "Sessions",
        "Time at work",
        "Validation accuracy by recipe",
        "Examples by genre",
        "Wins by generating",
    ):
        assert title in html, title
    assert html.count("The numbers as a table") == html.count("csv=")
    lines = b"".join(client.get("/history/trends?csv=sessions")).decode().splitlines()
    assert lines == ["week,Sessions,Failed", "2026-03-02,3,1", "2026-03-09,0,0", "2026-03-16,1,0"]
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
