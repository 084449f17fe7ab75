"""A duration as an author writes it: "3 days", "20 minutes", "1 day 4 hours", "2 working days", or a `timedelta`.

Calendar time and working time are one type, so that an operation's `due=` reads the same either way. Calendar time is
arithmetic on UTC. Working time needs a calendar of working hours to become a moment; until there is one, only its
length in hours is known, which is enough for an effort and not enough for a due date.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WORKING_DAY_US = 8 * HOUR_US
LONGEST_US = 100 * 366 * DAY_US

_UNITS_US = {"second": SECOND_US, "minute": MINUTE_US, "hour": HOUR_US, "day": DAY_US, "week": 7 * DAY_US}
_WORKING_UNITS_US = _UNITS_US | {"day": WORKING_DAY_US, "week": 5 * WORKING_DAY_US}
_NO_FIXED_LENGTH = {"month": "30 days", "quarter": "13 weeks", "year": "365 days"}
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<working>working\s+)?(?P<unit>[a-z]+)", re.ASCII)
_BETWEEN = re.compile(r"\s*(?:,\s*|\band\s+)?", re.ASCII)


class DurationUnclear(ValueError):
    """A text is not a duration, or cannot be reckoned with. The message says what can be written instead."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: `length_us` microseconds, counted on every clock or, if `working`, in working hours only."""

    length_us: int
    working: bool = False
    text: str = ""

    @classmethod
    def parse(cls, written: "str | timedelta | Duration") -> "Duration":
        """What an author wrote as a duration. Raises `DurationUnclear` with the remedy for anything else."""
        if isinstance(written, Duration):
            return written
        if isinstance(written, timedelta):
            return cls(_within_bounds(written // timedelta(microseconds=1), str(written)), text=_spoken(written))
        if isinstance(written, str):
            return _parsed(written)
        raise DurationUnclear(f'a duration is a text such as "3 days", or a timedelta, not {type(written).__name__}')

    @classmethod
    def effort(cls, written: "str | timedelta | Duration") -> "Duration":
        """An effort: always working time, so "1 day" means one working day of eight hours, and "2 hours" two hours."""
        duration = cls.parse(written)
        if duration.working or isinstance(written, timedelta):
            return cls(duration.length_us, working=True, text=duration.text)
        length_us = sum(_length_us(number, unit, working=True) for number, _, unit in _parts(duration.text))
        return cls(length_us, working=True, text=duration.text)

    def after(self, moment_us: int) -> int:
        """The moment (microseconds since 1970, UTC) at which this duration has passed since `moment_us`."""
        if self.working:
            raise DurationUnclear(_NEEDS_CALENDAR.format(text=self.text))
        return moment_us + self.length_us

    def require_calendar_time(self) -> "Duration":
        """This duration, if it can become a moment; raises `DurationUnclear` for working time, which cannot yet."""
        if self.working:
            raise DurationUnclear(_NEEDS_CALENDAR.format(text=self.text))
        return self

    @property
    def length(self) -> timedelta:
        """The length as a `timedelta`; of working time, the working hours in it."""
        return timedelta(microseconds=self.length_us)

    def __str__(self) -> str:
        return self.text


_NEEDS_CALENDAR = (
    '"{text}" is working time, and there are no working calendars yet to say when it ends. '
    'Write calendar time for now, for example "3 days".'
)


def _parsed(text: str) -> Duration:
    parts = _parts(text)
    if len({working for _, working, _ in parts}) > 1:
        raise DurationUnclear(f'"{text}" mixes working time and calendar time. Use one of them.')
    working = parts[0][1]
    length_us = sum(_length_us(number, unit, working=working) for number, _, unit in parts)
    return Duration(_within_bounds(length_us, text), working=working, text=" ".join(text.split()))


def _parts(text: str) -> list[tuple[Decimal, bool, str]]:
    """The (number, is working, unit) of each part of "1 day 4 hours"."""
    lowered = text.strip().lower()
    parts: list[tuple[Decimal, bool, str]] = []
    position = 0
    while position < len(lowered):
        between = _BETWEEN.match(lowered, position) if parts else None
        part = _PART.match(lowered, between.end() if between else position)
        if part is None:
            break
        parts.append((Decimal(part["number"]), part["working"] is not None, _unit(part["unit"], text)))
        position = part.end()
    if not parts or position < len(lowered):
        raise DurationUnclear(
            f'"{text}" is not a duration. Write a number and a unit: "20 minutes", "3 days", "1 day 4 hours".'
        )
    # "2 working days 4 hours": a part after a working one is working too.
    return [(number, working or parts[0][1], unit) for number, working, unit in parts]


def _unit(written: str, text: str) -> str:
    unit = written.removesuffix("s")
    if unit in _UNITS_US:
        return unit
    if unit in _NO_FIXED_LENGTH:
        instead = _NO_FIXED_LENGTH[unit]
        raise DurationUnclear(f'"{text}": a {unit} has no fixed length. Say how long, for example "{instead}".')
    raise DurationUnclear(
        f'"{text}": "{written}" is no unit of time. There are seconds, minutes, hours, days and weeks.'
    )


def _length_us(number: Decimal, unit: str, *, working: bool) -> int:
    return int(number * (_WORKING_UNITS_US if working else _UNITS_US)[unit])


def _within_bounds(length_us: int, text: str) -> int:
    if length_us < 0:
        raise DurationUnclear(f'"{text}" is less than nothing. A duration is zero or more.')
    if length_us > LONGEST_US:
        raise DurationUnclear(f'"{text}" is more than a hundred years. Is the unit right?')
    return length_us


def _spoken(length: timedelta) -> str:
    """A timedelta in the words of the grammar: "1 day 4 hours"."""
    rest_us = length // timedelta(microseconds=1)
    words: list[str] = []
    for unit in ("day", "hour", "minute"):
        count, rest_us = divmod(rest_us, _UNITS_US[unit])
        if count:
            words.append(f"{count} {unit}{'s' if count != 1 else ''}")
    if rest_us or not words:
        seconds = f"{Decimal(rest_us) / SECOND_US:f}"
        words.append(f"{seconds} second{'s' if seconds != '1' else ''}")
    return " ".join(words)
