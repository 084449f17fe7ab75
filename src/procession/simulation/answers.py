"""The answers that a performer could hand in: all of them, or one by chance.

What is finite is chosen: enums, booleans, unions, and whether something optional is given. Everything else takes one
fixed value for its kind, so that nothing but the finite choices tells two answers apart.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from procession.language.answers import LEFT_OUT, collect_value
from procession.language.fields import Field, FieldKind

Choose = Callable[[int], int]
"""Given how many possibilities there are, which one it is, counted from 0."""

FIXED_VALUES: Mapping[FieldKind, object] = MappingProxyType(
    {
        FieldKind.TEXT: "as agreed",
        FieldKind.INTEGER: 1,
        FieldKind.DECIMAL: "1",
        FieldKind.NUMBER: 1.0,
        FieldKind.DATE: "2011-10-11",
        FieldKind.DATETIME: "2011-10-11T09:00:00+00:00",
        FieldKind.TIME: "09:00:00",
        FieldKind.DURATION: "PT1H",
        FieldKind.LIST: 1,
        FieldKind.JSON: None,
    }
)


def answer_by(
    fields: tuple[Field, ...],
    choose: Choose,
    *,
    values: Mapping[FieldKind, object] = FIXED_VALUES,
    named: Mapping[str, object] | None = None,
) -> object:
    """One answer to these fields, as JSON: `choose` settles what is finite, `values` and the fields in `named` the rest.

    `named` gives values by the last part of a field's path, for those that are data of the case.
    """
    given = named or {}

    def answer(field: Field, path: str) -> object:
        if field.nullable and field.kind is FieldKind.JSON and field.type_name == "nothing":
            return None  # there is no other answer
        if field.nullable and choose(2) == 0:
            return None
        if not field.required and choose(2) == 0:
            return LEFT_OUT
        match field.kind:
            case FieldKind.BOOLEAN:
                return choose(2) == 1
            case FieldKind.CHOICE:
                return field.options[choose(len(field.options))].value
            case FieldKind.UNION:
                return field.alternatives[choose(len(field.alternatives))]
            case FieldKind.NESTED:
                return True
            case kind:
                return given.get(path.rpartition(".")[2], values[kind])

    return collect_value(fields, answer)


def all_choices(fields: tuple[Field, ...]) -> Iterator[tuple[int, ...]]:
    """Every way to settle what is finite in these fields, each as the sequence of its choices."""
    script: list[int] = []
    while True:
        sizes = _sizes(fields, script)
        script = [*script, *[0] * (len(sizes) - len(script))]
        yield tuple(script)
        while script and script[-1] + 1 == sizes[len(script) - 1]:
            script.pop()
        if not script:
            return
        script[-1] += 1


def following(choices: tuple[int, ...]) -> Choose:
    """Makes these choices again, in order."""
    left = iter(choices)
    return lambda size: next(left)


def _sizes(fields: tuple[Field, ...], script: list[int]) -> list[int]:
    """How many possibilities each choice has, where the first ones are made as in the script and the rest is the first."""
    sizes: list[int] = []

    def choose(size: int) -> int:
        sizes.append(size)
        return script[len(sizes) - 1] if len(sizes) <= len(script) else 0

    answer_by(fields, choose)
    return sizes
