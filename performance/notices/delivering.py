"""Getting notices to their receivers: written down with what they tell, sent by a worker, tried again, given up.

A try is taken before it is sent, by one guarded update with its row: nobody sends the same try twice. A worker that
dies in between leaves it for the next try, under the same delivery id, by which receivers know it again.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django_q.models import OrmQ

from accounts.audit import write
from common.background import QUEUE, enqueue
from common.errors import ConflictError
from common.push import publish
from performance.models import Channel, Delivery, DeliveryTry
from performance.notices import channels, letters, webhook
from performance.notices.outcomes import Outcome

log = logging.getLogger(__name__)

TASK = "performance.tasks.send_delivery"
MOST_TRIES = 8
WAITS = (10, 60, 300, 900, 3600, 7200, 14400)  # seconds after the first, second … try that failed
TAKEN_SECONDS = 60  # a try whose end nobody noted is followed by the next one after so long
DUE_AT_ONCE, CROWDED = 20, 40
LATE_SECONDS = 5
KEPT = timedelta(days=30)


def put(channel: Channel, key: str, event: str, payload: dict[str, Any]) -> Delivery | None:
    """Have a channel told, once for each `key`; in the transaction of what it tells. None when it was told already."""
    made = Delivery(channel=channel, key=key[:100], event=event, most_tries=MOST_TRIES, next_at=Now())
    made.payload = {"id": str(made.pk), "event": event, **payload}
    Delivery.objects.bulk_create([made], ignore_conflicts=True)
    if not Delivery.objects.filter(pk=made.pk).exists():
        return None
    enqueue(TASK, str(made.pk))
    return made


def send(key: str) -> bool:
    """Send one if it is time; whether it was delivered."""
    due = Delivery.objects.filter(pk=key, next_at__lte=Now())
    delivery = due.select_related("channel__owner").first()
    if delivery is None:
        return False
    if delivery.tries >= delivery.most_tries:  # the worker of its last try died
        _give_up(delivery)
        return False
    attempt = _take(delivery)
    return attempt is not None and _note(delivery, attempt, *_timed(delivery))


@transaction.atomic
def _take(delivery: Delivery) -> DeliveryTry | None:
    """The next try, taken for this worker; None when another has it."""
    rows = Delivery.objects.filter(pk=delivery.pk, tries=delivery.tries, next_at__lte=Now())
    if not rows.update(tries=F("tries") + 1, next_at=Now() + timedelta(seconds=TAKEN_SECONDS)):
        return None
    return DeliveryTry.objects.create(delivery=delivery, number=delivery.tries + 1, at=Now())


def _timed(delivery: Delivery) -> tuple[Outcome, int]:
    started = time.monotonic()
    try:
        outcome = _send(delivery)
    except Exception as error:  # whatever a mail server, or the way to it, can do
        log.warning("delivery %s failed: %s", delivery.pk, type(error).__name__)
        outcome = Outcome(error=f"It could not be sent: {type(error).__name__}.")
    return outcome, round(1000 * (time.monotonic() - started))


def _send(delivery: Delivery) -> Outcome:
    channel = delivery.channel
    if reason := channels.why_not(channel):
        return Outcome(error=reason)
    if channel.kind == Channel.Kind.WEBHOOK:
        secret = channels.secret_of(channel)
        return webhook.send(
            channel.address, str(delivery.pk), delivery.event, delivery.payload, secret, channels.allowance()
        )
    title, text = letters.written(delivery)
    headers = {"List-Unsubscribe": f"<{letters.settings_url()}>", "X-TrainHub-Delivery": str(delivery.pk)}
    EmailMessage(title, text, to=[channels.mail_address(channel)], headers=headers).send()
    return Outcome()


@transaction.atomic
def _note(delivery: Delivery, attempt: DeliveryTry, outcome: Outcome, milliseconds: int) -> bool:
    """Write down how a try went, unless a later one was taken meanwhile."""
    error = outcome.error[:300]
    DeliveryTry.objects.filter(pk=attempt.pk).update(status=outcome.status, milliseconds=milliseconds, error=error)
    mine = Delivery.objects.filter(pk=delivery.pk, next_at__isnull=False)
    if not error:
        # Whichever try it was that got through: it is delivered.
        mine.update(delivered_at=Now(), next_at=None)
    else:
        mine = mine.filter(tries=attempt.number)
        if attempt.number >= delivery.most_tries:
            mine.update(dead_at=Now(), next_at=None)
        else:
            mine.update(next_at=Now() + timedelta(seconds=_wait(attempt.number)))
    Channel.objects.filter(pk=delivery.channel_id).exclude(last_error=error).update(last_error=error)
    publish(f"channel.{delivery.channel_id}")
    return not error


def _wait(number: int) -> float:
    """Seconds after this try. A little chance keeps those who failed together from coming back together."""
    return WAITS[min(number, len(WAITS)) - 1] * random.uniform(1.0, 1.2)


def _give_up(delivery: Delivery) -> None:
    rows = Delivery.objects.filter(pk=delivery.pk, tries__gte=F("most_tries"), next_at__lte=Now())
    rows.update(dead_at=Now(), next_at=None)


@transaction.atomic
def redeliver(delivery: Delivery, by: AbstractBaseUser) -> Delivery:
    """Send it again by hand, delivered or given up, under the same id. ConflictError while it is on its way."""
    rows = Delivery.objects.filter(pk=delivery.pk, next_at__isnull=True)
    if not rows.update(delivered_at=None, dead_at=None, next_at=Now(), most_tries=F("tries") + MOST_TRIES):
        raise ConflictError("It is on its way already.", "See its tries; the next one comes by itself.")
    write(by, "redelivered", delivery, channel=delivery.channel_id)
    enqueue(TASK, str(delivery.pk))
    delivery.refresh_from_db()
    return delivery


def try_out(channel: Channel, by: AbstractBaseUser) -> Delivery:
    """Send a notice that says it is a trial, by the same way as all others."""
    if reason := channels.why_not(channel):
        raise ConflictError(f"{channel.name} can't be tried. {reason}", "Change it first.")
    with transaction.atomic():
        made = put(channel, f"test {uuid.uuid4()}", "test", {"words": f"{by.get_username()} tries this channel."})
    assert made is not None
    made.refresh_from_db()
    return made


def sweep() -> None:
    """Have those sent that are due, while nothing else waits; forget old ones that have ended."""
    late = Delivery.objects.filter(next_at__lte=Now() - timedelta(seconds=LATE_SECONDS)).order_by("next_at")
    if OrmQ.objects.filter(key=QUEUE).count() < CROWDED:  # put twice, one is sent once all the same
        for key in late.values_list("pk", flat=True)[:DUE_AT_ONCE]:
            enqueue(TASK, str(key))
    Delivery.objects.filter(next_at__isnull=True, created_at__lt=Now() - KEPT).delete()
