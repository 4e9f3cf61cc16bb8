"""Calendar rules: what they say, when they come, and what clocks that are changed do to them."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInputError
from jobs.rules import DAYS, Rule, missed, read_zone, zones

NOW = datetime(2026, 1, 15, 12, 0, 30, tzinfo=UTC)
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
# (zone, the day on which an hour comes twice, the day that lacks an hour, that hour)
CHANGES = [(BERLIN, "2026-10-25", "2026-03-29", "02:30"), (NEW_YORK, "2026-11-01", "2026-03-08", "01:30")]


def local_times(rule, zone, after, count):
    times = islice(Rule.read(rule, NOW).times_after(after, zone), count)
    return [moment.astimezone(zone).isoformat(timespec="minutes") for moment in times]


@pytest.mark.parametrize(
    ("rule", "words", "first"),
    [
        ({"kind": "every", "minutes": 90}, "every 90 minutes", "2026-01-15T14:30+01:00"),
        ({"kind": "every", "minutes": 60}, "every hour", "2026-01-15T14:00+01:00"),
        ({"kind": "every", "minutes": 2880}, "every 2 days", "2026-01-17T13:00+01:00"),
        ({"kind": "daily", "at": "2:05"}, "every day at 02:05", "2026-01-16T02:05+01:00"),
        ({"kind": "weekdays", "at": "23:59"}, "Monday to Friday at 23:59", "2026-01-15T23:59+01:00"),
        (
            {"kind": "weekly", "days": ["sun", "mon"], "at": "08:00"},
            "every Monday and Sunday at 08:00",
            "2026-01-18T08:00+01:00",
        ),
        ({"kind": "monthly", "day": 1, "at": "00:00"}, "on day 1 of every month at 00:00", "2026-02-01T00:00+01:00"),
        (
            {"kind": "cron", "expression": "30  2 * * mon-fri"},
            "at 02:30 on Monday through Friday (30 2 * * MON-FRI)",
            "2026-01-16T02:30+01:00",
        ),
    ],
)
def test_a_rule_says_itself_in_words_and_knows_its_first_time(rule, words, first):
    read = Rule.read(rule, NOW)
    assert str(read) == words
    assert local_times(rule, BERLIN, NOW, 1) == [first]
    assert Rule.read(read.stored(), NOW + timedelta(days=9)) == read, "kept, it is the same rule"


def test_a_day_that_a_month_has_not_is_its_last():
    found = local_times({"kind": "monthly", "day": 31, "at": "06:00"}, UTC, NOW, 4)
    assert [time[:10] for time in found] == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
    found = local_times({"kind": "monthly", "day": 29, "at": "06:00"}, UTC, datetime(2028, 1, 30, tzinfo=UTC), 2)
    assert [time[:10] for time in found] == ["2028-02-29", "2028-03-29"]


@pytest.mark.parametrize(("zone", "fold", "gap", "hour"), CHANGES)
def test_an_hour_that_comes_twice_is_served_once(zone, fold, gap, hour):
    day = datetime.fromisoformat(fold).replace(tzinfo=zone)
    rules = [{"kind": "daily", "at": hour}, {"kind": "cron", "expression": f"{hour[3:]} {int(hour[:2])} * * *"}]
    for rule in rules:
        assert [time[:10] for time in local_times(rule, zone, day, 3)].count(fold) == 1
        first = next(Rule.read(rule, NOW).times_after(day, zone))
        # Asked again between the two, it names the next day.
        again = local_times(rule, zone, first + timedelta(minutes=45), 1)
        assert again[0][:10] > fold


@pytest.mark.parametrize(("zone", "fold", "gap", "hour"), CHANGES)
def test_an_hour_that_does_not_come_is_served_at_the_next_moment_once(zone, fold, gap, hour):
    day = datetime.fromisoformat(gap).replace(tzinfo=zone)
    found = local_times({"kind": "cron", "expression": "0,30 2 * * *"}, zone, day, 2)
    assert found[0].startswith(f"{gap}T03:00")
    assert found[1][:10] > gap


def test_rules_by_the_minute_go_on_in_the_hour_that_comes_twice():
    day = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 in Berlin, for the first time
    for rule in ({"kind": "every", "minutes": 30, "from": "2026-10-25T00:00:00Z"},
                 {"kind": "cron", "expression": "*/30 * * * *"}):  # fmt: skip
        times = list(islice(Rule.read(rule, NOW).times_after(day, BERLIN), 5))
        assert times == [day + timedelta(minutes=30 * (n + 1)) for n in range(5)]


def test_a_date_line_that_is_crossed_is_no_trap():
    apia = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    found = local_times({"kind": "daily", "at": "09:00"}, apia, datetime(2011, 12, 29, 0, tzinfo=UTC), 3)
    assert found == ["2011-12-29T09:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"]


def test_missed_times_are_counted_up_to_a_limit():
    rule = Rule.read({"kind": "every", "minutes": 1}, NOW)
    assert missed(rule, BERLIN, NOW, NOW) == 0
    assert missed(rule, BERLIN, NOW, NOW + timedelta(minutes=5)) == 5
    assert missed(rule, BERLIN, NOW, NOW + timedelta(days=365)) == 1000


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (None, "kind"),
        ({"kind": "yearly"}, "kind"),
        ({"kind": "daily"}, "time of day"),
        ({"kind": "daily", "at": "24:00"}, "time of day"),
        ({"kind": "daily", "at": "02:30", "day": 1}, "has no 'day'"),
        ({"kind": "weekly", "at": "02:30", "days": []}, "days"),
        ({"kind": "weekly", "at": "02:30", "days": ["mo"]}, "days"),
        ({"kind": "monthly", "at": "02:30", "day": 32}, "day of the month"),
        ({"kind": "monthly", "at": "02:30", "day": True}, "day of the month"),
        ({"kind": "every", "minutes": 0}, "minutes"),
        ({"kind": "every", "minutes": 10, "from": "yesterday"}, "moment"),
        ({"kind": "every", "minutes": 10, "from": "2026-01-01T00:00:00"}, "moment"),
        ({"kind": "cron", "expression": "* * * * * *"}, "five fields"),
        ({"kind": "cron", "expression": "61 * * * *"}, "minute"),
        ({"kind": "cron", "expression": "0 0 */29 2 0#5"}, "never comes"),
    ],
)
def test_a_wrong_rule_is_refused_in_words(rule, word):
    with pytest.raises(InvalidInputError) as refused:
        Rule.read(rule, NOW)
    assert word in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("name", ["Berlin", "", "../etc/passwd", "localtime", None, 5])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(InvalidInputError, match="time zone"):
        read_zone(name)


times_of_day = st.times().map(lambda time: f"{time:%H:%M}")
named = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["daily", "weekdays"]), "at": times_of_day}),
    st.fixed_dictionaries(
        {"kind": st.just("weekly"), "at": times_of_day, "days": st.lists(st.sampled_from(list(DAYS)), min_size=1)}
    ),
    st.fixed_dictionaries({"kind": st.just("monthly"), "at": times_of_day, "day": st.integers(1, 31)}),
    st.builds(
        lambda minute, hour: {"kind": "cron", "expression": f"{minute} {hour} * * *"},
        st.sampled_from(["*", "*/7", "0,30", "15"]), st.sampled_from(["0-3", "*/2", "1,2", "23", "2"]),
    ),
)  # fmt: skip
counted = st.one_of(
    st.fixed_dictionaries({"kind": st.just("every"), "minutes": st.integers(1, 3000)}),
    st.sampled_from(["* * * * *", "*/17 * * * *", "5 * * * SUN"]).map(
        lambda text: {"kind": "cron", "expression": text}
    ),
)
moments = st.datetimes(datetime(1999, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))
# Days around which the clocks of Berlin, New York, Lord Howe and Cairo are changed.
near_changes = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes),
    st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month, day in
                     [(3, 8), (3, 29), (4, 4), (4, 24), (10, 3), (10, 25), (10, 30), (11, 1)]]),
    st.integers(-2880, 2880),
)  # fmt: skip
all_zones = st.one_of(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.sampled_from(sorted(zones())),
)


@given(rule=st.one_of(named, counted), zone=all_zones, after=st.one_of(moments, near_changes))
def test_times_strictly_increase_and_do_not_depend_on_when_one_asks(rule, zone, after):
    read, place = Rule.read(rule, after), ZoneInfo(zone)
    times = list(islice(read.times_after(after, place), 12))
    assert all(earlier < later for earlier, later in zip([after, *times], times, strict=False))
    one_by_one = [after]
    for _ in times:
        one_by_one.append(read.next_after(one_by_one[-1], place))
    assert one_by_one[1:] == times


@given(rule=named, zone=all_zones, after=st.one_of(moments, near_changes))
def test_rules_that_name_hours_never_repeat_a_local_time(rule, zone, after):
    place = ZoneInfo(zone)
    times = islice(Rule.read(rule, after).times_after(after, place), 40)
    local = [moment.astimezone(place).replace(tzinfo=None, fold=0) for moment in times]
    assert len(set(local)) == len(local)


@given(st.text(st.sampled_from("0123456789*/-,#LWMONSUJA "), max_size=30))
def test_any_text_is_a_cron_expression_or_refused_in_words(text):
    try:
        rule = Rule.read({"kind": "cron", "expression": text}, NOW)
    except InvalidInputError as refused:
        assert refused.hint
    else:
        assert rule.next_after(NOW, BERLIN) is not None
        assert str(rule)
