"""The rules for single values that pydantic leaves to a function: each is called with a value and gives it or refuses it."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

from procession.language.ordered_sets import OrderedFrozenSet, OrderedSet

_NOT_AMONG = PydanticCustomError("literal", "is none of the values that it may have")


def in_order(value: Any, serialize: core_schema.SerializerFunctionWrapHandler) -> list[Any]:
    """A set as a list whose order depends on its elements alone."""
    written: list[Any] = list(serialize(value))
    try:
        return sorted(written)
    except TypeError:
        return sorted(written, key=repr)


def number(value: Any) -> Any:
    """Takes a float or an int; pydantic takes whatever can be made one."""
    if isinstance(value, float | int):
        return value
    raise PydanticCustomError("number", "should be a float, not a {actual}", {"actual": type(value).__name__})


def ordered_set(elements: list[Any]) -> OrderedSet[Any]:
    """A set from the list that it was written as."""
    made = OrderedSet(elements)
    if len(made) < len(elements):
        raise PydanticCustomError("twice", "holds an element twice, which a set cannot")
    return made


def ordered_frozen_set(elements: list[Any]) -> OrderedFrozenSet[Any]:
    """A frozen set from the list that it was written as."""
    made = OrderedFrozenSet(elements)
    if len(made) < len(elements):
        raise PydanticCustomError("twice", "holds an element twice, which a set cannot")
    return made


def exactly(expected: type) -> Callable[[Any], Any]:
    """A subclass would cross as its base and lose what it adds: it is refused."""

    def check(value: Any) -> Any:
        if type(value) is expected or not isinstance(value, expected):
            return value
        raise PydanticCustomError(
            "subclass",
            "is a {actual}, but the type here is {expected}, and what {actual} adds would be lost: "
            "write the union of both in the annotation",
            {"actual": type(value).__name__, "expected": expected.__name__},
        )

    return check


def of_exactly(kinds: frozenset[type]) -> Callable[[Any], Any]:
    """Takes values of these very types: True equals 1, and is not the same answer."""

    def check(value: Any) -> Any:
        if type(value) in kinds:
            return value
        raise _NOT_AMONG

    return check


def literal_table(expected: list[Any]) -> Mapping[tuple[type, Any], Any]:
    """The values of a literal by what they are in JSON. Raises `ValueError` if two of them are the same there."""
    table: dict[tuple[type, Any], Any] = {}
    for value in expected:
        written = value.value if isinstance(value, Enum) else value
        if table.setdefault((type(written), written), value) is not value:
            raise ValueError(f"has two values that are both written {written!r}")
    return table


def looked_up(table: Mapping[tuple[type, Any], Any]) -> Callable[[Any], Any]:
    """Takes what stands in JSON for one of the values in the table."""

    def look_up(written: Any) -> Any:
        if isinstance(written, str | int | float | bool | None) and (type(written), written) in table:
            return table[type(written), written]
        raise _NOT_AMONG

    return look_up
