"""When something recurs: what may be written, and that the clock's leaps neither lose a time nor give one twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.calendars.recurrence import Recurrence, RecurrenceUnclear

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)  # the clock leaps from 2:00 to 3:00 in the night
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)  # from 3:00 back to 2:00


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def times(text: str, after: datetime, count: int, zone: ZoneInfo = AMSTERDAM) -> list[str]:
    recurrence, found, moment = Recurrence.parse(text, zone), [], us(after)
    for _ in range(count):
        following = recurrence.next_after(moment)
        assert following is not None
        moment = following
        found.append(f"{(EPOCH + timedelta(microseconds=moment)).astimezone(zone):%a %Y-%m-%d %H:%M %Z}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every Monday at 8:00", "Mon 2026-03-30 08:00 CEST"),
        ("Every Tuesday and Friday at 17:30", "Tue 2026-03-31 17:30 CEST"),
        ("every monday, wednesday and sunday at 0:05", "Sun 2026-03-29 00:05 CET"),
        ("every weekday at 08:00", "Mon 2026-03-30 08:00 CEST"),
        ("daily at 6:30", "Sun 2026-03-29 06:30 CEST"),
        ("every day at 23:59", "Sat 2026-03-28 23:59 CET"),
        ("every 15 minutes", "Sat 2026-03-28 13:15 CET"),
        ("hourly", "Sat 2026-03-28 14:00 CET"),
        ("every 6 hours", "Sat 2026-03-28 18:00 CET"),
        ("first day of the month at 9:00", "Wed 2026-04-01 09:00 CEST"),
        ("the last day of the month at 17:00", "Tue 2026-03-31 17:00 CEST"),
        ("15th of the month at 9:00", "Wed 2026-04-15 09:00 CEST"),
        ("second Monday of the month at 9:00", "Mon 2026-04-13 09:00 CEST"),
        ("last Friday of the month at 16:00", "Fri 2026-04-24 16:00 CEST"),
        ("every year on 29 February at 8:00", "Tue 2028-02-29 08:00 CET"),
        ("every year on March 1 at 8:00", "Mon 2027-03-01 08:00 CET"),
        ("30 6 * * 1-5", "Mon 2026-03-30 06:30 CEST"),
        ("0 9 31 * *", "Tue 2026-03-31 09:00 CEST"),
    ],
)
def test_what_is_written_in_words_or_as_cron_says_when(text: str, expected: str) -> None:
    assert times(text, SPRING, 1) == [expected]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 'Write "every Monday at 8:00"'),
        ("soon", 'Write "every Monday at 8:00"'),
        ("every Munday at 8:00", '"munday" is no day of the week'),
        ("daily at 25:00", "there is no 25:00"),
        ("every 7 minutes", "does not come out even in an hour. Write one of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30"),
        ("every 0 hours", "does not come out even in a day"),
        ("31st of the month at 9:00", 'Write "last day of the month at …"'),
        ("every working day at 8:00", "no working calendars yet"),
        ("0 0 30 2 *", "cannot be read as fields of cron"),
        ("every year on 30 February at 8:00", "cannot be read"),
        ("0 0 31 4,6 *", "cannot be read"),
        ("0 0 * *", "has 4 fields; cron has five"),
        ("* * * * * *", "has 6 fields; cron has five"),
        ("61 * * * *", "cannot be read as fields of cron"),
    ],
)
def test_what_nobody_understands_or_never_comes_is_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(RecurrenceUnclear) as refused:
        Recurrence.parse(text, AMSTERDAM)
    assert told in str(refused.value)


def test_a_time_that_the_clock_leaps_over_is_due_when_it_has_leapt() -> None:
    assert times("daily at 2:30", SPRING, 2) == ["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:30 CEST"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    assert times("daily at 2:30", AUTUMN, 2) == ["Sun 2026-10-25 02:30 CEST", "Mon 2026-10-26 02:30 CET"]


def test_from_within_the_second_of_two_hours_the_first_is_past() -> None:
    within = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 2:10 for the second time
    assert times("daily at 2:30", within, 1) == ["Mon 2026-10-26 02:30 CET"]


def test_what_recurs_by_the_quarter_goes_on_through_both_leaps() -> None:
    for begin in (SPRING, AUTUMN):
        recurrence, moment = Recurrence.parse("every 15 minutes", AMSTERDAM), us(begin)
        for _ in range(4 * 24):
            following = recurrence.next_after(moment)
            assert following == moment + 15 * MINUTE_US
            moment = following


def wanted(cron_minutes: set[int], cron_hours: set[int], day: datetime, zone: ZoneInfo) -> list[int]:
    """The law, said in another way: each time of the day's clock, once; one that is leapt over when the leap is done."""
    found = set()
    for hour in cron_hours:
        for minute in cron_minutes:
            naive = datetime(day.year, day.month, day.day, hour, minute)
            while (aware := naive.replace(tzinfo=zone)).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
                naive += timedelta(minutes=1)
            found.add(us(aware))
    return sorted(found)


zones = st.sampled_from(["Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
leaps = st.sampled_from(
    [(2026, 3, 27), (2026, 10, 23), (2026, 3, 6), (2026, 10, 30), (2026, 4, 3), (2026, 10, 2), (2026, 7, 1)]
)


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 5) | st.integers(0, 23), min_size=1, max_size=3),
    name=zones,
    start=leaps,
)
def test_set_times_come_once_a_day_whatever_the_clock_does(
    minutes: set[int], hours: set[int], name: str, start: tuple[int, int, int]
) -> None:
    zone = ZoneInfo(name)
    days = [datetime(*start) + timedelta(days=number) for number in range(4)]
    expected = [moment for day in days for moment in wanted(minutes, hours, day, zone)]
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    recurrence = Recurrence.parse(cron, zone)
    found, moment = [], us(days[0].replace(tzinfo=zone)) - 1
    while (following := recurrence.next_after(moment)) is not None and following <= expected[-1]:
        found.append(following)
        moment = following
    assert found == expected


@given(
    text=st.sampled_from(
        ["daily at 2:30", "every Monday at 8:00", "every 15 minutes", "first day of the month at 9:00"]
    ),
    after=st.integers(0, 60 * 24 * 60),
    length=st.integers(0, 60 * 24 * 40),
)
def test_the_last_time_between_two_moments_is_the_end_of_the_chain_of_next_ones(
    text: str, after: int, length: int
) -> None:
    recurrence = Recurrence.parse(text, AMSTERDAM)
    begin = us(datetime(2026, 3, 1, tzinfo=UTC)) + after * MINUTE_US
    end = begin + min(length, 3000 if "minutes" in text else length) * MINUTE_US
    last, moment = None, recurrence.next_after(begin)
    while moment is not None and moment <= end:
        last, moment = moment, recurrence.next_after(moment)
    assert recurrence.last_between(begin, end) == last
