"""Word by mail: what is told, to whom, once, and without harm when it can't be sent."""

from datetime import timedelta

import pytest
from django.core import mail as outgoing
from django.utils import timezone

from datasets.creation import create_dataset
from jobs import tasks
from jobs.automatic import mail
from jobs.models import FineTuning, Letter
from tests.generating import keep, make_generating, make_rule, session_of


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path / "home"
    settings.EMAIL_HOST = "mail.example.org"
    for name in ("uploads", "store", "jobs"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def stories(owner):
    return create_dataset(owner, name="Stories", modality="text")[0]


def send_all():
    Letter.objects.filter(next_at__isnull=False).update(next_at=timezone.now() - timedelta(seconds=1))
    return [tasks.send_letter(letter.pk) for letter in Letter.objects.order_by("pk")]


def test_a_start_and_an_end_are_told_once_to_the_owner(owner, stories):
    rule, maker = make_rule(owner, stories, tell_by_mail=True), make_generating(owner, stories, "Two\nlines")
    keep(maker, 5)
    tasks.start_fine_tuning(rule.pk)
    session_of(maker)
    assert send_all() == [True, True] and send_all() == [False, False]
    started, ended = outgoing.outbox
    assert started.to == ended.to == ["alice@example.org"]
    made = FineTuning.objects.get()
    assert started.subject == "Fine-tuning 1 was started" and f"/jobs/{made.job_id}" in started.body
    assert "is completed" in ended.subject and "\n" not in ended.subject and "kept 5 of" in ended.body


def test_a_refusal_is_told_once(owner, stories):
    rule = make_rule(owner, stories, tell_by_mail=True, recipe="image-classification")
    keep(make_generating(owner, stories), 5)
    for _ in range(3):
        type(rule).objects.update(retry_at=None, refused_after=None)
        tasks.start_fine_tuning(rule.pk)
    assert send_all() == [True]
    assert "can't start" in outgoing.outbox[0].subject and "trains on image" in outgoing.outbox[0].body


def test_nothing_is_written_where_it_is_not_wished_or_not_possible(owner, stories, settings):
    rule = make_rule(owner, stories)
    maker = make_generating(owner, stories)
    keep(maker, 5)
    tasks.start_fine_tuning(rule.pk)
    type(rule).objects.update(tell_by_mail=True)
    settings.EMAIL_HOST = ""
    session_of(maker)
    assert not Letter.objects.exists() and FineTuning.objects.count() == 1


def test_a_server_that_is_away_is_asked_again_later_and_in_the_end_no_more(owner, stories, monkeypatch):
    rule = make_rule(owner, stories, tell_by_mail=True)
    keep(make_generating(owner, stories), 5)
    tasks.start_fine_tuning(rule.pk)

    def away(self):
        raise ConnectionRefusedError("nobody there")

    with monkeypatch.context() as broken:
        broken.setattr(mail.EmailMessage, "send", away)
        assert send_all() == [False]
        letter = Letter.objects.get()
        assert letter.next_at > timezone.now() and "nobody there" in letter.last_error
        assert tasks.send_letter(letter.pk) is False and Letter.objects.get().tries == 1, "not before its time"
        for _ in range(9):
            send_all()
        assert (Letter.objects.get().tries, Letter.objects.get().next_at) == (5, None)
    Letter.objects.update(tries=1, next_at=timezone.now() - timedelta(minutes=1))
    asked = []
    monkeypatch.setattr(mail, "_swept", [0.0])
    monkeypatch.setattr(mail, "enqueue", lambda *task: asked.append(task))
    mail.sweep()
    assert asked == [(mail.TASK, Letter.objects.get().pk)]
    assert send_all() == [True] and Letter.objects.get().sent_at


def test_the_end_of_a_run_is_not_harmed_by_mail(owner, stories, monkeypatch):
    make_rule(owner, stories, tell_by_mail=True)
    maker = make_generating(owner, stories)
    monkeypatch.setattr(mail, "_tell_ended", lambda job: 1 / 0)
    assert session_of(maker).outcome == "completed"
