"""Ids that hold the time of their making."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from common.identifiers import least_at, moment_of, uuid7


def test_an_id_tells_when_it_was_made_to_the_millisecond():
    before = datetime.now(UTC)
    made = uuid7()
    after = datetime.now(UTC)
    assert made.version == 7 and made.variant.startswith("specified in RFC 4122")
    assert before - timedelta(milliseconds=1) < moment_of(made) <= after


def test_ids_of_a_period_lie_between_its_ends():
    made = uuid7()
    moment, tick = moment_of(made), timedelta(milliseconds=1)
    assert least_at(moment) <= made < least_at(moment + tick)
    assert least_at(moment + timedelta(microseconds=1)) > made, "what was made before a time is not of it"
    assert least_at(datetime(1960, 1, 1, tzinfo=UTC)) == UUID(int=0)


def test_other_ids_have_a_time_that_can_be_held():
    for other in (uuid4(), UUID(int=0), UUID(int=2**128 - 1)):
        assert moment_of(other).year >= 1970
