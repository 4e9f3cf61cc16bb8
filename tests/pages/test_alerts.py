"""The pages of alerts, rules and channels: what they say and do, without JavaScript."""

import pytest

from performance.models import Alert, AlertRule, Channel, Delivery
from performance.recording import record
from tests.world import make_alert, make_version


@pytest.fixture
def version(owner):
    made = make_version(owner)
    record(made, "production/accuracy", 0.5)
    return made


@pytest.fixture
def alert(owner, version):
    return make_alert(owner, version)


def read(page, address):
    answer = page.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_page_says_how_many_want_attention(page, alert):
    for address in ("/", "/models", "/settings"):
        assert '>1<span class="word"> alert</span>' in read(page, address), address
    page.post(f"/performance/alerts/{alert.pk}/snooze", {"hours": "1"})
    assert 'class="alert-mark"' not in read(page, "/")


def test_the_dashboard_shows_the_worst_with_a_word_for_how_bad(page, alert):
    html = read(page, "/")
    assert "production/accuracy of Teller" in html and "<span>Warning</span>" in html


def test_a_page_costs_one_query_more_for_the_count(page, alert, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        page.get("/models")
    assert len([q for q in queries if "performance_alert" in q["sql"]]) == 1


def test_an_alert_is_acknowledged_with_a_note_and_resolved(page, alert):
    address = f"/performance/alerts/{alert.pk}"
    assert "0.5, below 0.8" in read(page, address)
    answer = page.post(f"{address}/acknowledge", {"note": "I look at it."}, follow=True)
    html = answer.content.decode()
    assert "You are at it" in html and "I look at it." in html and "Acknowledged</strong> by alice" in html
    answer = page.post(f"{address}/resolve", {"from": "list"}, follow=True)
    assert "It is over." in answer.content.decode() and answer.redirect_chain[0][0] == "/performance/alerts"
    again = page.post(f"{address}/resolve", follow=True)
    assert "is over already" in again.content.decode()


@pytest.mark.parametrize("hours", ["", "0", "-1", "1e9", "x"])
def test_a_time_that_is_none_is_refused_in_words(page, alert, hours):
    answer = page.post(f"/performance/alerts/{alert.pk}/snooze", {"hours": hours}, follow=True)
    assert "until then" in answer.content.decode() and Alert.objects.get().snoozed_until is None


def test_what_was_is_filtered_and_downloaded(page, alert):
    assert "production/accuracy of Teller" in read(
        page, "/performance/alerts?status=open&severity=warning&search=Teller"
    )
    assert "No alert fits" in read(page, "/performance/alerts?status=resolved")
    answer = page.get("/performance/alerts?export=csv")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0].startswith("id,title,severity") and len(lines) == 2


def test_a_rule_is_made_says_what_it_does_and_how_it_stands(page, version):
    given = {"kind": "metric", "name": "Accuracy", "metric": "production/accuracy", "comparison": "below",
             "threshold": "0.8", "clear_threshold": "0.85", "in_a_row": "2", "severity": "info"}  # fmt: skip
    html = page.post("/performance/alerts/rules/new", given, follow=True).content.decode()
    says = "An alert opens when production/accuracy of any model that you see falls below 0.8, 2 times in a row."
    assert says in html and "over when the figure is 0.85 or above" in html and "sent nowhere" in html
    assert "Can&#x27;t be told yet" in html or "Can't be told yet" in html
    rule = AlertRule.objects.get()
    comma = {"threshold": "0,75", "clear_threshold": "0,9", "enabled": "on"}
    page.post(f"/performance/alerts/rules/{rule.pk}", given | comma)
    rule.refresh_from_db()
    assert (rule.threshold, rule.clear_threshold) == (0.75, 0.9)
    answer = page.post(f"/performance/alerts/rules/{rule.pk}", given | {"name": "Off"}, follow=True)
    assert "is turned off" in answer.content.decode() and not AlertRule.objects.get().enabled


def test_a_form_with_something_wrong_keeps_what_was_typed(page):
    given = {"kind": "metric", "name": "Mine", "metric": "production/accuracy", "threshold": "much", "severity": "info"}
    answer = page.post("/performance/alerts/rules/new", given)
    html = answer.content.decode()
    assert answer.status_code == 400 and 'value="Mine"' in html and "Give a number, such as 0.01" in html
    assert not AlertRule.objects.exists()


def test_a_rule_is_deleted_after_being_asked(page, alert):
    address = f"/performance/alerts/rules/{alert.rule_id}/delete"
    assert "stay in the history" in read(page, address)
    page.post(address)
    assert not AlertRule.objects.exists() and Alert.objects.get().status == "resolved"


def test_people_are_not_offered_what_is_for_administrators(page, client, administrator):
    assert "A disk that fills up" not in read(page, "/performance/alerts/rules/new")
    assert page.post("/performance/alerts/rules/new", {"kind": "disk", "name": "x"}).status_code == 200
    assert not AlertRule.objects.exists()
    client.force_login(administrator)
    client.post(
        "/performance/alerts/rules/new", {"kind": "disk", "name": "Disk", "of_hub": "1", "severity": "critical"}
    )
    assert AlertRule.objects.get().owner is None


def test_a_webhook_shows_its_secret_once_and_its_tries(page):
    given = {"name": "Hook", "kind": "webhook", "address": "https://93.184.216.34/hook"}
    html = page.post("/settings/notifications", given).content.decode()
    assert 'data-testid="channel-secret"' in html and "copy it now" in html
    channel = Channel.objects.get()
    assert "copy it now" not in read(page, f"/settings/notifications/{channel.pk}")
    page.post(f"/settings/notifications/{channel.pk}/test")
    html = read(page, f"/settings/notifications/{channel.pk}")
    assert "On its way" in html and str(Delivery.objects.get().pk) in html
    answer = page.post(f"/settings/notifications/sent/{Delivery.objects.get().pk}", follow=True)
    assert "on its way already" in answer.content.decode()


def test_an_address_inside_is_refused_at_its_field(page):
    given = {"name": "Hook", "kind": "webhook", "address": "http://127.0.0.1/hook"}
    answer = page.post("/settings/notifications", given)
    assert answer.status_code == 400 and "TRAINHUB_ALLOW_INTERNAL_WEBHOOKS" in answer.content.decode()


@pytest.mark.parametrize("address", ["/acknowledge", "/resolve", "/snooze"])
def test_a_stranger_deals_with_nothing(client, stranger, alert, address):
    client.force_login(stranger)
    assert client.post(f"/performance/alerts/{alert.pk}{address}", {"hours": "1"}).status_code == 404


def test_a_stranger_reaches_no_rule_channel_or_notice(client, stranger, world):
    client.force_login(stranger)
    channel = f"/settings/notifications/{world.delivery.channel_id}"
    for address in (
        f"/performance/alerts/rules/{world.alert.rule_id}", f"/performance/alerts/rules/{world.alert.rule_id}/delete",
        channel, f"{channel}/delete", f"{channel}/test", f"/settings/notifications/sent/{world.delivery.pk}",
    ):  # fmt: skip
        assert client.post(address).status_code == 404, address
    assert AlertRule.objects.filter(pk=world.alert.rule_id).exists() and Channel.objects.exists()


def test_open_pages_are_told_of_a_new_alert_once(owner, version):
    from performance.alerts.live import AlertsSource

    source = AlertsSource.open(owner, "dashboard", {})
    first = "".join(message.data for message in source.snapshot())
    assert 'hx-target="#alert-mark"' in first and 'hx-target="#dash-alerts"' in first and "toast" not in first
    assert source.update() == []
    make_alert(owner, version)
    told = "".join(message.data for message in source.update())
    assert (
        '>1<span class="word"> alert</span>' in told
        and 'hx-target="#toasts"' in told
        and "production/accuracy of Teller" in told
    )
    assert source.update() == []


def test_a_stranger_s_pages_are_told_nothing(owner, stranger, version):
    from performance.alerts.live import AlertsSource

    source = AlertsSource.open(stranger, "alerts", {})
    source.snapshot()
    make_alert(owner, version)
    assert source.update() == []
