"""The page that compares runs, and the ways to it."""

import json
import re
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from history.comparing.looks import looks
from history.models import Session
from history.recording import record_reported
from jobs.models import Job
from tests.history.runs import ended
from tests.world import make_job, make_version

HTMX = {"HX-Request": "true"}
LOSS = "validation/loss"


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def two(owner):
    return [
        ended(owner, name, config={"steps": steps, "same": 1}, metrics={LOSS: loss}, curves={LOSS: [3.0, loss]})
        for name, steps, loss in (("<b>Fox", 10, 1.0), ("Bear", 20, 2.0))
    ]


def address(jobs, more=""):
    return f"/history/compare?runs={','.join(str(job.pk) for job in jobs)}{more}"


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def part(answer, test_id):
    """The text of the card with this test id."""
    html = answer.content.decode().partition(f'data-testid="{test_id}"')[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_without_runs_there_is_something_to_choose_from(page, two):
    answer = page.get("/history/compare")
    assert answer.status_code == 200
    assert "Choose runs" in text_of(answer)
    assert "&lt;b&gt;Fox" in answer.content.decode()
    assert "<b>Fox" not in answer.content.decode()


def test_before_any_run_the_page_says_what_it_is_for(page):
    assert "No runs yet" in text_of(page.get("/history/compare"))


def test_one_run_asks_for_one_more(page, two):
    answer = page.get(address(two[:1]))
    assert answer.status_code == 200
    assert "Choose at least one more" in part(answer, "compare-one")


def test_two_runs_show_what_differs_and_the_better_figure(page, two):
    answer = page.get(address(two))
    assert "Steps 10 20" in part(answer, "compare-settings").replace("steps", "Steps")
    assert "1 equal" in part(answer, "compare-settings")
    assert "1 (the best)" in part(answer, "compare-figures")
    assert part(answer, "compare-figures").count("(the best)") == 1


def test_the_chart_asks_for_the_curves_of_these_runs(page, two):
    html = page.get(address(two, "&x=time")).content.decode()
    series = json.loads(
        re.search(r'data-series="([^"]+)"', html)[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    )
    assert [entry["name"] for entry in series] == [str(job.pk) for job in two]
    source = re.search(r'data-url="([^"]+)"', html)[1].replace("&amp;", "&")
    told = page.get(source).json()
    assert [curve["values"] for curve in told["curves"]] == [[3.0, 1.0], [3.0, 2.0]]
    assert told["x"] == "time"


def test_curves_in_numbers_stand_below_the_chart(page, two):
    shown = part(page.get(address(two)), "compare-curves")
    assert "3 at 1 1 at 2 3 at 1 1 at 2 2" in shown


def test_an_axis_or_metric_that_is_none_gives_the_first(page, two):
    answer = page.get(address(two, "&metric=nope&x=weeks"))
    assert answer.status_code == 200
    assert "Validation loss" in part(answer, "compare-curves")


def test_each_run_can_be_left_out(page, two):
    html = page.get(address(two)).content.decode()
    assert f'href="/history/compare?runs={two[1].pk}"' in html
    assert f'href="/history/compare?runs={two[0].pk}"' in html


def test_ticked_boxes_lead_to_an_address_to_share(page, two):
    answer = page.get(f"/history/compare?runs={two[0].pk}&runs={two[1].pk}&kept={two[0].pk}&search=fox")
    assert (answer.status_code, answer.url) == (302, address(two))


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("x", "names no run"),
        (",".join(map(str, range(1, 52))), "too many"),
        ("9" * 30, "names no run"),
        ("v", "names no"),
    ],
)
def test_what_can_not_be_compared_is_told_above_the_choice(page, two, chosen, told):
    answer = page.get(f"/history/compare?runs={chosen}")
    assert answer.status_code == 400
    assert told in text_of(answer)
    assert "Bear" in text_of(answer)


def test_a_job_that_waits_is_told_to_have_not_begun(page, owner, two):
    answer = page.get(address([two[0], make_job(owner)]))
    assert answer.status_code == 400
    assert "has not begun" in text_of(answer)


def test_another_persons_run_does_not_exist(client, stranger, administrator, two):
    client.force_login(stranger)
    mine = ended(stranger)
    for jobs in (two, [mine, two[0]], two[:1]):
        answer = client.get(address(jobs))
        assert answer.status_code == 404
        assert "Fox" not in answer.content.decode()
    assert "Fox" not in client.get("/history/compare").content.decode()
    client.force_login(administrator)
    assert client.get(address([mine, *two])).status_code == 200


def test_searching_keeps_what_is_ticked(page, owner, two):
    more = ended(owner, "Wolf")
    query = f"/history/compare?runs={two[0].pk}&runs={two[1].pk}&kept={two[0].pk}&search=wolf"
    html = page.get(query, headers=HTMX).content.decode()
    assert "<html" not in html
    boxes = re.findall(r'name="runs" value="(\d+)"( checked)?', html)
    assert boxes == [(str(two[1].pk), " checked"), (str(more.pk), "")]


def test_another_metric_is_fetched_alone(page, two):
    html = page.get(address(two, f"&metric={LOSS}&x=time"), headers=HTMX).content.decode()
    assert 'id="curves"' in html
    assert "compare-settings" not in html


def test_the_page_takes_as_many_queries_for_many_runs_as_for_two(page, owner, two):
    many = [*two, *(ended(owner, curves={LOSS: [1.0]}, metrics={LOSS: 1.0}) for _ in range(18))]
    page.get(address(two))

    def queries(jobs):
        with CaptureQueriesContext(connection) as counted:
            assert page.get(address(jobs)).status_code == 200
        return len(counted)

    assert queries(two) == queries(many)


def test_fifty_lines_are_told_apart_by_colour_and_dashes():
    found = looks(50)
    assert len(set(found)) == 50
    for one, other in pairwise(found):
        assert one.tone != other.tone
        assert one.dash != other.dash


def test_a_version_tells_what_changed_since_the_one_before(page, owner, two):
    first = make_version(owner, config={"width": 8}, metrics={LOSS: 2.0}, source_job_id=two[0].pk)
    second = make_version(owner, config={"width": 16}, metrics={LOSS: 1.0}, source_job_id=two[1].pk)
    html = page.get(f"/versions/{second.pk}").content.decode()
    assert f'hx-get="/versions/{second.pk}/changes"' in html
    answer = page.get(f"/versions/{second.pk}/changes")
    assert "10 → 20" in part(answer, "version-changes")  # of the jobs that made them
    assert "worse" in part(answer, "version-changes")
    assert f'href="{address(two)}"' in answer.content.decode()
    alone = page.get(f"/versions/{first.pk}/changes")
    assert "there is none before it" in text_of(alone)
    assert f"/versions/{first.pk}/changes" not in page.get(f"/versions/{first.pk}").content.decode()


def test_a_strangers_version_tells_nothing(client, stranger, owner):
    make_version(owner)
    second = make_version(owner)
    client.force_login(stranger)
    assert client.get(f"/versions/{second.pk}/changes").status_code == 404


def test_jobs_and_the_history_lead_to_it(page, owner, two):
    assert f"/history/compare?runs={two[0].pk}" in page.get(f"/jobs/{two[0].pk}").content.decode()
    assert "/history/compare" not in page.get(f"/jobs/{make_job(owner).pk}").content.decode()
    assert "/history/compare" in page.get("/history").content.decode()


def test_jobs_that_were_ticked_in_the_list_are_compared(page, two):
    given = {"job": [job.pk for job in two], "action": "compare", "next": "/jobs"}
    assert page.post("/jobs/batch", given).url == address(two)
    assert page.post("/jobs/batch", given, headers=HTMX).headers["HX-Redirect"] == address(two)
    assert "Tick the jobs first" in text_of(page.post("/jobs/batch", {"action": "compare"}, follow=True))
    assert Job.objects.filter(status="completed").count() == 2


def test_too_many_ticked_boxes_are_told_without_losing_the_list(page):
    query = "&".join(f"runs={number}" for number in range(1, 52))
    answer = page.get(f"/history/compare?{query}&kept=&search=x", headers=HTMX)
    assert answer.status_code == 400
    assert "too many" in text_of(answer)
    assert "<html" not in answer.content.decode()


def test_runs_that_were_ticked_in_the_history_are_compared(page, owner, two):
    for job in two:
        made = record_reported(owner, {"name": job.name, "started_at": job.started_at, "completed_at": timezone.now()})
        Session.objects.filter(pk=made[0].pk).update(job=job)
    html = page.get("/history").content.decode()
    for job in two:
        assert f'name="runs" value="{job.pk}" form="ticked"' in html
    given = "&".join(f"runs={job.pk}" for job in two)
    assert page.get(f"/history/compare/ticked?{given}").url == address(two)
    assert page.get(f"/history/compare/ticked?{given}", headers=HTMX).headers["HX-Redirect"] == address(two)


@pytest.mark.parametrize(
    ("count", "told"), [(0, "No run was chosen"), (1, "One run alone"), (51, "51 runs are too many")]
)
def test_too_few_or_too_many_ticks_are_told_and_the_list_stays(page, two, count, told):
    query = "&".join(f"runs={two[0].pk + number}" for number in range(count))
    answer = page.get(f"/history/compare/ticked?{query}", headers=HTMX)
    assert answer.status_code == 400 and told in text_of(answer) and "<html" not in answer.content.decode()
    assert told in text_of(page.get(f"/history/compare/ticked?{query}", follow=True))


def test_a_record_that_no_job_made_has_nothing_to_tick(page, owner):
    now = timezone.now()
    record_reported(owner, {"name": "Elsewhere", "started_at": now, "completed_at": now})
    html = page.get("/history").content.decode()
    assert "Elsewhere" in html and 'name="runs"' not in html
