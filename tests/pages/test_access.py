"""Every page opens for its owner, asks strangers to sign in, and does not exist for others."""

import pytest
from django.urls import get_resolver

from jobs.models import Job

POST_ONLY = {
    "logout",
    "dataset-change",
    "theme",
    "token-create",
    "password-change",
    "jobs-batch",
    "job-change",
    "job-new-measure",
    "dataset-upload",
    "dataset-items-edit",
    "dataset-item-change",
    "dataset-edit-undo",
    "dataset-import-from",
    "dataset-import-again",
    "dataset-freeze",
    "dataset-quality-check",
    "dataset-quality-settings",
    "dataset-quality-finding",
    "dataset-quality-accept",
    "dataset-quality-undo",
    "dataset-sheet-preview",
    "subjects-start",
    "subjects-estimate",
    "subject-change",
    "subject-merge",
    "dataset-gates-change",
    "dataset-gates-assign",
    "dataset-gates-dismiss",
    "dataset-review-vote",
    "dataset-review-undo",
    "version-try",
    "version-archive",
    "version-reproduce",
    "version-unarchive",
    "version-verify",
    "model-logging",
    "prediction-outcome",
    "version-challenge",
    "promotion-action",
    "version-try-stream",
    "model-deploy",
    "experiment-look",
    "endpoint-try",
    "automatic-start",
    "session-note",
    "session-star",
    "history-view-new",
    "retraining-decide",
    "drift-ask",
    "alert-acknowledge",
    "alert-resolve",
    "alert-snooze",
    "channel-test",
    "redeliver",
}
FOR_ALL = {
    "dashboard", "monitor", "queue", "nodes", "node", "jobs", "job-new", "job-new-split", "job-new-prompts",
    "job-new-expected", "datasets", "dataset-new",
    "reviews", "models", "promotions", "history", "history-compare", "history-trends", "performance",
    "retraining",
    "experiments",
    "drift", "drift-checks",
    "settings", "schedules", "schedule-new", "schedule-preview",
    "searches", "search-new",
    "templates", "endpoints", "automatic",
    "subjects", "subject-new",
    "alerts", "alert-rules", "alert-rule-new", "notifications",
}  # fmt: skip
FOR_ADMINISTRATORS = {"node-action", "audit"}
# The last three lead to one.
NOT_PAGES = {"login", "healthz", "metrics", "history-compare-ticked", "model-promote", "model-in-use"}


def names():
    found = set()
    for pattern in get_resolver().url_patterns:
        for inner in getattr(pattern, "url_patterns", [pattern]):
            if str(pattern.pattern) == "" or pattern is inner:
                found.add(inner.name)
    return found - {None}


def test_every_page_of_the_url_configuration_is_looked_at(pages):
    assert names() == set(pages) | POST_ONLY | NOT_PAGES


def test_every_page_opens_for_its_owner(page, pages):
    for name, address in pages.items():
        assert page.get(address).status_code == (403 if name in FOR_ADMINISTRATORS else 200), name


def test_every_page_sends_the_anonymous_to_sign_in(client, pages):
    for name, address in pages.items():
        answer = client.get(address)
        assert answer.status_code == 302, name
        assert answer.url.startswith("/login?next="), name


def test_what_belongs_to_someone_else_does_not_exist(client, stranger, pages, world):
    client.force_login(stranger)
    for name, address in pages.items():
        answer = client.get(address)
        expected = 200 if name in FOR_ALL else 403 if name in FOR_ADMINISTRATORS else 404
        assert answer.status_code == expected, name
        if not answer.streaming:
            assert world.marker not in answer.content.decode(), name


def test_administrators_see_everything_but_tokens(client, administrator, pages):
    client.force_login(administrator)
    for name, address in pages.items():
        assert client.get(address).status_code == (404 if name == "token-revoke" else 200), name


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry", "checkpoint", "start_now", "up", "top"])
def test_a_stranger_can_do_nothing_with_a_job(client, stranger, world, action):
    client.force_login(stranger)
    assert client.post(f"/jobs/{world.job.pk}/{action}").status_code == 404
    client.post("/jobs/batch", {"job": world.job.pk, "action": action, "sure": 1})
    client.post("/jobs/batch", {"job": world.job.pk, "action": "priority", "priority": "500"})
    for one in ("top", "pause", "cancel"):
        assert client.post("/jobs/batch", {"one": f"{one}:{world.job.pk}"}).status_code == 404
    assert client.post(f"/jobs/{world.job.pk}/change", {"priority": "500"}).status_code == 404
    before = (world.job.status, world.job.request, world.job.priority)
    world.job.refresh_from_db()
    assert (world.job.status, world.job.request, world.job.priority) == before


def test_a_stranger_can_do_nothing_with_a_dataset_or_version(client, stranger, world):
    client.force_login(stranger)
    for address in (
        f"/datasets/{world.dataset.pk}/delete",
        f"/datasets/{world.dataset.pk}/freeze",
        f"/datasets/{world.dataset.pk}/upload",
        f"/versions/{world.version.pk}/try",
        f"/versions/{world.version.pk}/merge",
        f"/versions/{world.version.pk}/promote",
        f"/versions/{world.version.pk}/challenge",
        f"/models/{world.version.model_id}/rollback",
        f"/models/{world.version.model_id}/policy",
        f"/models/{world.version.model_id}/names/champion/remove",
        f"/promotions/{world.promotion.pk}/approve",
        f"/settings/tokens/{world.token.pk}/revoke",
    ):
        assert client.post(address).status_code == 404, address
    assert client.get(f"/jobs/new?from={world.job.pk}").status_code == 404
    given = {"recipe": "text-generation", "dataset": world.dataset.pk, "model": world.version.model_id}
    assert client.post("/jobs/new", given).status_code == 404
    assert client.post("/jobs/new", given | {"model": ""}).status_code == 400
    assert Job.objects.count() == 1


def test_looking_changes_nothing(page, pages, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for name, address in pages.items():
        with CaptureQueriesContext(connection) as queries:
            answer = page.get(address)
            if answer.streaming:
                list(answer)
        written = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        assert not written, name


def test_a_page_of_a_lost_session_is_loaded_anew(client, pages):
    answer = client.get("/login?next=/jobs", headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true"
