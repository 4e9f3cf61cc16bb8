"""The page of a job and what can be done there."""

import json

import pytest
from django.utils import timezone

from jobs import control, presentation
from jobs.models import Job, LogLine
from tests.pages.conftest import HTMX
from tests.world import make_job, make_version


def test_it_shows_progress_log_chart_and_events(page, world):
    html = page.get(f"/jobs/{world.job.pk}").content.decode()
    for part in ("job-percent", "job-loss", "job-status", "job-log", "loss-chart", "job-actions"):
        assert f'data-testid="{part}"' in html, part
    assert "marker-log line one" in html
    assert f'hx-sse:connect="/stream/job/{world.job.pk}"' in html
    assert "train/loss" in html


def test_a_log_is_searched_and_downloaded(page, world):
    found = page.get(f"/jobs/{world.job.pk}/log?log=LINE+TWO", headers=HTMX).content.decode()
    assert "line two" in found and "line one" not in found
    whole = b"".join(page.get(f"/jobs/{world.job.pk}/log.txt")).decode()
    assert len(whole.splitlines()) == 2
    assert "line two" in page.get(f"/jobs/{world.job.pk}?log=two").content.decode()


def test_a_log_is_narrowed_by_level_and_all_metrics_come_as_one_file(page, world, stranger):
    LogLine.objects.filter(job=world.job, text__contains="two").update(level="warning")
    found = page.get(f"/jobs/{world.job.pk}/log?level=warning", headers=HTMX).content.decode()
    assert "line two" in found and "line one" not in found and "1 line of warnings and errors" in found
    whole = page.get(f"/jobs/{world.job.pk}?level=warning").content.decode()
    assert 'value="warning" selected' in whole and "1 line of warnings" in whole
    assert "line" not in page.get(f"/jobs/{world.job.pk}/log?level=nonsense", headers=HTMX).content.decode()
    address = f"/jobs/{world.job.pk}/metrics.csv"
    assert address in whole
    assert b"".join(page.get(address)).startswith(b"step,recorded_at,")
    page.force_login(stranger)
    assert page.get(address).status_code == 404


def test_cancelling_says_first_what_is_lost(page, owner):
    job = make_job(owner)
    Job.objects.filter(pk=job.pk).update(current_step=50, total_steps=100)
    html = page.get(f"/jobs/{job.pk}/cancel", headers=HTMX).content.decode()
    assert "step 50 of 100" in html and "no model version" in html
    assert "<html" not in html
    whole = page.get(f"/jobs/{job.pk}/cancel").content.decode()
    assert "<html" in whole and "step 50 of 100" in whole
    job.refresh_from_db()
    assert job.status == "queued"


def test_the_question_on_a_page_of_its_own_leads_to_the_job_and_comes_too_late_in_words(page, owner):
    """The form of the page was sent by script, which left the question standing."""
    job = make_job(owner, name="Patience")
    address = f"/jobs/{job.pk}/cancel"
    whole = page.get(address).content.decode()
    assert f'action="{address}"' in whole and f'hx-post="{address}"' not in whole
    assert f'hx-post="{address}"' in page.get(address, headers=HTMX).content.decode(), "the dialog stays on its page"
    assert page.post(address, follow=True).redirect_chain == [(f"/jobs/{job.pk}", 302)]
    late = page.get(address).content.decode()
    assert "&#x27;Patience&#x27; is cancelled already." in late and "<form" not in late.partition("confirm")[2]
    assert f'href="/jobs/{job.pk}"' in late
    assert "is cancelled, so it can&#x27;t be paused." in page.get(f"/jobs/{job.pk}/pause").content.decode()
    told = page.post(address, follow=True)
    assert told.redirect_chain == [(f"/jobs/{job.pk}", 302)]
    assert "so it can&#x27;t be cancelled" in told.content.decode()
    retry = page.get(f"/jobs/{job.pk}/retry").content.decode()
    assert "a cancelled one begins anew" in retry and "undone" not in retry


@pytest.mark.parametrize("verb", list(control.VERBS))
def test_every_question_has_a_sentence_of_its_own(page, owner, verb):
    for job in (make_job(owner, name="Fox"), control.pause(make_job(owner, name="Crow"), owner)):
        html = page.get(f"/jobs/{job.pk}/{verb}", headers=HTMX).content.decode()
        assert job.name in html and "start_now" not in html.replace(f"/{job.pk}/start_now", "")


def test_without_javascript_an_action_leads_back_with_a_toast(page, owner):
    job = make_job(owner, name="Patience")
    answer = page.post(f"/jobs/{job.pk}/pause", follow=True)
    assert answer.redirect_chain == [(f"/jobs/{job.pk}", 302)]
    html = answer.content.decode()
    assert 'data-testid="toast"' in html and "&#x27;Patience&#x27; is paused" in html
    assert 'data-testid="resume-job"' in html


def test_with_htmx_an_action_answers_with_a_toast_alone(page, owner):
    job = make_job(owner)
    html = page.post(f"/jobs/{job.pk}/cancel", headers=HTMX).content.decode()
    assert html.startswith('<hx-partial hx-target="#toasts" hx-swap="beforeend">')
    assert "is cancelled" in html
    # What was said is not said again on the next page.
    assert 'data-testid="toast"' not in page.get("/jobs").content.decode()


def test_what_does_not_fit_the_state_is_explained(page, owner):
    job = control.cancel(make_job(owner), owner)
    answer = page.post(f"/jobs/{job.pk}/pause", headers=HTMX)
    assert answer.status_code == 409
    assert "#toasts" in answer.content.decode() and "cancelled" in answer.content.decode()
    assert page.post(f"/jobs/{job.pk}/explode").status_code == 404


def test_each_state_offers_what_can_be_done_in_it(page, owner):
    job = make_job(owner)
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "pause-job" in html and "cancel-job" in html and "retry-job" not in html
    control.cancel(job, owner)
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "retry-job" in html and "cancel-job" not in html


def test_a_failure_is_told_in_words_with_its_traceback_one_click_away(page, owner):
    job = make_job(owner)
    Job.objects.filter(pk=job.pk).update(
        status="failed", failure_code="NOT_FINITE_LOSS", failure_message="The loss is <b>not</b> finite.",
        failure_hint="Lower the learning rate.", failure_traceback="Traceback: here", completed_at=timezone.now(),
    )  # fmt: skip
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "The loss is &lt;b&gt;not&lt;/b&gt; finite." in html
    assert "Lower the learning rate." in html
    assert html.index("<details") < html.index("Traceback: here")


def test_settings_that_differ_from_the_defaults_are_named(page, owner):
    job = make_job(owner, config={"steps": 77})
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "Changed from the defaults" in html
    assert "77" in html and "instead of 100" in html


def test_many_jobs_at_once_and_those_that_do_not_fit_are_named(page, owner):
    jobs = [make_job(owner, name=f"Job {n}") for n in range(3)]
    control.cancel(jobs[0], owner)
    answer = page.post("/jobs/batch", {"job": [job.pk for job in jobs], "action": "pause"}, follow=True)
    assert sorted(Job.objects.values_list("status", flat=True)) == ["cancelled", "paused", "paused"]
    html = answer.content.decode()
    assert "2 jobs are paused" in html and f"Job {jobs[0].pk} is cancelled" in html


def test_a_batch_from_the_list_answers_with_the_list_as_it_was_filtered(page, owner):
    job = make_job(owner, name="Fox")
    make_job(owner, name="Crow")
    given = {"job": job.pk, "action": "cancel", "sure": 1, "next": "/jobs?search=Fox"}
    html = page.post("/jobs/batch", given, headers=HTMX).content.decode()
    assert 'hx-target="#list"' in html and "Fox" in html and "Crow" not in html and "Cancelled" in html


@pytest.mark.parametrize(
    "given", [{}, {"job": "x"}, {"action": "explode", "job": "1"}, {"job": ["9" * 40], "action": "pause"}]
)
def test_a_batch_of_nothing_says_so(page, owner, given):
    make_job(owner)
    assert "No job was chosen" in page.post("/jobs/batch", given, follow=True).content.decode() or given.get("job")


def test_the_chart_names_its_curves(page, world):
    html = page.get(f"/jobs/{world.job.pk}?chart=loss").content.decode()
    start = html.index('data-series="') + len('data-series="')
    series = json.loads(html[start : html.index('"', start)].replace("&quot;", '"'))
    assert [entry["name"] for entry in series] == ["train/loss", "validation/loss"]
    assert [entry["known"] for entry in series] == [True, False]


def test_a_curve_is_being_loaded_until_it_is_known_that_there_is_none(page, owner):
    job = make_job(owner)
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert "Loading the curve…" in html and 'data-none="The curve is drawn once' in html
    control.cancel(job, owner)
    assert 'data-none="No figures were reported."' in page.get(f"/jobs/{job.pk}").content.decode()


def test_what_comes_second_is_folded_once_a_job_is_over(page, owner):
    job = make_job(owner)
    folded = ("attempts", "log", "placing", "events")
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert [name for name in folded if f'id="{name}-card" open' not in html] == []
    assert 'id="lineage-card">' in html and 'id="checkpoints-card">' in html
    version = make_version(owner, recipe="simulate", metrics={"validation/accuracy": 0.5, "baseline/accuracy": 0.25})
    metrics = version.metrics | {"best/step": 3}
    Job.objects.filter(pk=job.pk).update(
        status="completed", completed_at=timezone.now(), model_version=version, metrics=metrics
    )
    html = page.get(f"/jobs/{job.pk}").content.decode()
    assert [name for name in folded if f'id="{name}-card">' not in html] == []
    assert "(baseline 25.0 %)" in html[: html.index('id="all-figures"')]
    table = html[html.index('id="all-figures"') :]
    assert "Best step" in table and ">25.0 %</td>" in table


def test_a_baseline_alone_makes_no_chart():
    charts = presentation.charts(["test/mae", "train/loss", "baseline/auc", "validation/mae", "baseline/mae"])
    assert list(charts) == ["loss", "mae"]
    assert [line["label"] for line in charts["mae"]] == ["Validation", "Test", "Baseline"]
