"""The pages of training models again."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from common.errors import NotFoundError
from performance.models import Retraining, RetrainingPolicy
from performance.retraining import decisions, policies, triggers
from performance.retraining.live import RetrainingSource, seen
from tests.performance.retrained import end, make_line
from tests.registry.test_access import with_role

pytestmark = pytest.mark.django_db
LIST = "/performance/retraining"


@pytest.fixture
def model(owner):
    return make_line(owner)


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


def as_user(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def test_without_anything_the_page_says_what_it_is_for(page):
    assert "No model was trained again yet" in page.get(LIST).content.decode()


def test_retrain_now_asks_with_what_it_would_do_and_then_does_it_once(page, model):
    address = f"{LIST}/models/{model.pk}/now"
    asked = page.get(address)
    text = asked.content.decode()
    assert "The champion is Turbines v1." in text and "Its job goes into the queue at once." in text
    key = next(value for name, value in asked.context["kept"] if name == "key")
    for _ in range(2):
        answer = page.post(address, {"key": key}, follow=True)
        assert "has begun" in answer.content.decode()
    row = Retraining.objects.get()
    assert answer.redirect_chain[-1][0] == f"{LIST}/{row.pk}" and row.job
    again = page.get(address).content.decode()
    assert "can&#x27;t be trained again now" in again and f"Retraining {row.pk} is queued" in again
    refused = page.post(address, {"key": "other"}, follow=True).content.decode()
    assert "is being trained again already" in refused


def test_the_story_is_told_with_its_buttons_for_who_may(page, model, owner):
    policies.change(model, owner, approvals_start=1)
    row, _ = triggers.trigger(model, owner, reason="Spring.")
    address = f"{LIST}/{row.pk}"
    mine = page.get(address).content.decode()
    assert "somebody else of the role Approvers" in mine and 'value="decline"' in mine and 'value="approve"' not in mine
    bob = as_user(with_role("bob", "Approvers"))
    assert 'value="approve"' in bob.get(address).content.decode()
    dashboard = bob.get("/").content.decode()
    assert "Retraining of Turbines" in dashboard and f'href="{address}"' in dashboard
    assert 'data-testid="decision"' not in page.get("/").content.decode(), "who asked does not decide"
    assert (
        "Say why it is declined."
        in bob.post(f"{address}/decide", {"decision": "decline"}, follow=True).content.decode()
    )
    assert "Approved." in bob.post(f"{address}/decide", {"decision": "approve"}, follow=True).content.decode()
    row.refresh_from_db()
    story = page.get(address).content.decode()
    assert 'data-testid="decision"' not in bob.get("/").content.decode()
    assert row.job and all(word in story for word in ("Triggered", "Approved", "Job made", "Approved by bob"))
    assert page.post(f"{address}/decide", {"decision": "approve"}, follow=True).status_code == 200
    assert as_user(with_role("ann", "Analysts")).get(f"{address}/decide", follow=True).status_code == 200


def test_a_report_is_shown_as_a_table_with_verdicts(page, model, owner):
    row, _ = triggers.trigger(model, owner)
    version = end(row.job)
    one = {
        "title": "Held out", "figure": "accuracy", "n": 120, "champion": 0.8, "challenger": 0.9, "value": 0.1,
        "low": 0.02, "high": 0.18, "verdict": "better", "words": "", "notes": ["The test part."], "group": None,
    }  # fmt: skip
    report = {"verdict": "better", "words": "The challenger is better.", "problem": "", "compared": [one]}
    Retraining.objects.filter(pk=row.pk).update(status="challenger", challenger=version, report=report)
    text = page.get(f"{LIST}/{row.pk}").content.decode()
    for part in ("The challenger is better.", "Held out", "2.0 % to 18.0 %", "90.0 %", "The test part."):
        assert part in text, part


def test_a_policy_is_typed_said_in_words_and_kept(page, model):
    address = f"{LIST}/models/{model.pk}"
    typed = {
        "sent": "1", "enabled": "1", "kind": "weekly", "days": ["mon", "thu"], "at": "02:30", "zone": "Europe/Berlin",
        "drift_inputs": "1", "new_items": "500", "metric_periods": "1", "metric_count": "0", "cooldown_hours": "12",
        "budget_jobs": "3", "window": "days", "window_count": "30", "after": "promote", "approvals_start": "1",
    }  # fmt: skip
    words = page.get(f"{address}/words", typed).content.decode()
    assert "every Monday and Thursday at 02:30, Europe/Berlin" in words and "items of the last 30 days" in words
    assert not RetrainingPolicy.objects.exists(), "looking changes nothing"
    saved = page.post(address, typed, follow=True).content.decode()
    assert "It is saved." in saved and 'value="500"' in saved
    policy = RetrainingPolicy.objects.get()
    assert (policy.rule["days"], policy.window_count, policy.approvals_start, policy.approvals_promotion) == (
        ["mon", "thu"], 30, 1, 0,
    )  # fmt: skip
    bad = page.post(address, typed | {"window_count": "many", "new_items": "0"})
    assert bad.status_code == 400 and bad.content.decode().count("Use a whole number") >= 2
    assert 'id="days"' not in page.get(address, {"sent": "1", "kind": "cron"}).content.decode()


def test_minutes_go_on_being_counted_when_something_else_is_changed(page, model, owner):
    start = "2026-01-01T00:07:00+00:00"
    policies.change(model, owner, enabled=True, rule={"kind": "every", "minutes": 60, "from": start}, zone="UTC")
    typed = {"sent": "1", "kind": "every", "count": "1", "unit": "60", "zone": "UTC", "new_items": "9",
             "window": "all", "after": "report", "metric_direction": "below", "approvals_start": "1",
             "approvals_promotion": "1"}  # fmt: skip
    page.post(f"{LIST}/models/{model.pk}", typed)
    policy = RetrainingPolicy.objects.get()
    assert (policy.rule["from"], policy.new_items, policy.enabled) == (start, 9, False)


def test_the_list_shows_filters_and_hands_out_what_was_started(page, model, owner, django_assert_max_num_queries):
    policies.change(model, owner, enabled=True, approvals_start=0, drift_inputs=True, cooldown_hours=5)
    row, _ = triggers.trigger(model, owner)
    text = page.get(LIST).content.decode()
    assert "When a drift of inputs is seen. Then: compare it" in text and f"Retraining {row.pk} is queued." in text
    assert "Cooldown until" in text and "1 of 4 trainings of this month are used." in text
    assert "None fits" in page.get(f"{LIST}?status=failed").content.decode()
    csv = b"".join(page.get(f"{LIST}?export=csv").streaming_content).decode()
    assert csv.splitlines()[1].startswith(f"{row.pk},Turbines,queued,manual,")
    for number in range(5):
        other = make_line(owner, f"Line {number}")
        policies.change(other, owner, enabled=True, drift_inputs=True)
        Retraining.objects.create(
            model=other, kind="drift", status="refused", waits_since=timezone.now(), ended_at=timezone.now()
        )
    with django_assert_max_num_queries(12):
        page.get(LIST)


def test_strangers_find_nothing_and_who_only_looks_changes_nothing(page, model, owner, stranger):
    row, _ = triggers.trigger(model, owner)
    mallory, ann = as_user(stranger), as_user(with_role("ann", "Analysts"))
    assert "Turbines" not in mallory.get(LIST).content.decode()
    for address in (f"{LIST}/{row.pk}", f"{LIST}/models/{model.pk}", f"{LIST}/models/{model.pk}/now"):
        assert (mallory.get(address).status_code, ann.get(address).status_code) == (404, 200), address
    assert mallory.post(f"{LIST}/{row.pk}/decide", {"decision": "decline", "reason": "x"}).status_code == 404
    assert mallory.post(f"{LIST}/models/{model.pk}/now").status_code == 404
    assert ann.post(f"{LIST}/models/{model.pk}", {"sent": "1"}).status_code == 403
    assert "You may not have" in ann.post(f"{LIST}/models/{model.pk}/now", follow=True).content.decode()
    assert Retraining.objects.count() == 1


def test_an_open_page_is_told_once_that_it_went_on(model, owner, stranger):
    policies.change(model, owner, approvals_start=1)
    row, _ = triggers.trigger(model, owner)
    source = RetrainingSource.open(owner, str(row.pk), {"seen": seen(row)})
    assert source.snapshot() == []
    decisions.decline(row, owner, "Not now")
    assert [message.event for message in source.update()] == ["items"] and source.update() == []
    for key in (str(row.pk), "0", "x"):
        with pytest.raises(NotFoundError):
            RetrainingSource.open(stranger, key, {})
