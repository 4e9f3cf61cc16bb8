"""The page of the queue: its order in pages, filters, moves, one action on many, with and without scripts."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import control
from jobs.live import QueueSource
from jobs.models import Job
from jobs.queue import ready
from tests.pages.conftest import HTMX
from tests.pages.test_live import run, targets
from tests.world import make_job


def rows(html):
    """Names in the line, in the order of the page."""
    return re.findall(r'data-testid="queue-row".*?class="title break"[^>]*>([^<]*)<', html, re.DOTALL)


def order():
    return list(ready().values_list("name", flat=True))


@pytest.fixture
def three(owner):
    return [make_job(owner, name=name) for name in ("One", "Two", "Three")]


def test_a_row_tells_what_it_needs_its_priority_by_name_and_why_it_waits(page, owner):
    make_job(owner, name="Greedy", priority=100, resources={"device": "cuda", "devices": 2, "memory_gib": 40})
    make_job(owner, name="Seven", priority=7, preemptible=True)
    html = page.get("/queue").content.decode()
    assert rows(html) == ["Greedy", "Seven"]
    assert "2 GPUs with 40 GiB each" in html and "High" in html and '<td class="rank">7</td>' in html
    assert "no node is running" in html and "Gives way" in html


def test_jobs_move_up_down_and_to_the_top_and_the_answer_tells_the_new_place(page, three):
    def press(one):
        return page.post("/jobs/batch", {"one": one, "next": "/queue"}, headers=HTMX).content.decode()

    assert "&#x27;Three&#x27; is number 2 in line now." in press(f"up:{three[2].pk}")
    assert order() == ["One", "Three", "Two"]
    assert "is number 1 in line now" in press(f"top:{three[1].pk}")
    assert order() == ["Two", "One", "Three"]
    press(f"down:{three[1].pk}")
    assert order() == ["One", "Two", "Three"]
    assert "is already the first of your jobs of normal priority and stays number 1" in press(f"up:{three[0].pk}")
    assert order() == ["One", "Two", "Three"]


def test_without_scripts_a_move_leads_back_to_the_same_page_of_the_queue(page, three):
    answer = page.post("/jobs/batch", {"one": f"top:{three[2].pk}", "next": "/queue?search=T"})
    assert answer.status_code == 302 and answer.url == "/queue?search=T"
    assert rows(page.get(answer.url).content.decode()) == ["Three", "Two"]
    elsewhere = page.post("/jobs/batch", {"one": f"top:{three[2].pk}", "next": "https://evil.test/"})
    assert elsewhere.url == "/jobs"


def test_a_job_that_left_the_queue_is_not_moved_and_the_reason_is_told(page, owner, three):
    control.pause(three[0], owner)
    answer = page.post("/jobs/batch", {"one": f"up:{three[0].pk}"}, headers=HTMX)
    assert answer.status_code == 409 and "has no place in the queue" in answer.content.decode()


def test_jobs_that_go_to_the_top_together_keep_their_order(page, three):
    page.post("/jobs/batch", {"job": [three[1].pk, three[2].pk], "action": "top"})
    assert order() == ["Two", "Three", "One"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"priority": "500"}, 500), ({"priority": "number", "priority_number": "-7"}, -7), ({"priority": "high"}, 100)],
)
def test_a_priority_is_set_for_many_by_level_or_number(page, three, given, expected):
    page.post("/jobs/batch", given | {"job": [three[1].pk, three[2].pk], "action": "priority"})
    assert [job.priority for job in Job.objects.order_by("pk")] == [0, expected, expected]


NO_PRIORITY = [{"priority": "x"}, {"priority": "number", "priority_number": "99999"}, {"priority": "number"}, {}]


@pytest.mark.parametrize("given", NO_PRIORITY)
def test_a_priority_that_is_none_changes_nothing_and_says_what_may_be_written(page, three, given):
    Job.objects.update(priority=7)
    sent = given | {"job": three[0].pk, "action": "priority", "next": "/queue"}
    html = page.post("/jobs/batch", sent, follow=True).content.decode()
    assert set(Job.objects.values_list("priority", flat=True)) == ({7} if given else {0, 7})
    assert "from -1000 to 1000" in html or not given


def test_cancelling_many_asks_first_and_names_what_is_lost(page, three):
    Job.objects.filter(pk=three[0].pk).update(current_step=40)
    sent = {"job": [job.pk for job in three], "action": "cancel", "next": "/queue"}
    asked = page.post("/jobs/batch", sent, headers=HTMX).content.decode()
    assert 'hx-target="#dialog"' in asked and "Cancel 3 jobs?" in asked
    assert "&#x27;One&#x27; is at step 40" in asked and "2 jobs have not begun" in asked
    assert Job.objects.filter(status="queued").count() == 3
    whole = page.post("/jobs/batch", sent).content.decode()
    assert "<html" in whole and whole.count('name="job"') == 3
    page.post("/jobs/batch", sent | {"sure": 1})
    assert Job.objects.filter(status="cancelled").count() == 3


def test_what_is_held_says_why_and_can_go_on(page, owner, three):
    control.pause(three[0], owner)
    later = timezone.now() + timezone.timedelta(days=1)
    waiting = make_job(owner, name="Tomorrow", not_before=later)
    html = page.get("/queue").content.decode()
    assert rows(html) == ["Two", "Three"]
    assert html.count('data-testid="held-row"') == 2 and "Starts at" in html and "Resume it to go on" in html
    page.post("/jobs/batch", {"one": f"resume:{three[0].pk}"})
    page.post("/jobs/batch", {"one": f"start_now:{waiting.pk}"})
    assert len(order()) == 4


def test_the_page_is_paged_searched_and_filtered_by_owner(client, administrator, owner, stranger):
    for number in range(60):
        make_job(owner, name=f"Mine {number:02}")
    make_job(stranger, name="Theirs", priority=100)
    client.force_login(administrator)
    first = client.get("/queue").content.decode()
    assert rows(first)[:2] == ["Theirs", "Mine 00"] and len(rows(first)) == 50 and "1–50 of 61" in first
    second = client.get("/queue?page=2").content.decode()
    assert len(rows(second)) == 11 and '<td class="num place">51</td>' in second
    assert 'hx-sse:connect="/stream/queue/me?page=2"' in second
    mine = client.get(f"/queue?owner={owner.pk}&search=Mine 0").content.decode()
    assert len(rows(mine)) == 10 and '<td class="num place">2</td>' in mine
    assert rows(client.get("/queue?page=99").content.decode()) == rows(second)


def test_only_administrators_choose_among_owners(page, owner, stranger):
    make_job(stranger, name="Secret work")
    html = page.get(f"/queue?owner={stranger.pk}").content.decode()
    assert "Secret work" not in html and 'name="owner"' not in html
    source = QueueSource.open(owner, "me", {"owner": str(stranger.pk)})
    assert "Secret work" not in "".join(message.data for message in source.snapshot())


def test_a_changed_filter_brings_the_parts_and_a_stream_that_follows_it(page, three):
    html = page.get("/queue?search=T", headers=HTMX).content.decode()
    assert "<html" not in html and rows(html) == ["Two", "Three"]
    assert 'hx-sse:connect="/stream/queue/me?search=T"' in html
    assert "No job in line fits" in page.get("/queue?search=nothing").content.decode()


def test_the_stream_follows_its_page_and_filter(owner, three):
    source = QueueSource.open(owner, "me", {"search": "Two"})
    other = QueueSource.open(owner, "me", {})
    assert source.channel != other.channel
    source.snapshot()
    make_job(owner, name="Four")
    assert targets(source.update()) == {"queue-figures"}
    control.change(three[1], owner, name="Two, renamed")
    assert targets(source.update()) == {"queue-line"}
    run(three[1], current_step=100)
    assert "queue-running" in targets(source.update())


def test_the_queue_of_thousands_costs_as_many_queries_as_that_of_ten(client, administrator, owner):
    first = make_job(owner, name="First")
    client.force_login(administrator)

    def queries():
        with CaptureQueriesContext(connection) as found:
            assert client.get("/queue").status_code == 200
        return found

    client.get("/queue")
    few = len(queries())
    fields = {"recipe": "simulate", "owner": owner, "queued_at": timezone.now()}
    Job.objects.bulk_create(Job(name=f"Job {n}", position=first.position + n, **fields) for n in range(1, 3000))
    many = queries()
    assert len(many) == few
    selected = [query["sql"] for query in many if 'FROM "jobs_job"' in query["sql"] and "COUNT(" not in query["sql"]]
    assert all("LIMIT" in sql or " IN (" in sql or "= 'running'" in sql for sql in selected), selected


def test_a_job_is_found_by_its_number(page, three):
    """Forms ask for numbers of jobs, so lists show them and find by them."""
    number = three[1].pk
    html = page.get(f"/queue?search=%23{number}").content.decode()
    assert rows(html) == ["Two"] and f"<span>#{number}</span>" in html
    html = page.get(f"/jobs?search={number}").content.decode()
    assert f"#{number} ·" in html and f"#{three[0].pk} ·" not in html


def test_a_search_that_only_held_jobs_fit_says_so(page, owner, three):
    control.pause(three[0], owner)
    html = page.get("/queue?search=One").content.decode()
    assert "What you search for is held: see below." in html and html.count('data-testid="held-row"') == 1
    assert "Nothing that waits matches" in page.get("/queue?search=nothing").content.decode()


def ends(html):
    """Which of the buttons Up and Down say that they can do nothing: 'up One', …"""
    found = re.findall(r'data-moves aria-disabled="true" aria-label="Move (\w+) (up|down)"', html)
    return {f"{way} {name}" for name, way in found}


def test_moves_that_can_do_nothing_look_so_and_only_those(page, owner, three):
    make_job(owner, name="Urgent", priority=500)
    assert ends(page.get("/queue").content.decode()) == {"up Urgent", "down Urgent", "up One", "down Three"}
    assert ends(page.get("/queue?search=o").content.decode()) == set(), "a filter hides the neighbours"
    for number in range(60):
        make_job(owner, name=f"More{number}")
    assert ends(page.get("/queue").content.decode()) == {"up Urgent", "down Urgent", "up One"}
    assert ends(page.get("/queue?page=2").content.decode()) == {"down More59"}


def test_the_csv_holds_the_places(page, three):
    lines = b"".join(page.get("/queue?export=csv&search=T")).decode().splitlines()
    assert lines[0].startswith("place,id,name") and [line.split(",")[0] for line in lines[1:]] == ["2", "3"]
