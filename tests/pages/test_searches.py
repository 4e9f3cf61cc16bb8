"""The pages of searches: begun from a form or around a job, watched, ended, and their best trial made a version."""

import re

import pytest

from jobs.models import Job, Search, Trial
from jobs.search import verbs
from tests.world import make_job

FORM = {
    "recipe": "simulate", "settings_of": "simulate", "dataset": "", "trials": "6", "at_once": "3", "prune": "on",
    "space.steps": "on", "space.steps.low": "5", "space.steps.high": "50",
    "space.step_seconds": "on", "space.step_seconds.low": "0.001", "space.step_seconds.high": "0.1",
    "space.step_seconds.log": "on",
}  # fmt: skip
SPACE = {
    "steps": {"low": 5, "high": 50, "log": False, "whole": True},
    "step_seconds": {"low": 0.001, "high": 0.1, "log": True, "whole": False},
}


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def finished(owner, values=(0.5, 0.2, 0.9)):
    """A search with trials of these values, as a worker leaves them."""
    search = verbs.create(owner, recipe="simulate", name="Bowl", space=SPACE, trials=len(values), at_once=1)
    for number, value in enumerate(values, 1):
        trial = Trial.objects.create(
            search=search, number=number, params={"steps": 5 * number, "step_seconds": 0.01 * number}, value=value,
            state="completed", job=make_job(owner, name=f"Bowl #{number}"),
        )  # fmt: skip
        if value == min(values):
            Search.objects.filter(pk=search.pk).update(best=trial)
    Search.objects.filter(pk=search.pk).update(importances={"steps": 0.8, "step_seconds": 0.2}, weighed=3)
    return Search.objects.get(pk=search.pk)


def test_a_search_is_begun_from_the_form(page):
    answer = page.post("/searches/new", FORM, follow=True)
    assert "has begun: its first trials are being made" in text_of(answer)
    search = Search.objects.get()
    assert search.space == SPACE and (search.wanted, search.at_once, search.prune) == (6, 3, True)
    assert "0 of 6 trials made" in text_of(answer)


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(page):
    answer = page.post("/searches/new", FORM | {"space.steps.low": "60", "name": "Mine"})
    assert answer.status_code == 422 or answer.status_code == 400
    assert "low (60) must be less than high (50)" in text_of(answer)
    html = answer.content.decode()
    assert 'value="60"' in html and 'value="Mine"' in html
    for change, said in (
        ({"trials": "many"}, "Write a whole number."),
        ({"trials": "0"}, "Make from 1 to 1,000 trials."),
        ({"recipe": "magic"}, "Choose a recipe."),
        ({"space.steps.high": "fifty"}, "low and high must be numbers"),
    ):
        assert said in text_of(page.post("/searches/new", FORM | change)), change
    none = {key: value for key, value in FORM.items() if not key.startswith("space.")}
    assert "Choose at least one setting" in text_of(page.post("/searches/new", none))
    assert not Search.objects.exists()


def test_a_search_around_a_job_keeps_its_settings(page, owner):
    job = make_job(owner, config={"steps": 7, "evaluate_every": 3}, seed=11)
    link = f"/searches/new?from={job.pk}"
    assert link in page.get(f"/jobs/{job.pk}").content.decode()
    assert "Around" in text_of(page.get(link))
    page.post("/searches/new", FORM | {"from": job.pk})
    search = Search.objects.get()
    assert (search.config["evaluate_every"], search.seed) == (3, 11) and "steps" not in search.config
    assert page.get(f"/searches/new?from={10**20}").status_code == 404


def test_settings_that_are_not_searched_are_set_in_the_form(page, owner):
    html = page.get("/searches/new?dataset=&recipe=simulate").content.decode()
    assert 'data-testid="fixed-settings"' in html and 'name="config.evaluate_every"' in html
    fixed = {"fixed_of": "simulate", "config.evaluate_every": "7", "config.steps": "900"}
    page.post("/searches/new", FORM | fixed)
    search = Search.objects.get()
    assert search.config["evaluate_every"] == 7 and "steps" not in search.config, "what is searched is not fixed"
    answer = page.post("/searches/new", FORM | fixed | {"config.evaluate_every": "often"})
    assert answer.status_code == 400 and Search.objects.count() == 1
    assert "Write a whole number" in text_of(answer) and 'value="often"' in answer.content.decode()
    again = page.get("/searches/new", FORM | fixed | {"dataset": ""}).content.decode()
    assert 'value="7"' in again and 'data-testid="fixed-settings" open' in again
    job = make_job(owner, config={"steps": 7, "evaluate_every": 3, "fail_attempts": 2})
    page.post("/searches/new", FORM | fixed | {"from": job.pk, "config.fail_attempts": ""})
    made = Search.objects.latest("pk").config
    assert made["evaluate_every"] == 7 and made["fail_attempts"] == 0, "an empty field means the default"


def test_the_page_shows_what_was_tried(page, owner):
    search = finished(owner)
    answer = page.get(f"/searches/{search.pk}")
    shown, html = text_of(answer), answer.content.decode()
    assert "Best so far: 0.2 Validation loss, lower is better , trial 2" in shown
    assert html.count('<polyline class="thread') == 6 and html.count("thread-best") == 2, "side by side, and for phones"
    assert html.count("is-narrow") == 1 and ">Validation loss</text>" in html and ">20</text>" in html
    assert "What mattered" in shown and "Course" in shown
    rows = re.findall(r'id="trial-(\d+)"', html)
    assert rows == ["2", "1", "3"], "the best first"
    assert "Bowl" in text_of(page.get("/searches"))
    fragment = page.get(f"/searches/{search.pk}", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment and "Trials side by side" in fragment


def test_it_is_asked_before_a_search_is_ended(page, owner):
    search = finished(owner)
    assert "No further trial is made" in text_of(page.get(f"/searches/{search.pk}/cancel"))
    answer = page.post(f"/searches/{search.pk}/cancel", follow=True)
    assert "has ended" in text_of(answer)
    search.refresh_from_db()
    assert search.status == "cancelled"
    assert set(Job.objects.values_list("status", flat=True)) == {"cancelled"}
    page.post(f"/searches/{search.pk}/more")
    search.refresh_from_db()
    assert (search.status, search.wanted) == ("running", 13)
    assert page.post(f"/searches/{search.pk}/explode").status_code == 404


def test_more_trials_are_asked_for_with_their_pace(page, owner):
    search = finished(owner)
    for headers in ({}, {"HX-Request": "true"}):
        html = page.get(f"/searches/{search.pk}/more", headers=headers).content.decode()
        assert 'name="trials"' in html and 'name="at_once"' in html and ("<html" in html) is (not headers)
    answer = page.post(f"/searches/{search.pk}/more", {"trials": "7", "at_once": "4"}, follow=True)
    assert "makes more trials, 10 in all, 4 at a time" in text_of(answer)
    search.refresh_from_db()
    assert (search.wanted, search.at_once) == (10, 4)
    assert "Write a whole number" in text_of(page.post(f"/searches/{search.pk}/more", {"trials": "x"}, follow=True))


def test_a_version_that_can_not_be_made_is_refused_in_words(page, owner):
    answer = page.post(f"/searches/{finished(owner).pk}/promote", follow=True)
    assert "The recipe simulate makes no model" in text_of(answer)


@pytest.mark.parametrize("count", [1, 30])
def test_the_pages_ask_the_database_no_more_for_more(page, owner, count, django_assert_max_num_queries):
    search = finished(owner, tuple(0.1 * number for number in range(1, count + 1)))
    for address in ("/searches", f"/searches/{search.pk}"):
        page.get(address)
        with django_assert_max_num_queries(14):
            page.get(address)
