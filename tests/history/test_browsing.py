"""Looking through the history: what each filter leaves, orders, pages, totals."""

from datetime import UTC, date, datetime, timedelta
from itertools import chain

import pytest
from django.db import connection

from common.errors import InvalidInputError
from datasets.subjects.subjects import create as create_subject
from history import browsing, daily, filters, notes, statistics
from history.filters import Filters
from history.models import Session, SessionDay
from history.recording import record_reported
from tests.world import make_version

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def session(owner, number=0, **more):
    at = START + timedelta(days=number)
    given = {"name": f"run {number}", "started_at": at, "completed_at": at + timedelta(minutes=5), **more}
    return record_reported(owner, given)[0]


@pytest.fixture
def ten(owner):
    """Ten days, every second of text, every third failed."""
    kinds = [{"recipe": "text-generation"}, {"recipe": "image-classification"}]
    return [
        session(owner, number, outcome="failed" if number % 3 == 0 else "completed", total_seconds=100 - number,
                quality_average=number if number % 2 else None, kind="training" if number < 5 else "generation",
                **kinds[number % 2])
        for number in range(10)
    ]  # fmt: skip


def names(owner, **asked):
    place = {name: asked.pop(name) for name in ("sort", "after", "before", "size") if name in asked}
    part = browsing.page(owner, filters.read(asked, owner), **place)
    by_id = Session.objects.in_bulk(part.ids)
    return [int(by_id[pk].name.split()[1]) for pk in part.ids]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"outcome": "failed"}, [9, 6, 3, 0]),
        ({"recipe": "text-generation", "outcome": "failed"}, [6, 0]),
        ({"modality": "image"}, [9, 7, 5, 3, 1]),
        ({"kind": "training"}, [4, 3, 2, 1, 0]),
        ({"since": "2026-03-03", "until": "2026-03-04"}, [3, 2]),
        ({"search": "RUN 7"}, [7]),
        ({"search": "nowhere"}, []),
        ({"sort": "started", "outcome": "failed"}, [0, 3, 6, 9]),
        ({"sort": "-time"}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"sort": "quality"}, [1, 3, 5, 7, 9]),
        ({"sort": "-name", "kind": "training"}, [4, 3, 2, 1, 0]),
        ({"sort": "-quality", "outcome": "failed", "since": "2026-03-05"}, [9]),
    ],
)
def test_filters_and_orders_leave_what_they_say(owner, ten, asked, expected):
    assert names(owner, **asked) == expected


def test_subject_model_tag_and_star_narrow_too(owner, ten):
    subject, version = create_subject(owner, name="Pump"), make_version(owner)
    Session.objects.filter(pk=ten[2].pk).update(subject=subject)
    Session.objects.filter(pk=ten[3].pk).update(model_version=version)
    notes.change(ten[4], tags=["good"], note="worth a look")
    notes.change(ten[5], starred=True)
    assert names(owner, subject=subject.pk) == [2]
    assert names(owner, model=version.model_id) == [3]
    assert names(owner, tag="good") == names(owner, search="worth A") == [4]
    assert names(owner, starred="1") == [5]
    assert names(owner, starred="1", tag="good") == []


@pytest.mark.parametrize("rare", [0, 1000])
@pytest.mark.parametrize(
    "asked", [{}, {"outcome": "completed"}, {"search": "run"}, {"sort": "time"}, {"sort": "-quality"}]
)
def test_pages_lead_forth_and_back_whatever_finds_them(owner, ten, monkeypatch, asked, rare):
    monkeypatch.setattr(browsing, "RARE", rare)  # 0: nothing is few, so that indexes are walked
    wanted, sort = filters.read(asked, owner), asked.get("sort", "-started")
    every = browsing.page(owner, wanted, sort=sort).ids
    seen, after = [], None
    while True:
        part = browsing.page(owner, wanted, sort=sort, after=after, size=3)
        seen.append(part.ids)
        if part.after is None:
            break
        after = part.after
    assert list(chain(*seen)) == every
    assert part.before is not None
    back = browsing.page(owner, wanted, sort=sort, before=part.before, size=3)
    assert back.ids == seen[-2]
    assert back.after == seen[-2][-1]


def test_what_no_index_has_is_looked_for_in_parts(owner, ten, monkeypatch):
    from history import paging

    monkeypatch.setattr(paging, "FIRST_STRETCH", 2)
    monkeypatch.setattr(paging, "BUDGET", 0)
    wanted = Filters(search="run 3")
    part = browsing.page(owner, wanted)
    assert (part.ids, part.looked) == ([], True)
    found = []
    while part.after is not None:
        part = browsing.page(owner, wanted, after=part.after)
        found += part.ids
    assert found == [ten[3].pk]


def test_a_place_in_someone_elses_list_begins_at_the_start(owner, stranger, ten):
    foreign = session(stranger, 20)
    assert browsing.page(owner, Filters(), after=foreign.pk).ids == [row.pk for row in reversed(ten)]
    assert names(stranger) == [20]


def test_totals_are_exact_by_days_and_bounded_otherwise(owner, ten, monkeypatch):
    assert str(browsing.total(owner, Filters())) == "10"
    assert str(browsing.total(owner, filters.read({"outcome": "failed", "until": "2026-03-05"}, owner))) == "2"
    assert str(browsing.total(owner, Filters(search="run 1"))) == "1"
    assert str(browsing.total(owner, Filters(), "-quality")) == "5"
    monkeypatch.setattr(browsing, "COUNTED", 3)
    notes.change(ten[0], starred=True)
    assert browsing.total(owner, Filters(), "-quality").exact is False
    assert str(browsing.total(owner, Filters(starred=True))) == "1"


def test_the_sums_of_days_are_what_the_sessions_say(owner, stranger, ten):
    session(stranger, 3, total_seconds=1e6)
    for asked in ({}, {"outcome": "failed"}, {"modality": "image"}, {"since": "2026-03-04", "kind": "training"}):
        wanted = filters.read(asked, owner)
        added = statistics.of_days(statistics.days(owner, wanted))
        assert added == statistics.statistics(browsing.matching(owner, wanted)), asked
    before = list(SessionDay.objects.order_by("day", "user").values_list("day", "sessions", "seconds", "rated"))
    daily.rebuild()
    assert list(SessionDay.objects.order_by("day", "user").values_list("day", "sessions", "seconds", "rated")) == before


def test_figures_of_a_tag_are_of_its_sessions(owner, ten):
    notes.change(ten[4], tags=["good"])
    figures = browsing.figures(owner, Filters(tag="good"))
    assert (figures.totals["sessions"], figures.totals["total_seconds"], figures.partial) == (1, 96.0, False)


def test_staff_see_all_or_one_users(owner, administrator, stranger, ten):
    session(stranger, 20)
    assert len(names(administrator)) == 11
    assert names(administrator, user=stranger.pk) == [20]
    assert str(browsing.total(administrator, Filters(user=stranger.pk))) == "1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "x"}, {"recipe": "x"}, {"subject": "7"}, {"subject": "x"}, {"model": "9" * 30}, {"user": "0"},
        {"since": "2026-02-30"}, {"since": "0001-01-01"}, {"starred": "perhaps"}, {"kind": "\x00x"},
        {"since": "2026-03-02", "until": "2026-03-01"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_words_or_passed_over(owner, wrong):
    with pytest.raises(InvalidInputError) as error:
        filters.read(wrong, owner)
    assert error.value.fields
    filters.read(wrong, owner, lenient=True)


def test_nobody_narrows_to_what_is_someone_elses(owner, stranger):
    subject, version = create_subject(stranger, name="Pump"), make_version(stranger)
    for asked in ({"subject": subject.pk}, {"model": version.model_id}, {"user": stranger.pk}):
        with pytest.raises(InvalidInputError):
            filters.read(asked, owner)


def plan(rows):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of few rows is read whole otherwise
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


def test_plans_use_the_indexes(owner, ten):
    mine = Session.objects.filter(user=owner)
    newest = plan(mine.filter(started_at__gte=START).order_by("-started_at", "-id").values("pk")[:25])
    assert "session_user_started" in newest and "Sort" not in newest
    assert "session_id" in plan(Session.objects.filter(session_id=ten[0].session_id).order_by())
    failed = plan(mine.filter(outcome="failed").order_by("-started_at", "-id").values("pk")[:25])
    assert "session_user_outcome" in failed
    best = plan(mine.filter(quality_average__isnull=False).order_by("-quality_average", "-id").values("pk")[:25])
    assert "session_by_quality" in best
    assert "session_tag" in plan(Session.objects.filter(tags__contains=["x"]).order_by())


@pytest.mark.parametrize("sort", [sort for sort in browsing.SORTS if sort != "started"])
def test_everyones_sessions_have_an_index_in_each_order(ten, sort):
    column, only = browsing.SORTS[sort]
    found = plan(Session.objects.filter(only).order_by(f"-{column}", "-id").values("pk")[:25])
    assert f"session_all_by_{sort}" in found and "Sort" not in found


def test_the_index_of_subjects_holds_all_that_their_trends_filter_and_add_up():
    """So that these are read from it alone."""
    index = next(index for index in Session._meta.indexes if index.name == "session_by_subject")
    assert {*filters.EQUAL, "user", "metric", "metric_value", "quality_average"} <= set(index.include)


def test_an_administrator_narrows_to_one_user_on_the_page(client, administrator, owner, ten):
    client.force_login(administrator)
    html = client.get(f"/history?user={owner.pk}&outcome=failed").content.decode()
    assert html.count('data-testid="session-row"') == 4
    assert client.get(f"/api/v1/training-history/user/{owner.pk}/stats").json()["sessions"] == 10


def test_days_are_whole(owner):
    session(owner, 0, started_at=datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC),
            completed_at=datetime(2026, 3, 2, tzinfo=UTC))  # fmt: skip
    assert names(owner, until="2026-03-01") == [0]
    assert names(owner, since="2026-03-02") == []
    assert statistics.days(owner, Filters(since=date(2026, 3, 1), until=date(2026, 3, 1))).count() == 1


def test_what_was_generated_is_counted_apart_from_what_was_trained_on(owner, client):
    session(owner, 1, kind="training", examples_successful=1000)
    session(owner, 2, kind="generation", examples_requested=500, examples_successful=60, examples_failed=6,
            metrics={"generate/failed": 6, "generate/kept": 60, "generate/quality_max": 9.0})  # fmt: skip
    for found in (statistics.of_days(SessionDay.objects.all()), statistics.statistics(Session.objects.all())):
        assert (found["examples"], found["generated_examples"]) == (1060, 60)
    client.force_login(owner)
    assert "<dt>Examples generated</dt><dd>60</dd>" in client.get("/history").content.decode()
    html = client.get(f"/history/{Session.objects.get(kind='generation').pk}").content.decode()
    assert "60 of 500, 6 failed, 434 not tried" in html and "2026-03-03 12:00:00 UTC" in html
    assert "Generate" not in html, "what stands there in words is not told again by its raw name"


def test_an_order_that_no_run_fits_says_so(owner, client):
    session(owner)
    client.force_login(owner)
    html = client.get("/history?sort=-cost").content.decode()
    assert "No cost of any run is known" in html and "these filters" not in html
