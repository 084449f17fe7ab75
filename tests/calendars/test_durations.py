"""A duration means what its author wrote, or is refused with what can be written instead."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.calendars.durations import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Duration, DurationUnclear

WORKING_DAY_US = 8 * HOUR_US


@pytest.mark.parametrize(
    ("text", "length_us"),
    [
        ("20 minutes", 20 * MINUTE_US),
        ("1 minute", MINUTE_US),
        ("3 days", 3 * DAY_US),
        ("2 weeks", 14 * DAY_US),
        ("1 day 4 hours", DAY_US + 4 * HOUR_US),
        ("1 day, 4 hours and 30 seconds", DAY_US + 4 * HOUR_US + 30 * SECOND_US),
        ("  1.5   HOURS ", 90 * MINUTE_US),
        ("0 seconds", 0),
        ("0.25 seconds", SECOND_US // 4),
    ],
)
def test_calendar_time_is_the_sum_of_its_parts(text: str, length_us: int) -> None:
    duration = Duration.parse(text)
    assert (duration.length_us, duration.working) == (length_us, False)
    assert duration.after(1_000) == 1_000 + length_us
    assert duration.length == timedelta(microseconds=length_us)


@pytest.mark.parametrize(
    ("text", "length_us"),
    [
        ("2 working days", 2 * WORKING_DAY_US),
        ("1 working week", 5 * WORKING_DAY_US),
        ("4 working hours", 4 * HOUR_US),
        ("2 working days 4 hours", 2 * WORKING_DAY_US + 4 * HOUR_US),
        ("1 working day and 1 working hour", WORKING_DAY_US + HOUR_US),
    ],
)
def test_working_time_is_known_in_hours_and_refused_as_a_moment_for_want_of_a_calendar(
    text: str, length_us: int
) -> None:
    duration = Duration.parse(text)
    assert (duration.length_us, duration.working) == (length_us, True)
    for use in (lambda: duration.after(0), duration.require_calendar_time):
        with pytest.raises(DurationUnclear, match="no working calendars yet"):
            use()


@pytest.mark.parametrize(
    ("written", "length_us"),
    [
        ("20 minutes", 20 * MINUTE_US),
        ("1 day", WORKING_DAY_US),
        ("1 day 4 hours", WORKING_DAY_US + 4 * HOUR_US),
        ("1 week", 5 * WORKING_DAY_US),
        ("2 working days", 2 * WORKING_DAY_US),
        (timedelta(hours=3), 3 * HOUR_US),
    ],
)
def test_an_effort_is_always_working_time(written: str | timedelta, length_us: int) -> None:
    effort = Duration.effort(written)
    assert (effort.length_us, effort.working) == (length_us, True)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("1 month", "30 days"),
        ("2 years", "365 days"),
        ("1 quarter", "13 weeks"),
        ("", "number and a unit"),
        ("soon", "number and a unit"),
        ("3", "number and a unit"),
        ("-3 days", "number and a unit"),
        ("3 days or so", "number and a unit"),
        ("3 days,", "number and a unit"),
        ("3 fortnights", "no unit of time"),
        ("1 day 2 working hours", "mixes"),
        ("999999 weeks", "hundred years"),
    ],
)
def test_what_is_not_a_clear_duration_is_refused_with_what_to_write(text: str, remedy: str) -> None:
    with pytest.raises(DurationUnclear, match=remedy):
        Duration.parse(text)


def test_a_timedelta_less_than_nothing_and_a_number_are_refused() -> None:
    with pytest.raises(DurationUnclear, match="less than nothing"):
        Duration.parse(timedelta(days=-1))
    with pytest.raises(DurationUnclear, match="not int"):
        Duration.parse(3)  # type: ignore[arg-type]


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30_000)))
def test_a_timedelta_is_told_in_words_that_mean_the_same(length: timedelta) -> None:
    told = str(Duration.parse(length))
    assert Duration.parse(told).length == length


@given(
    st.decimals(min_value=0, max_value=1000, places=2), st.sampled_from(["second", "minutes", "hour", "days", "week"])
)
def test_a_number_with_decimals_is_exact(number: Decimal, unit: str) -> None:
    one_us = Duration.parse(f"1 {unit}").length_us
    assert Duration.parse(f"{number} {unit}").length_us == number * one_us
