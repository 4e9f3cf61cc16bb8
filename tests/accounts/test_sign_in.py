"""Guessing passwords is slow: the tenth wrong attempt within five minutes is not even looked at."""

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from accounts import signin
from accounts.models import SignInCount

RIGHT = "correct horse battery"


def attempt(username, password, address="10.0.0.1"):
    return signin.sign_in(RequestFactory().post("/", REMOTE_ADDR=address), username, password)


def guess(times, username="alice", address="10.0.0.1"):
    for number in range(times):
        with pytest.raises(signin.WrongPasswordError):
            attempt(username, f"wrong {number}", address)


def test_the_right_password_lets_in(owner):
    assert attempt("alice", RIGHT) == owner


def test_an_unknown_name_and_a_wrong_password_look_the_same(owner):
    messages = set()
    for name in ("alice", "nobody"):
        with pytest.raises(signin.WrongPasswordError) as error:
            attempt(name, "wrong")
        messages.add((error.value.message, error.value.hint))
    assert len(messages) == 1


def test_an_inactive_account_is_not_let_in(owner):
    owner.is_active = False
    owner.save()
    with pytest.raises(signin.WrongPasswordError):
        attempt("alice", RIGHT)


def test_the_tenth_attempt_on_an_account_is_refused_from_any_address(owner):
    for number in range(9):
        guess(1, address=f"10.0.1.{number}")
    with pytest.raises(signin.TooManyAttemptsError) as error:
        attempt("ALICE", RIGHT, "10.9.9.9")
    assert 0 < error.value.wait <= 300
    assert error.value.hint


def test_the_tenth_attempt_from_an_address_is_refused_for_any_account(owner):
    for number in range(9):
        guess(1, username=f"guess{number}")
    with pytest.raises(signin.TooManyAttemptsError):
        attempt("alice", RIGHT)
    assert attempt("alice", RIGHT, "10.0.0.2") == owner


def test_the_window_ends(owner):
    guess(9)
    SignInCount.objects.update(since=timezone.now() - timedelta(minutes=6))
    assert attempt("alice", RIGHT) == owner


def test_signing_in_forgives_the_account_but_not_the_address(owner, stranger):
    for _ in range(2):
        guess(3)
        attempt("mallory", RIGHT)
    guess(3)
    with pytest.raises(signin.TooManyAttemptsError):
        attempt("mallory", RIGHT)


def test_right_passwords_alone_are_never_too_many(owner):
    for _ in range(15):
        attempt("alice", RIGHT)


def test_old_counts_can_be_forgotten(owner):
    guess(1)
    assert signin.forget_old_counts() == 0
    SignInCount.objects.update(since=timezone.now() - timedelta(minutes=6))
    assert signin.forget_old_counts() == 2
