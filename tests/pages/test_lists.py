"""Lists: as many queries for many rows as for one, filters that hold, pages, sorting, CSV."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datasets.creation import create_dataset
from history.recording import record_reported
from jobs import control
from performance.recording import record
from tests.pages.conftest import HTMX
from tests.world import make_job, make_version


def queries_of(page, address):
    with CaptureQueriesContext(connection) as queries:
        assert page.get(address).status_code == 200
    return len(queries)


def a_job(owner, number):
    job = make_job(owner, name=f"Job {number}")
    if number % 3 == 0:
        control.pause(job, owner)


def a_version(owner, number):
    record(make_version(owner, f"Model {number}"), "production/accuracy", 0.5)


def a_session(owner, number):
    now = timezone.now()
    record_reported(owner, {"name": f"Session {number}", "started_at": now, "completed_at": now})


MAKERS = {
    "/": a_job,
    "/jobs": a_job,
    "/queue": a_job,
    "/monitor": a_job,
    "/datasets": lambda owner, number: create_dataset(owner, name=f"Data {number}", modality="text"),
    "/models": a_version,
    "/performance": a_version,
    "/history": a_session,
}


@pytest.mark.parametrize("address", MAKERS)
def test_thirty_rows_cost_no_more_queries_than_three(page, owner, address):
    make = MAKERS[address]
    for number in range(3):
        make(owner, number)
    page.get(address)
    few = queries_of(page, address)
    for number in range(3, 33):
        make(owner, number)
    assert queries_of(page, address) == few
    assert few <= 26


@pytest.mark.parametrize("address", ["/jobs", "/datasets", "/models", "/history", "/performance", "/queue", "/monitor"])
def test_an_empty_list_offers_the_first_step(page, address):
    html = page.get(address).content.decode()
    assert "empty-state" in html
    assert "/jobs/new" in html or "/datasets/new" in html


def test_a_search_narrows_and_htmx_gets_the_list_alone(page, owner):
    make_job(owner, name="The fox")
    make_job(owner, name="The crow")
    html = page.get("/jobs?search=fox", headers=HTMX).content.decode()
    assert "The fox" in html and "The crow" not in html
    assert "<html" not in html
    assert "No job fits" in page.get("/jobs?search=nothing-like-it").content.decode()


def test_status_and_recipe_filter(page, owner):
    make_job(owner, name="Waits")
    control.cancel(make_job(owner, name="Gone"), owner)
    assert "Gone" not in page.get("/jobs?status=active").content.decode()
    html = page.get("/jobs?status=cancelled&recipe=simulate").content.decode()
    assert "Gone" in html and "Waits" not in html


def test_sorting_goes_both_ways(page, owner):
    for name in ("bbb", "aaa", "ccc"):
        make_job(owner, name=name)
    up = page.get("/jobs?sort=name").content.decode()
    down = page.get("/jobs?sort=-name").content.decode()
    assert up.index(">aaa<") < up.index(">bbb<") < up.index(">ccc<")
    assert down.index(">aaa<") > down.index(">bbb<") > down.index(">ccc<")


def test_pages_are_linked_and_a_page_too_far_is_the_last(page, owner):
    for number in range(30):
        make_job(owner, name=f"Job {number:02}")
    assert "1–25 of 30" in page.get("/jobs").content.decode()
    assert "26–30 of 30" in page.get("/jobs?page=99").content.decode()


def test_sorting_by_a_field_of_ours_alone(page, owner):
    make_job(owner)
    for key in ("owner__password", "-owner__password", "?", "id;drop"):
        with CaptureQueriesContext(connection) as queries:
            assert page.get("/jobs", {"sort": key}).status_code == 200
        assert not any("password" in q["sql"].split("FROM", 1)[-1] for q in queries.captured_queries[2:])


def test_the_csv_holds_the_filtered_rows_and_no_formulas(page, owner):
    make_job(owner, name="=1+1")
    make_job(owner, name="Other")
    answer = page.get("/jobs?export=csv&search=%3D1")
    lines = b"".join(answer).decode().splitlines()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="jobs.csv"'
    assert len(lines) == 2
    assert "'=1+1" in lines[1]


@pytest.mark.parametrize("address", ["/datasets", "/models", "/history"])
def test_every_list_exports(page, world, address):
    lines = b"".join(page.get(f"{address}?export=csv")).decode().splitlines()
    assert len(lines) > 1 and all(world.marker in line for line in lines[1:])


def test_the_queue_gives_true_places_and_hides_other_peoples_names(page, owner, stranger):
    make_job(stranger, name="Secret work")
    make_job(owner, name="Mine")
    html = page.get("/queue").content.decode()
    assert "Secret work" not in html
    assert "1 of other people" in html
    assert '<td class="num place">2</td>' in html
