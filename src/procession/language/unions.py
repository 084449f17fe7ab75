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

from procession.language.core_schemas import CROSSING, Node, Schema, Shape, choices_of, shapes_of, unwrapped


class Undecidable(ValueError):
    """Two members of a union cannot be told apart even in Python; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class Tagging:
    """How the members of one union are written: the tagged ones by tag, and the plain ones."""

    tagged: Mapping[str, Node]
    plain: tuple[Node, ...]
    tag_by_type: Mapping[type, str | None]

    def tag_of(self, value: object) -> str | None:
        """The tag a value is written with; None if it is written plainly."""
        # A True is an int and our ordered sets are sets: the nearest class in the order of inheritance decides.
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
    crowd = Counter(shape for member in members for shape in shapes_of(member, schema))
    needing = [member for member in members if _needs_tag(member, members, crowd, schema)]
    if needing:  # a tag is an object itself, so an object beside it needs one too
        needing = [m for m in members if m in needing or Shape.OBJECT in shapes_of(m, schema)]
    tagged: dict[str, Node] = {}
    tag_by_type: dict[type, str | None] = {}
    for member in needing:
        tag, value_type = _tag(member, schema)
        if tag in tagged or value_type in tag_by_type:
            raise Undecidable(
                f"has two members that are `{tag}` at run time. Make each a class of its own, with its own name."
            )
        tagged[tag] = member
        tag_by_type[value_type] = tag
    plain = tuple(member for member in members if member not in needing)
    for member in plain:
        node = unwrapped(member, schema)
        plain_type = node["cls"] if "cls" in node else _VALUE_TYPES.get(node["type"], ("", type(None)))[1]
        tag_by_type.setdefault(plain_type, None)
    return Tagging(tagged, plain, tag_by_type)


def _needs_tag(member: Node, members: list[Node], crowd: Counter[Shape], schema: Schema) -> bool:
    kind = unwrapped(member, schema)["type"]
    if kind in ("literal", "none"):
        return False  # its few values are tried first
    shapes = shapes_of(member, schema)
    if Shape.ANY in shapes:
        return True
    if kind == "str" and _is_only_text(member, members, schema):
        return False  # text beside literals of text: either way it comes back as the same text
    if kind in _NUMBERS and _are_numbers(members, schema):
        shapes = shapes - {Shape.NUMBER}  # they are told apart by how they are written: 1, 1.0 and "1.0"
    return any(crowd[shape] > 1 for shape in shapes)


_NUMBERS = ("int", "float", "decimal")


def _are_numbers(members: list[Node], schema: Schema) -> bool:
    numbers = [m for m in members if Shape.NUMBER in shapes_of(m, schema)]
    return all(unwrapped(m, schema)["type"] in _NUMBERS for m in numbers)


def _is_only_text(member: Node, members: list[Node], schema: Schema) -> bool:
    others = [m for m in members if m is not member and unwrapped(m, schema)["type"] != "literal"]
    return not any(Shape.TEXT in shapes_of(other, schema) for other in others)


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
    return dict(core_schema.typed_dict_schema(fields, extra_behavior="forbid", config=CROSSING))


def only_member(tags: str) -> Callable[[dict[str, Any]], Any]:
    """Takes the value out of its tagged object, or says which tags there are."""

    def take(members: dict[str, Any]) -> Any:
        if len(members) != 1:
            raise PydanticCustomError("tag", "is one of several types: name exactly one of {tags}", {"tags": tags})
        return next(iter(members.values()))

    return take
