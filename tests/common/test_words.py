"""What is said to people and to the log: the framework's messages in the hub's words, and absences in one line."""

import logging

import pytest
from rest_framework.exceptions import ValidationError

from common import numbers
from common.logs import ExpectedAbsences
from common.problems import _as_problem
from history.serializers import Quality


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("7.55", "Write at most 1 digit after the point."),
        ("11", "It may be at most 10."),
        ("-1", "It must be at least 0."),
        ("x", "A valid number is required."),
    ],
)
def test_messages_of_the_framework_are_said_in_the_hubs_words(value, words):
    with pytest.raises(ValidationError) as refused:
        Quality().run_validation(value)
    problem = _as_problem(ValidationError({"quality": refused.value.detail}))
    assert problem.fields == {"quality": [words]}


@pytest.mark.parametrize(("status", "level", "kept"), [(503, "WARNING", False), (500, "ERROR", True)])
def test_an_absence_is_one_line_and_a_fault_keeps_its_traceback(status, level, kept):
    error = ValueError("x")
    record = logging.LogRecord("django.request", 40, "f", 1, "said", (), (ValueError, error, None))
    record.status_code = status
    assert ExpectedAbsences().filter(record)
    assert (record.levelname, bool(record.exc_info)) == (level, kept)


@pytest.mark.parametrize(("text", "number"), [
    ("0.25", 0.25), (" 0,25 ", 0.25), ("-3", -3.0), ("0,125", 0.125), ("12,5", 12.5),
    ("10,000", None), ("1,000,000", None), ("much", None), ("1,5,2", None),
])  # fmt: skip
def test_a_number_is_typed_with_a_point_or_a_decimal_comma_and_never_guessed(text, number):
    if number is None:
        with pytest.raises(ValueError):
            numbers.typed(text)
        assert numbers.number_or_text(text) == text, "which its check then refuses"
    else:
        assert numbers.typed(text) == numbers.number_or_text(text) == number
