"""Asking a type's fields one by one, and putting the answers together.

`collect` walks the fields and calls `answer` for each; `read` turns what a person typed into the JSON of one field. The
result is JSON for `ValueCodec.parse`, which has the last word on it.
"""

import json
from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeVar

from procession.calendars.durations import Duration
from procession.language.fields import Alternative, Field, FieldKind
from procession.language.moments import moment_text
from procession.language.strict_json import join

T = TypeVar("T")


class LeftOut(Enum):
    """What `answer` gives to leave a field out that is not required: its default stands then."""

    LEFT_OUT = "left out"


LEFT_OUT = LeftOut.LEFT_OUT
Answer = Callable[[Field, str], object]
"""Given a field and its path, the answer as JSON; of a union the chosen `Alternative`; of a list the number of elements.

`LEFT_OUT` leaves out a field that is not required; None answers a nullable one with nothing. Something nested is asked
about only if it may be left out or be nothing, and then anything else than those two means that its fields follow.
"""


class NotUnderstood(ValueError):
    """What a person typed is no answer to this field; the text says what would be."""


def collect(field: Field, answer: Answer, path: str = "") -> object:
    """Everything that a field consists of, asked and put together as JSON."""
    optional = field.nullable or not field.required
    if field.kind is FieldKind.NESTED:
        if optional and (given := answer(field, path)) in (None, LEFT_OUT):
            return given
        return collect_members(field.fields, answer, path)
    given = answer(field, path)
    if given is None or given is LEFT_OUT:
        return given
    if field.kind is FieldKind.UNION:
        if not isinstance(given, Alternative):
            raise TypeError(f"the answer to {path or 'the value'} must be one of its alternatives")
        inner = collect(given.field, answer, join(path, given.tag) if given.tag else path)
        return inner if given.tag is None or inner in (None, LEFT_OUT) else {given.tag: inner}
    if field.kind is FieldKind.LIST:
        if not isinstance(given, int) or field.item is None:
            raise TypeError(f"the answer to {path or 'the value'} must be how many elements it has")
        return [collect(field.item, answer, join(path, index)) for index in range(given)]
    return given


def collect_members(fields: tuple[Field, ...], answer: Answer, path: str = "") -> dict[str, object]:
    """The fields of a class or the parameters of an operation, asked in order, as a JSON object."""
    members: dict[str, object] = {}
    for field in fields:
        name = field.path.rsplit(".", 1)[-1]
        given = collect(field, answer, join(path, name))
        if given is not LEFT_OUT:
            members[name] = given
    return members


def collect_value(fields: tuple[Field, ...], answer: Answer) -> object:
    """What `ValueCodec.fields()` describes, asked and put together as JSON for `ValueCodec.parse`."""
    if len(fields) == 1 and fields[0].path == "":
        return collect(fields[0], answer)
    return collect_members(fields, answer)


def read(field: Field, typed: str, *, zone: tzinfo) -> object:
    """What was typed, as the JSON of this field; a moment without a zone is meant in `zone`.

    Raises `NotUnderstood` with what could be typed instead. An empty text leaves out what is not required, and means
    nothing where nothing is allowed.
    """
    text = typed.strip()
    if not text and (not field.required or field.nullable):
        return LEFT_OUT if not field.required else None
    match field.kind:
        case FieldKind.TEXT:
            return typed
        case FieldKind.CHOICE:
            return _chosen(field.options, [option.label for option in field.options], text).value
        case FieldKind.UNION:
            return _chosen(field.alternatives, [each.label for each in field.alternatives], text)
        case _:
            pass
    try:
        return _converted(field.kind, text, zone)
    except (ValueError, InvalidOperation, OverflowError):
        raise NotUnderstood(f'"{text}" is not {_EXAMPLES[field.kind]}') from None


_EXAMPLES = {
    FieldKind.INTEGER: "a whole number such as 12",
    FieldKind.LIST: "a number of elements such as 2",
    FieldKind.DECIMAL: "a number such as 12.50",
    FieldKind.NUMBER: "a number such as 12.5",
    FieldKind.BOOLEAN: "yes or no",
    FieldKind.DATE: "a date such as 2026-03-01",
    FieldKind.DATETIME: "a date and time such as 2026-03-01 14:30",
    FieldKind.TIME: "a time such as 14:30",
    FieldKind.DURATION: 'a duration such as "3 days" or "1 hour 30 minutes"',
    FieldKind.JSON: "JSON",
    FieldKind.NESTED: "yes or no",
}
_YES = ("yes", "y", "true", "1")
_NO = ("no", "n", "false", "0")


def _converted(kind: FieldKind, text: str, zone: tzinfo) -> object:
    match kind:
        case FieldKind.INTEGER | FieldKind.LIST:
            return int(text)
        case FieldKind.DECIMAL:
            return str(Decimal(text))
        case FieldKind.NUMBER:
            return float(text)
        case FieldKind.DATE:
            return date.fromisoformat(text).isoformat()
        case FieldKind.DATETIME:
            moment = datetime.fromisoformat(text)
            return moment_text(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        case FieldKind.TIME:
            return time.fromisoformat(text).isoformat()
        case FieldKind.DURATION:
            return f"PT{Decimal(Duration.parse(text).length_us) / 1_000_000:f}S"
        case FieldKind.BOOLEAN | FieldKind.NESTED if text.lower() in (*_YES, *_NO):
            return text.lower() in _YES
        case FieldKind.JSON:
            return json.loads(text)
        case _:
            raise ValueError(text)


def _chosen(among: tuple[T, ...], labels: list[str], text: str) -> T:
    """The one meant by its number (from 1), its label, or the unambiguous beginning of its label."""
    if text.isdecimal() and 1 <= int(text) <= len(among) and text not in labels:
        return among[int(text) - 1]
    lowered = [label.lower() for label in labels]
    if text.lower() in lowered:
        return among[lowered.index(text.lower())]
    begun = [each for each, label in zip(among, lowered, strict=True) if label.startswith(text.lower())]
    if len(begun) == 1 and text:
        return begun[0]
    raise NotUnderstood(f'"{text}" is none of {", ".join(labels)}')
