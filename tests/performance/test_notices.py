"""Notices: signed, sent once for each try, tried again under the same id, given up in the end."""

import hashlib
import hmac
import json
import os
import random
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, connections
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, InvalidInputError
from performance.alerts import dealing, evaluating, rules
from performance.models import Alert, Channel, Delivery, DeliveryTry
from performance.notices import channels, delivering, telling, webhook
from tests.hooks_receiver import receiving
from tests.performance.test_alerts import METRIC, see
from tests.world import make_version

SECRET = "a-secret-of-the-test-0123"


@pytest.fixture(autouse=True)
def inside(settings):
    """The receivers of these tests are on this machine."""
    settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = ["127.0.0.1"]


@pytest.fixture(autouse=True)
def no_queue(monkeypatch):
    """Tests send by themselves."""
    monkeypatch.setattr(delivering, "enqueue", lambda *given: None)


def make_channel(owner, url="http://127.0.0.1:8080/hook", name="Hook"):
    return channels.make(owner, name=name, kind="webhook", address=url, secret=SECRET)[0]


def due_now():
    Delivery.objects.filter(next_at__isnull=False).update(next_at=timezone.now() - timedelta(seconds=1))


def notice(channel, key="k", **payload):
    return delivering.put(channel, key, "alert.opened", {"words": "It fell.", **payload})


def test_a_notice_is_signed_with_its_time_and_names_its_delivery(owner):
    with receiving() as server:
        made = notice(make_channel(owner, server.url), words="Größer als 5 — „so“")
        assert delivering.send(str(made.pk))
    request = server.got[0]
    headers = request["headers"]
    assert headers["TrainHub-Delivery"] == str(made.pk) == request["body"]["id"]
    assert headers["TrainHub-Event"] == "alert.opened" and headers["Content-Type"] == "application/json"
    # What a receiver does, as the documentation says it.
    signed = headers["TrainHub-Timestamp"].encode() + b"." + request["raw"]
    expected = "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["TrainHub-Signature"], expected)
    assert abs(time.time() - int(headers["TrainHub-Timestamp"])) < 60
    made.refresh_from_db()
    attempt = made.attempts.get()
    assert made.delivered_at and made.next_at is None
    assert (attempt.number, attempt.status, attempt.error) == (1, 204, "") and attempt.milliseconds is not None


def test_a_secret_is_sealed_and_in_no_row_in_the_clear(owner):
    make_channel(owner)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM performance_channel c")
        assert SECRET not in cursor.fetchone()[0]
    assert SECRET not in "".join(AuditEntry.objects.values_list("details", flat=True))
    made, secret = channels.make(owner, name="Another", kind="webhook", address="https://93.184.216.34/x")
    assert len(secret) >= 32 and channels.secret_of(made) == secret.encode()


def test_all_notices_reach_a_receiver_that_fails_half_of_the_time(owner, monkeypatch):
    """R-14: none is lost, a retry has the id of its delivery, tries are numbered, eight that fail end it."""
    monkeypatch.setattr(delivering, "WAITS", (0,) * 7)
    chance, events = random.Random(14), int(os.environ.get("TRAINHUB_TEST_EVENTS", "100"))  # the figure is of 1000
    never = set(range(0, events, 50))

    def answer(request):
        if request["body"]["number"] in never:
            return 500
        return 204 if chance.random() < 0.5 else 503

    with receiving(answer) as server:
        channel = make_channel(owner, server.url)
        for number in range(events):
            notice(channel, f"event {number}", number=number)
        for _ in range(delivering.MOST_TRIES):
            due = Delivery.objects.filter(next_at__isnull=False).order_by("next_at").values_list("pk", flat=True)
            for key in list(due):
                delivering.send(str(key))
    ended = Delivery.objects.filter(next_at__isnull=True)
    assert ended.count() == events, "none is left behind"
    accepted = Counter(r["body"]["number"] for r in server.got)
    assert set(accepted) == set(range(events)), "each was seen"
    ids = {r["body"]["number"]: set() for r in server.got}
    for request in server.got:
        ids[request["body"]["number"]].add(request["headers"]["TrainHub-Delivery"])
    assert all(len(found) == 1 for found in ids.values())
    dead = set(ended.filter(dead_at__isnull=False).values_list("payload__number", flat=True))
    assert never <= dead and all(accepted[number] == delivering.MOST_TRIES for number in dead)
    numbers = {}
    for pk, number in DeliveryTry.objects.order_by("at", "id").values_list("delivery_id", "number"):
        numbers.setdefault(pk, []).append(number)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    assert sum(map(len, numbers.values())) == len(server.got)
    reached = set(ended.filter(delivered_at__isnull=False).values_list("payload__number", flat=True))
    assert set(range(events)) - dead - reached == set(), "lost"


def test_waits_grow_and_the_eighth_failure_is_the_last(owner):
    with receiving(lambda request: 500) as server:
        channel = make_channel(owner, server.url)
        made, waits = notice(channel), []
        for _ in range(delivering.MOST_TRIES):
            assert not delivering.send(str(made.pk))
            made.refresh_from_db()
            if made.next_at:
                waits.append((made.next_at - timezone.now()).total_seconds())
            due_now()
        assert made.dead_at and waits == sorted(waits) and len(waits) == 7 and waits[0] > 8
        due_now()
        delivering.send(str(made.pk))
        assert len(server.got) == 8
    channel.refresh_from_db()
    assert channel.last_error == "It answered with 500."


def test_a_notice_that_was_given_up_is_sent_again_by_hand_under_its_id(owner):
    fails = [True]
    with receiving(lambda request: 500 if fails[0] else 200) as server:
        made = notice(make_channel(owner, server.url))
        with pytest.raises(ConflictError, match="on its way"):
            delivering.redeliver(made, owner)
        for _ in range(8):
            due_now()
            delivering.send(str(made.pk))
        fails[0] = False
        delivering.redeliver(made, owner)
        assert delivering.send(str(made.pk))
        assert {r["headers"]["TrainHub-Delivery"] for r in server.got} == {str(made.pk)}
    made.refresh_from_db()
    assert made.tries == 9 and made.delivered_at and made.dead_at is None
    assert AuditEntry.objects.filter(verb="redelivered").count() == 1


def test_a_worker_that_dies_between_sending_and_noting_leaves_it_for_the_next_under_the_same_id(owner, monkeypatch):
    with receiving() as server:
        made = notice(make_channel(owner, server.url))

        def die(*given):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(delivering, "_note", die)
            with pytest.raises(KeyboardInterrupt):
                delivering.send(str(made.pk))
        assert not delivering.send(str(made.pk)), "it may still be under way"
        due_now()
        assert delivering.send(str(made.pk))
        assert [r["headers"]["TrainHub-Delivery"] for r in server.got] == [str(made.pk)] * 2
    tries = list(made.attempts.values_list("number", "status"))
    assert tries == [(1, None), (2, 204)], "the first has no end"


def test_a_worker_that_dies_at_the_last_try_leaves_nothing_hanging(owner):
    made = notice(make_channel(owner))
    Delivery.objects.update(tries=8)
    assert not delivering.send(str(made.pk))
    made.refresh_from_db()
    assert made.dead_at and made.next_at is None


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_send_a_try_once(owner):
    with receiving(lambda request: time.sleep(0.1) or 200) as server:
        made = notice(make_channel(owner, server.url))
        start = threading.Barrier(4)

        def work():
            try:
                start.wait(10)
                delivering.send(str(made.pk))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join(20) for thread in threads]
        assert len(server.got) == 1


def test_the_same_event_is_told_once(owner):
    channel = make_channel(owner)
    assert notice(channel) and notice(channel) is None and Delivery.objects.count() == 1


def test_mail_says_why_it_comes_and_where_to_end_it(owner, settings):
    settings.EMAIL_HOST = "mail.example.org"
    channel, secret = channels.make(owner, name="Post", kind="mail")
    assert secret == ""
    rule = rules.make(owner, owner, name="Watch", channels=[channel.pk], **METRIC)
    see(make_version(owner), 0.7)
    evaluating.evaluate(rule)
    telling.tell(rule)
    assert delivering.send(str(Delivery.objects.get().pk))
    letter = mail.outbox[0]
    assert letter.to == ["alice@example.org"] and letter.subject == "production/accuracy of Teller"
    assert "0.7, below 0.8" in letter.body and "the rule 'Watch' names the channel 'Post'" in letter.body
    assert (
        "/settings/notifications" in letter.body
        and "/settings/notifications" in letter.extra_headers["List-Unsubscribe"]
    )


def test_a_mail_server_that_is_away_is_tried_again(owner, settings, monkeypatch):
    settings.EMAIL_HOST = "mail.example.org"
    channel, _ = channels.make(owner, name="Post", kind="mail")
    made = notice(channel)

    def away(*given, **more):
        raise ConnectionRefusedError("secret words of a server")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", away)
    assert not delivering.send(str(made.pk))
    assert made.attempts.get().error == "It could not be sent: ConnectionRefusedError."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x" * 101), ("kind", "pigeon"), ("secret", "short"), ("secret", "ä" * 20),
        ("address", ""), ("address", "example.com/hook"), ("address", "ftp://93.184.216.34/"),
        ("address", "https://93.184.216.34:22/"), ("address", "https://user:word@93.184.216.34/"),
        ("address", "https://93.184.216.34/" + "x" * 500), ("address", "https://93.184.216.34:99999/"),
    ],
)  # fmt: skip
def test_what_can_t_be_a_channel_is_refused_at_its_field(owner, field, value):
    given = {"name": "Hook", "kind": "webhook", "address": "https://93.184.216.34/hook", field: value}
    with pytest.raises(InvalidInputError) as refused:
        channels.make(owner, **given)
    assert list(refused.value.fields) == [field] and not Channel.objects.exists()


def test_mail_goes_to_one_s_own_address_unless_one_is_an_administrator(owner, administrator):
    with pytest.raises(InvalidInputError, match="address of your account"):
        channels.make(owner, name="Post", kind="mail", address="somebody@else.org")
    assert channels.make(owner, name="Post", kind="mail", address="alice@example.org")[0].address == ""
    assert channels.make(administrator, name="Team", kind="mail", address="team@example.org")[0].address


def test_names_are_a_person_s_own_and_not_without_end(owner, stranger, monkeypatch):
    make_channel(owner)
    with pytest.raises(ConflictError, match="'Hook' already"):
        make_channel(owner)
    make_channel(stranger)
    monkeypatch.setattr(channels, "MOST", 1)
    with pytest.raises(ConflictError, match="more are not kept"):
        make_channel(owner, name="Second")


def test_a_channel_that_is_off_is_not_told(owner):
    channel = make_channel(owner)
    made = notice(channel)
    channels.change(channel, owner, enabled=False)
    assert not delivering.send(str(made.pk))
    assert made.attempts.get().error == "The channel is turned off."
    with pytest.raises(ConflictError, match="turned off"):
        delivering.try_out(channels.change(channel, owner, name="Off"), owner)


# When channels are told


@pytest.fixture
def watched(owner):
    """A rule that tells a channel."""
    channel = make_channel(owner)
    return rules.make(owner, owner, name="Watch", cool_down_minutes=0, channels=[channel.pk], **METRIC)


def told():
    return list(Delivery.objects.order_by("id").values_list("event", "payload__count"))


def rest(rule):
    """A minute passes for what is told together."""
    type(rule).objects.update(told_at=timezone.now() - timedelta(seconds=61))


def test_once_when_it_opens_and_once_at_its_end(owner, watched):
    version = make_version(owner)
    for _ in range(5):
        see(version, 0.7)
        evaluating.evaluate_all()
        rest(watched)
    assert told() == [("alert.opened", 1)]
    see(version, 0.9)
    for _ in range(3):
        evaluating.evaluate_all()
        rest(watched)
    assert told() == [("alert.opened", 1), ("alert.resolved", 1)]


def test_a_burst_of_many_is_told_together(owner, watched, monkeypatch):
    monkeypatch.setattr(telling, "NAMED", 3)
    see(make_version(owner, "First"), 0.7)
    evaluating.evaluate_all()
    for n in range(5):
        see(make_version(owner, f"Model {n}"), 0.7)
        evaluating.evaluate_all()
    assert told() == [("alert.opened", 1)]
    rest(watched)
    evaluating.evaluate_all()
    assert told() == [("alert.opened", 1), ("alert.opened", 5)]
    payload = Delivery.objects.order_by("-id").first().payload
    assert len(payload["alerts"]) == 3 and payload["more"] == 2 and "5 alerts of 'Watch'" in payload["title"]


def test_what_opened_and_ended_within_the_minute_is_not_told(owner, watched):
    see(make_version(owner, "First"), 0.7)
    evaluating.evaluate_all()
    second = make_version(owner, "Second")
    see(second, 0.7)
    evaluating.evaluate_all()
    see(second, 0.9)
    evaluating.evaluate_all()
    rest(watched)
    evaluating.evaluate_all()
    assert told() == [("alert.opened", 1)]


def test_once_a_day_until_somebody_takes_it_up(owner, watched):
    see(make_version(owner), 0.7)
    evaluating.evaluate_all()
    for _ in range(2):
        Alert.objects.update(told_at=timezone.now() - timedelta(hours=25))
        for _ in range(2):
            rest(watched)
            evaluating.evaluate_all()
    assert told() == [("alert.opened", 1), ("alert.reminder", 1), ("alert.reminder", 1)]
    dealing.acknowledge(Alert.objects.get(), owner)
    Alert.objects.update(told_at=timezone.now() - timedelta(hours=25))
    rest(watched)
    evaluating.evaluate_all()
    assert len(told()) == 3


def test_what_is_put_off_is_not_told_of_until_then(owner, watched):
    see(make_version(owner), 0.7)
    evaluating.evaluate_all()
    dealing.snooze(Alert.objects.get(), owner, timezone.now() + timedelta(hours=1))
    Alert.objects.update(told_at=timezone.now() - timedelta(hours=25))
    rest(watched)
    evaluating.evaluate_all()
    assert told() == [("alert.opened", 1)]
    Alert.objects.update(snoozed_until=timezone.now() - timedelta(seconds=1))
    evaluating.evaluate_all()
    assert len(told()) == 2


def test_the_hub_s_rules_tell_administrators_alone(owner, administrator):
    channel = make_channel(administrator)
    with pytest.raises(InvalidInputError, match="can't be used"):
        rules.make(None, administrator, name="Hub", channels=[make_channel(owner).pk], **METRIC)
    rule = rules.make(None, administrator, name="Hub", channels=[channel.pk], **METRIC)
    see(make_version(owner), 0.7)
    administrator.is_staff = False
    administrator.save()
    evaluating.evaluate_all()
    assert told() == [] and Alert.objects.get().rule == rule


def test_a_person_names_no_channel_of_another(owner, stranger):
    with pytest.raises(InvalidInputError, match="can't be used"):
        rules.make(owner, owner, name="Watch", channels=[make_channel(stranger).pk], **METRIC)


def test_what_is_sent_is_bounded_and_plain_json(owner):
    payload = {"words": "a" * 10, "value": 1.5}
    assert json.loads(webhook.body_of(payload)) == payload
