"""Word to the owner by mail, when the hub can send any. It is written down with what happened and sent by a worker;
whatever becomes of it, training knows nothing of it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django_q.models import OrmQ

from common.background import QUEUE, enqueue
from engine import catalogue
from engine.protocol import EngineError
from jobs.models import AutomaticTraining, FineTuning, GeneratedExample, Job, Letter

log = logging.getLogger(__name__)

TASK = "jobs.tasks.send_letter"
WAITS = (60, 300, 1800, 7200)  # seconds after the first, second … try that failed; then it is given up
SWEEP_SECONDS = 10.0
_swept = [0.0]  # monotonic: when this process looked last


def can_send() -> bool:
    """Whether whoever runs the hub has named a server for mail."""
    return bool(settings.EMAIL_HOST)


def why_not(owner: AbstractBaseUser) -> str:
    """Why this person can't be told by mail, in words; '' when they can."""
    if not can_send():
        return "This hub sends no mail: whoever runs it has to set TRAINHUB_MAIL_HOST first."
    if not owner.email:
        return "There is no mail address in your account. An administrator can add it."
    return ""


def tell_started(rule: AutomaticTraining, made: FineTuning) -> None:
    """A fine-tuning was started; in the transaction that starts it."""
    lines = [f"{made.examples:,} new examples started '{made.job.name}'.", _address(f"/jobs/{made.job_id}")]
    _write(rule, f"started {made.pk}", f"Fine-tuning {made.number} was started", lines)


def tell_refused(rule: AutomaticTraining, why: str) -> None:
    """There are enough examples, and no fine-tuning can start."""
    lines = [f"There are enough new examples, but no fine-tuning can start. {why}", _address("/automatic")]
    _write(rule, f"refused {rule.pk} {rule.updated_at.timestamp()} {time.time()}", "A fine-tuning can't start", lines)


def tell_ended(job: Job) -> None:
    """A run that generates has ended; in the transaction that ends it, which nothing here may harm."""
    try:
        if catalogue.recipe(job.recipe).makes != "examples":
            return
    except EngineError:
        return
    try:
        with transaction.atomic():
            _tell_ended(job)
    except Exception:
        log.exception("no mail about the end of job %s", job.pk)


def _tell_ended(job: Job) -> None:
    about = {"dataset": job.save_to_id} if job.save_to_id else {"subject": job.subject_id}
    rules = AutomaticTraining.objects.select_related("owner").filter(owner=job.owner_id, tell_by_mail=True, **about)
    if (rule := rules.first()) is None:
        return
    kept = GeneratedExample.objects.filter(job=job, kept=True).count()
    lines = [f"'{job.name}' is {job.status}. It kept {kept:,} of {job.config.get('examples', 0):,} examples."]
    if job.failure_message:
        lines.append(f"{job.failure_message} {job.failure_hint}")
    title = f"A run that generates is {job.status}: {job.name}"
    _write(rule, f"ended {job.pk} {job.attempt_number}", title, [*lines, _address(f"/jobs/{job.pk}")])


def send(letter_id: int) -> bool:
    """Send one, if it is time; whether it was sent. What fails is tried again later, and given up in the end."""
    due = Letter.objects.filter(pk=letter_id, next_at__lte=Now())
    letter = due.select_related("owner").first()
    if letter is None:
        return False
    wait = WAITS[letter.tries] if letter.tries < len(WAITS) else None
    later = None if wait is None else Now() + timedelta(seconds=wait)
    # Taken before it is sent: a worker that dies meanwhile leaves it for the next try, nobody sends it beside this one.
    if not due.filter(tries=letter.tries).update(tries=F("tries") + 1, next_at=later):
        return False
    try:
        if reason := why_not(letter.owner):
            raise ValueError(reason)
        EmailMessage(letter.title, letter.text, to=[letter.owner.email]).send()
    except Exception as error:  # whatever a mail server, or the way to it, can do
        log.warning("letter %s could not be sent: %s", letter.pk, error)
        Letter.objects.filter(pk=letter.pk).update(last_error=f"{type(error).__name__}: {error}"[:500])
        return False
    Letter.objects.filter(pk=letter.pk).update(sent_at=Now(), next_at=None, last_error="")
    return True


def sweep() -> None:
    """Have those sent that are due, now and then, while nothing else waits."""
    if time.monotonic() < _swept[0] + SWEEP_SECONDS:
        return
    _swept[0] = time.monotonic()
    late = Letter.objects.filter(next_at__lte=Now() - timedelta(seconds=5)).order_by("next_at")
    for key in list(late.values_list("pk", flat=True)[:20]):
        if not OrmQ.objects.filter(key=QUEUE).exists():
            enqueue(TASK, key)


def _write(rule: AutomaticTraining, key: str, title: str, lines: list[str]) -> None:
    if not rule.tell_by_mail or why_not(rule.owner):
        return
    values = {"title": " ".join(title.split())[:300], "text": "\n\n".join(lines), "next_at": Now()}
    letter, new = Letter.objects.get_or_create(owner=rule.owner, key=key, defaults=values)
    if new:
        enqueue(TASK, letter.pk)


def _address(path: str) -> str:
    return f"{settings.TRAINHUB_URL}{path}"
