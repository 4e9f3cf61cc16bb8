"""What is said to people and to the log: the framework's messages in the hub's words, and absences in one line."""

import logging

import pytest
from rest_framework.exceptions import ValidationError

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
