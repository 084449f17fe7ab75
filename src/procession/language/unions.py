"""Unions whose members look alike in JSON: each is written with its tag, so that it comes back as what it was.

`Approved | Declined` is written `{"Approved": {"conditions": []}}`: an object with one member, named by the class. The
same holds for `date | str`: `{"date": "2026-03-01"}`. Members that JSON tells apart (`Approved | None`, `int | str`)
are written plainly.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import PydanticCustomError, core_schema

from procession.language.core_schemas import Node, Schema, Shape, choices_of, shapes_of, unwrapped


class Undecidable(ValueError):
    """Two members of a union cannot be told apart even in Python; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class Tagging:
    """How the members of one union are written: the tagged ones by tag, and the plain ones."""

    tagged: Mapping[str, Node]
    plain: tuple[Node, ...]
    tag_by_type: Mapping[type, str]

    def tag_of(self, value: object) -> str | None:
        """The tag a value is written with; None if it is written plainly."""
        return self.tag_by_type.get(type(value)) or self._inherited_tag(value)

    def _inherited_tag(self, value: object) -> str | None:
        # A datetime is a date and our ordered sets are sets: the nearest class in the order of inheritance decides.
        return next((self.tag_by_type[base] for base in type(value).__mro__ if base in self.tag_by_type), None)


_VALUE_TYPES: dict[str, tuple[str, type]] = {
    "str": ("str", str),
    "int": ("int", int),
    "float": ("float", float),
    "bool": ("bool", bool),
    "date": ("date", date),
    "datetime": ("datetime", datetime),
    "time": ("time", time),
    "timedelta": ("timedelta", timedelta),
    "uuid": ("UUID", UUID),
    "decimal": ("Decimal", Decimal),
    "bytes": ("bytes", bytes),
    "list": ("list", list),
    "tuple": ("tuple", tuple),
    "set": ("set", set),
    "frozenset": ("frozenset", frozenset),
    "dict": ("dict", dict),
    "typed-dict": ("dict", dict),
}


def members_of(union: Node, schema: Schema) -> list[Node]:
    """The members of a union, those of unions directly inside it included."""
    members: list[Node] = []
    for choice in choices_of(union):
        inner = schema.resolve(choice)
        if inner["type"] == "union":
            members.extend(members_of(inner, schema))
        elif inner["type"] == "nullable":
            members.extend((*members_of({"choices": [inner["schema"]]}, schema), {"type": "none"}))
        else:
            members.append(choice)
    return members


def tagging_of(members: list[Node], schema: Schema) -> Tagging:
    """Which members of a union need a tag, and which tag. Raises `Undecidable` if Python cannot tell them apart."""
    literals = [m for m in members if unwrapped(m, schema)["type"] in ("literal", "none")]
    others = [m for m in members if m not in literals]
    crowd = Counter(shape for member in members for shape in shapes_of(member, schema))
    tagged: dict[str, Node] = {}
    plain = list(literals)
    tag_by_type: dict[type, str] = {}
    for member in others:
        shapes = shapes_of(member, schema)
        alone = all(crowd[shape] == 1 for shape in shapes)
        only_literals_beside = unwrapped(member, schema)["type"] == "str" and _is_only_text(member, others, schema)
        if (alone or only_literals_beside) and Shape.ANY not in shapes:
            plain.append(member)
            continue
        tag, value_type = _tag(member, schema)
        if tag in tagged or value_type in tag_by_type:
            raise Undecidable(
                f"has two members that are `{tag}` at run time. Make each a class of its own, with its own name."
            )
        tagged[tag] = member
        tag_by_type[value_type] = tag
    return Tagging(tagged, tuple(plain), tag_by_type)


def _is_only_text(member: Node, others: list[Node], schema: Schema) -> bool:
    return not any(Shape.TEXT in shapes_of(other, schema) for other in others if other is not member)


def _tag(member: Node, schema: Schema) -> tuple[str, type]:
    outer = schema.resolve(member)
    if outer["type"] in ("lax-or-strict", "json-or-python"):
        raise Undecidable("has a member that is written as another type. Make it a class of its own.")
    node = outer if outer["type"] == "model" else unwrapped(outer, schema)
    if node["type"] in ("model", "dataclass", "enum"):
        return node["cls"].__name__, node["cls"]
    if node["type"] in _VALUE_TYPES:
        return _VALUE_TYPES[node["type"]]
    raise Undecidable(
        f"has a member ({node['type']}) that cannot be told from the others when it is read. Make it a class of its own."
    )


def tagged_object(tagging: Tagging) -> Node:
    """The schema of the object with one member that carries a tagged value."""
    fields = {tag: core_schema.typed_dict_field(member, required=False) for tag, member in tagging.tagged.items()}
    return dict(core_schema.typed_dict_schema(fields, extra_behavior="forbid"))


def only_member(tags: str) -> Callable[[dict[str, Any]], Any]:
    """Takes the value out of its tagged object, or says which tags there are."""

    def take(members: dict[str, Any]) -> Any:
        if len(members) != 1:
            raise PydanticCustomError("tag", "is one of several types: name exactly one of {tags}", {"tags": tags})
        return next(iter(members.values()))

    return take
