"""Word to the owner by mail, when the hub can send any. It is written down with what happened and sent by a worker;
whatever becomes of it, training knows nothing of it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser

from jobs.models import AutomaticTraining, FineTuning


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


def tell_started(rule: AutomaticTraining, made: FineTuning) -> None: ...


def tell_refused(rule: AutomaticTraining, why: str) -> None: ...
