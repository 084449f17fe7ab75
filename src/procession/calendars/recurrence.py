"""When something recurs, as an operator writes it: "every Monday at 8:00", "daily at 6:30", or the five fields of cron.

Words become cron; `cronsim` reckons, as Debian's cron does. A time that the clock leaps over in spring is due when it
has leapt, one that comes twice in autumn is due once, and what recurs by the hour or the minute goes on through both.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from procession.calendars.durations import DAY_US, HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOKED_BACK_US = (HOUR_US, DAY_US, 8 * DAY_US, 32 * DAY_US, 367 * DAY_US, 8 * 366 * DAY_US, 60 * 366 * DAY_US)

_DAYS = {name: number for number, name in enumerate("sunday monday tuesday wednesday thursday friday saturday".split())}
_MONTHS = {
    name: number
    for number, name in enumerate(
        "january february march april may june july august september october november december".split(), 1
    )
}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}

EXAMPLES = (
    '"every Monday at 8:00", "every Tuesday and Friday at 17:30", "every weekday at 8:00", "daily at 6:30", '
    '"every 15 minutes", "every 2 hours", "first day of the month at 9:00", "last day of the month at 17:00", '
    '"second Monday of the month at 9:00", "every year on 1 March at 8:00", or the five fields of cron: "30 6 * * 1-5"'
)


class RecurrenceUnclear(ValueError):
    """A text does not say when something recurs, or it never would. The message says what can be written instead."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The moments at which something recurs, on the clock of a time zone."""

    text: str
    cron: str = field(compare=False)
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> "Recurrence":
        """What was written. Raises `RecurrenceUnclear` for what nobody understands, and for what never comes."""
        told = " ".join(text.split())
        recurrence = cls(told, _cron_of(told), zone)
        if recurrence.next_after(0) is None:
            raise RecurrenceUnclear(f'"{told}" never comes: there is no such day in fifty years')
        return recurrence

    def next_after(self, moment_us: int) -> int | None:
        """The first time after a moment, in microseconds; None where there is none in fifty years.

        Raises `RecurrenceUnclear` where the fields of cron cannot be read.
        """
        from cronsim import CronSim, CronSimError

        local = (_EPOCH + timedelta(microseconds=moment_us)).astimezone(self.zone)
        try:
            for found in CronSim(self.cron, local):
                found_us = (found - _EPOCH) // timedelta(microseconds=1)
                if found_us > moment_us:  # in the hour that comes twice the clock alone does not tell
                    return found_us
        except CronSimError as error:
            raise RecurrenceUnclear(
                f'"{self.text}" cannot be read as fields of cron ({str(error).lower()}): minute, hour, day, month, weekday'
            ) from None
        return None

    def last_between(self, after_us: int, until_us: int) -> int | None:
        """The latest time after the first moment and not after the second; None where there is none."""
        for back_us in _LOOKED_BACK_US:
            begin_us = max(after_us, until_us - back_us)
            found = self.next_after(begin_us)
            if found is not None and found <= until_us:
                return self._last_from(found, until_us)
            if begin_us == after_us:
                return None
        return None

    def _last_from(self, found_us: int, until_us: int) -> int:
        while (later := self.next_after(found_us)) is not None and later <= until_us:
            found_us = later
        return found_us

    def __str__(self) -> str:
        return self.text


def _cron_of(told: str) -> str:
    if len(told.split()) == 5 and re.match(r"[\d*]", told):
        return told
    if told and re.fullmatch(r"[\d*/,A-Z#-]+( [\d*/,A-Z#-]+)+", told):
        raise RecurrenceUnclear(
            f'"{told}" has {len(told.split())} fields; cron has five: minute, hour, day, month, weekday'
        )
    lowered = told.lower().removeprefix("on ").removeprefix("the ")
    for pattern, meaning in _WORDS:
        if match := re.fullmatch(pattern, lowered):
            return meaning(told, match)
    if "working" in lowered:
        raise RecurrenceUnclear(
            f'"{told}": there are no working calendars yet to say which days those are. Write "every weekday at …" for now'
        )
    raise RecurrenceUnclear(f'"{told}" does not say when. Write {EXAMPLES}')


def _every_minutes(told: str, match: "re.Match[str]") -> str:
    return f"{_step(told, match['count'], 60, 'minutes', 'an hour')} * * * *"


def _every_hours(told: str, match: "re.Match[str]") -> str:
    return f"0 {_step(told, match['count'], 24, 'hours', 'a day')} * * *"


def _step(told: str, count: str | None, whole: int, unit: str, longer: str) -> str:
    number = int(count or 1)
    if not 0 < number < whole or whole % number:
        fits = ", ".join(str(each) for each in range(1, whole // 2 + 1) if whole % each == 0)
        raise RecurrenceUnclear(f'"{told}" does not come out even in {longer}. Write one of {fits} {unit}')
    return "*" if number == 1 else f"*/{number}"


def _daily(told: str, match: "re.Match[str]") -> str:
    return f"{_clock(told, match)} * * *"


def _on_weekdays(told: str, match: "re.Match[str]") -> str:
    written = re.split(r",\s*|\s+and\s+", match["days"])
    days = [_weekday(told, each) for each in written]
    return f"{_clock(told, match)} * * {','.join(days)}"


def _weekday(told: str, written: str) -> str:
    name = written.removesuffix("s")
    if name == "weekday":
        return "1-5"
    if name not in _DAYS:
        raise RecurrenceUnclear(f'"{told}": "{written}" is no day of the week')
    return str(_DAYS[name])


def _day_of_month(told: str, match: "re.Match[str]") -> str:
    written = match["day"]
    if written in ("first", "last"):
        return f"{_clock(told, match)} {'1' if written == 'first' else 'L'} * *"
    number = int(re.sub(r"\D", "", written))
    if not 1 <= number <= 28:
        raise RecurrenceUnclear(
            f'"{told}": not every month has a day {number}. Write "last day of the month at …", '
            f'or as cron for the months that have one: "{_clock(told, match)} {number} * *"'
        )
    return f"{_clock(told, match)} {number} * *"


def _weekday_of_month(told: str, match: "re.Match[str]") -> str:
    day = _weekday(told, match["weekday"])
    which = "L" if match["nth"] == "last" else f"#{_ORDINALS[match['nth']]}"
    return f"{_clock(told, match)} * * {day}{which}"


def _yearly(told: str, match: "re.Match[str]") -> str:
    month = match["month"] or match["month2"]
    if month not in _MONTHS:
        raise RecurrenceUnclear(f'"{told}": "{month}" is no month')
    return f"{_clock(told, match)} {int(match['date'] or match['date2'])} {_MONTHS[month]} *"


def _clock(told: str, match: "re.Match[str]") -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 23 or minute > 59:
        raise RecurrenceUnclear(f'"{told}": there is no {hour}:{minute:02d}. Hours go from 0:00 to 23:59')
    return f"{minute} {hour}"


_AT = r" at (?P<hour>\d{1,2}):(?P<minute>\d\d)"
_WORDS = (
    (r"(?:every minute|every (?P<count>\d+) minutes?)", _every_minutes),
    (r"(?:hourly|every hour|every (?P<count>\d+) hours?)", _every_hours),
    (rf"(?:daily|every day){_AT}", _daily),
    (rf"(?P<day>first|last|day \d+|\d+(?:st|nd|rd|th)?)(?: day)? of (?:the|each|every) month{_AT}", _day_of_month),
    (
        rf"(?P<nth>first|second|third|fourth|last) (?P<weekday>[a-z]+) of (?:the|each|every) month{_AT}",
        _weekday_of_month,
    ),
    (
        rf"every year on (?:(?P<date>\d+) (?P<month>[a-z]+)|(?P<month2>[a-z]+) (?P<date2>\d+)){_AT}",
        _yearly,
    ),
    (rf"(?:every|each) (?P<days>[a-z]+(?:(?:,\s*|\s+and\s+)[a-z]+)*){_AT}", _on_weekdays),
)
