"""How a value is given from outside, told to whoever must fill it in: as `field=value`, and as JSON.

The same words for a start, an answer and a result, whichever of the two ways it was given in.
"""

import json
from collections.abc import Mapping
from typing import Protocol, TypeVar

from procession.errors import InvalidValue
from procession.language.fields import Alternative, Field, FieldKind
from procession.language.strict_json import join

T_co = TypeVar("T_co", covariant=True)

OPTIONS = {"input": "--input", "answer": "--answer", "result": "--value"}
"""The option of the command line that takes the whole of it as JSON."""


class Reader(Protocol[T_co]):
    """What reads values from outside: the codec of a type, or of parameters."""

    def parse(self, raw: bytes) -> T_co: ...

    def fields(self) -> tuple[Field, ...]: ...


def parsed(reader: Reader[T_co], given: str, *, whole: str, subject: str) -> T_co:
    """A value from outside. Raises `InvalidValue` that says how it is given; `whole` is what it is: input, answer or result."""
    try:
        return reader.parse(given.encode())
    except InvalidValue as error:
        raise unfit(reader.fields(), error.problems, whole=whole, subject=subject) from None


def unfit(fields: tuple[Field, ...], problems: Mapping[str, str], *, whole: str, subject: str = "") -> InvalidValue:
    """The error for a value with these problems by field path, with what could be given instead."""
    told = "; ".join(f"{path or f'the {whole}'} {sentence}" for path, sentence in problems.items())
    message = f"The {whole} does not fit: {told}."
    return InvalidValue(message, problems=dict(problems), subject=subject, remedy=ways(fields, whole))


def ways(fields: tuple[Field, ...], whole: str) -> str:
    """What can be given for these fields, in a sentence."""
    if len(fields) == 1 and fields[0].path == "":
        (only,) = fields
        if only.kind is FieldKind.UNION and any(each.tag for each in only.alternatives):
            return one_of(only, whole)
        if only.kind is not FieldKind.NESTED:
            return f"It is one value: {whole} ({_told(only)})."
        fields = only.fields
    if not fields:
        return "It has no fields."
    return f"Fields: {', '.join(f'{field.path} ({_told(field)})' for field in fields)}."


def one_of(union: Field, whole: str) -> str:
    """How one of several types is given, in a sentence."""
    named = [f"{each.label} ({' '.join(given_as(each, whole))})" for each in union.alternatives]
    text = json.dumps(example(union), ensure_ascii=False)
    return f"It is one of several types: {' or '.join(named)}; as JSON {OPTIONS[whole]} '{text}'."


def form_of(field: Field, path: str, whole: str) -> str:
    """What to give where something was given for a whole that has fields."""
    names = ", ".join(each.path.rpartition(".")[2] for each in field.fields) or "none"
    first = field.fields[0].path.rpartition(".")[2] if field.fields else "…"
    return f"is a form with the fields {names}: give {join(path, first)}=…, or {OPTIONS[whole]} JSON"


def given_as(alternative: Alternative, whole: str) -> tuple[str, ...]:
    """The `field=value` pairs by which this member of a union is given."""
    if alternative.tag is not None and alternative.field.kind is FieldKind.NESTED:
        return assignments(alternative.field, whole) or (f"{_written(alternative.field.path)}={{}}",)
    return assignments(alternative.field, whole)


def assignments(field: Field, whole: str) -> tuple[str, ...]:
    """`field=value` pairs that fill in what is required of this field, with an example for each value."""
    match field.kind:
        case FieldKind.NESTED:
            needed = (each for each in field.fields if each.required)
            return tuple(pair for each in needed for pair in assignments(each, whole))
        case FieldKind.UNION:
            return given_as(field.alternatives[0], whole)
        case FieldKind.LIST if field.item is not None and field.item.kind in _ONE_BY_ONE:
            if inner := assignments(field.item, whole):
                return inner
        case _:
            pass
    return (f"{_written(field.path) or whole}={_typed(field)}",)


def example(field: Field) -> object:
    """JSON of the shape of this field: what is required, each with an example."""
    match field.kind:
        case FieldKind.NESTED:
            return {each.path.rpartition(".")[2]: example(each) for each in field.fields if each.required}
        case FieldKind.UNION:
            return example_of(field.alternatives[0])
        case FieldKind.LIST:
            return [] if field.item is None else [example(field.item)]
        case FieldKind.CHOICE:
            return field.options[0].value
        case _:
            return _EXAMPLES[field.kind][0]


def example_of(alternative: Alternative) -> object:
    """The same of one member of a union, under its tag where it has one."""
    inner = example(alternative.field)
    return inner if alternative.tag is None else {alternative.tag: inner}


_ONE_BY_ONE = (FieldKind.NESTED, FieldKind.UNION, FieldKind.JSON)
"""Elements of a list that are given each by its number."""
_EXAMPLES: dict[FieldKind, tuple[object, str]] = {
    FieldKind.TEXT: ("…", "…"),
    FieldKind.INTEGER: (12, "12"),
    FieldKind.DECIMAL: ("12.50", "12.50"),
    FieldKind.NUMBER: (12.5, "12.5"),
    FieldKind.BOOLEAN: (True, "yes"),
    FieldKind.DATE: ("2026-03-01", "2026-03-01"),
    FieldKind.DATETIME: ("2026-03-01T14:30:00Z", "2026-03-01T14:30"),
    FieldKind.TIME: ("14:30:00", "14:30"),
    FieldKind.DURATION: ("P3D", "3days"),
    FieldKind.JSON: ({}, "{}"),
}
"""Of each kind an example: in JSON, and as it is typed."""


def _typed(field: Field) -> str:
    match field.kind:
        case FieldKind.CHOICE:
            return field.options[0].label
        case FieldKind.LIST if field.item is not None and field.item.kind in _EXAMPLES:
            return _typed(field.item)
        case FieldKind.LIST | FieldKind.NESTED | FieldKind.UNION:
            return json.dumps(example(field), ensure_ascii=False)
        case _:
            return _EXAMPLES[field.kind][1]


def _written(path: str) -> str:
    """The path of a field as it is given: of the elements of a list the first."""
    return ".".join("0" if part == "*" else part for part in path.split("."))


def _told(field: Field) -> str:
    described = field.type_name
    if field.kind is FieldKind.NESTED:
        described = f"{field.type_name}: {', '.join(each.path.rpartition('.')[2] for each in field.fields) or 'none'}"
    elif field.kind is FieldKind.CHOICE:
        described = ", ".join(option.label for option in field.options)
    return described if field.required else f"{described}; may be left out"
