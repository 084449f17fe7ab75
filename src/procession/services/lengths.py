"""A length of time that comes with a command: read, and refused where it is none."""

from procession.calendars.durations import Duration, DurationUnclear
from procession.errors import InvalidValue


def length_of(written: str, field: str, *, nothing: str, remedy: str) -> int:
    """Microseconds. Raises `InvalidValue` for the field; `nothing` is the sentence for one that is no time at all."""
    try:
        length_us = Duration.parse(written).require_calendar_time().length_us
    except DurationUnclear as error:
        raise InvalidValue(str(error), problems={field: "is no length of time"}, subject=field, remedy=remedy) from None
    if length_us <= 0:
        raise InvalidValue(nothing, problems={field: "is no time at all"}, subject=field, remedy=remedy)
    return length_us
