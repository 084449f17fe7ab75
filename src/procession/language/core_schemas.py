"""Reading pydantic's core schemas: the nodes of a type, from the outside in.

pydantic turns an annotation into a tree of plain dictionaries before it builds anything. This module obtains that tree,
names its parts and walks it; `rewriting` changes it, `fields` describes it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import core_schema

from procession.errors import NotDeclarable

Node = dict[str, Any]
"""One node of a core schema. `Any` because pydantic's own type for it is a union of fifty typed dictionaries."""


CROSSING = core_schema.CoreConfig(
    ser_json_bytes="base64", val_json_bytes="base64", ser_json_timedelta="iso8601", allow_inf_nan=False
)
"""How bytes, durations and fractions are written. A class has a configuration of its own, so each node is given this."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The core schema of one type: its root node, and the nodes that it refers to by name (recursive and shared ones)."""

    root: Node
    definitions: Mapping[str, Node] = field(default_factory=dict)

    def resolve(self, node: Node) -> Node:
        """The node itself, or the one that it refers to."""
        while node["type"] == "definition-ref":
            node = self.definitions[node["schema_ref"]]
        return node


def schema_of(annotation: Any, where: str) -> Schema:
    """The core schema of an annotation. Raises `NotDeclarable`, naming `where`, for what pydantic cannot describe."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
        core: Any = adapter.core_schema
    except PydanticUndefinedAnnotation as error:
        raise NotDeclarable(
            f"{where}: the type {type_name(annotation)} names `{error.name}`, which does not exist at run time.",
            subject=where,
            remedy="If it is imported under `if TYPE_CHECKING:`, import it as usual: values are checked by their types.",
        ) from None
    except (PydanticUserError, TypeError, NameError, RecursionError) as error:
        raise NotDeclarable(
            f"{where}: the type {type_name(annotation)} cannot cross a hand-off: {_why_not(error, annotation)}.",
            subject=where,
            remedy="Use frozen dataclasses, pydantic models, enums, numbers, Decimal, texts, dates, and lists or unions.",
        ) from None
    if core["type"] != "definitions":
        return Schema(core)
    return Schema(core["schema"], {definition["ref"]: definition for definition in core["definitions"]})


def _why_not(error: Exception, annotation: Any) -> str:
    """In our own words: pydantic's advice is for who configures a model of pydantic's."""
    if isinstance(error, RecursionError):
        return "it contains itself without end"
    found = re.search(r"schema for (.+?)\. Set", str(error))
    if found is None and isinstance(error, PydanticUserError) and "schema for" not in str(error):
        return str(error).split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
    unknown = re.sub(r"^<(class ')?|'?>$|^typing\.", "", found[1]) if found else type_name(annotation)
    return f"nothing says how a value of {unknown} is written down and read back"


def type_name(annotation: Any) -> str:
    """A type as its author would write it: `Approved | None`, `list[Line]`."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


# Where the nodes inside a node stand, by key. Everything else in a node is left alone.
_ONE = ("schema", "keys_schema", "values_schema", "extras_schema", "extras_keys_schema", "lax_schema", "strict_schema")
_ONE_OR_MANY = ("items_schema", "json_schema", "python_schema", "steps", "choices", "fields")


def map_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """A copy of a node whose direct children are changed by `change`."""
    changed = dict(node)
    for key in _ONE:
        if isinstance(node.get(key), dict):
            changed[key] = change(node[key])
    for key in _ONE_OR_MANY:
        if key in node:
            changed[key] = _map_any(node[key], change)
    return changed


def uses_functions(schema: Schema) -> bool:
    """Whether validators or serializers that are functions have a say in this type."""

    def look(node: Node) -> Node:
        if node["type"].startswith("function-") or "serialization" in node:
            raise _Found
        return map_children(node, look)

    try:
        for node in (schema.root, *schema.definitions.values()):
            look(node)
    except _Found:
        return True
    return False


def code_of_author(schema: Schema) -> tuple[str, ...]:
    """The names of what an author's classes run whenever a value is validated: `Order.__post_init__`, validators."""
    found: dict[str, None] = {}

    def look(node: Node) -> Node:
        function = node["function"]["function"] if node["type"].startswith("function-") else None
        if node.get("post_init") in (True, "model_post_init"):
            found[f"{node['cls'].__name__}.{'__post_init__' if node['type'] == 'dataclass' else 'model_post_init'}"] = (
                None
            )
        if function is not None and not (getattr(function, "__module__", None) or "pydantic").startswith("pydantic"):
            found[getattr(function, "__qualname__", "a validator").rpartition("<locals>.")[2]] = None
        return map_children(node, look)

    for node in (schema.root, *schema.definitions.values()):
        look(node)
    return tuple(found)


class _Found(Exception):
    """Ends a search."""


def _map_any(value: Any, change: Callable[[Node], Node]) -> Any:
    if isinstance(value, dict):
        return (
            change(value) if isinstance(value.get("type"), str) else {k: _map_any(v, change) for k, v in value.items()}
        )
    if isinstance(value, list):
        return [_map_any(member, change) for member in value]
    if isinstance(value, tuple):  # a choice of a union with its label
        return (_map_any(value[0], change), *value[1:])
    return value


_LOOK_THROUGH = {
    "default": "schema",
    "function-after": "schema",
    "function-before": "schema",
    "function-wrap": "schema",
    "lax-or-strict": "strict_schema",
    "json-or-python": "json_schema",
    "custom-error": "schema",
}


def unwrapped(node: Node, schema: Schema) -> Node:
    """The node that says what a value is, behind defaults, validators and references."""
    while True:
        node = schema.resolve(node)
        if node["type"] in _LOOK_THROUGH:
            node = node[_LOOK_THROUGH[node["type"]]]
        elif node["type"] == "chain":
            node = node["steps"][0]
        elif node["type"] == "model" and node.get("root_model"):
            node = node["schema"]
        else:
            return node


class Shape(StrEnum):
    """What a value is in JSON. Two members of a union that share a shape cannot be told apart without a tag."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    ARRAY = "array"
    OBJECT = "object"
    ANY = "anything"


_SHAPES = {
    "int": Shape.NUMBER,
    "float": Shape.NUMBER,
    "bool": Shape.BOOLEAN,
    "none": Shape.NULL,
    "list": Shape.ARRAY,
    "tuple": Shape.ARRAY,
    "set": Shape.ARRAY,
    "frozenset": Shape.ARRAY,
    "dict": Shape.OBJECT,
    "model": Shape.OBJECT,
    "dataclass": Shape.OBJECT,
    "typed-dict": Shape.OBJECT,
    "tagged-union": Shape.OBJECT,
}
_TEXTS = ("str", "date", "datetime", "time", "timedelta", "uuid", "bytes", "url", "multi-host-url")


def shapes_of(node: Node, schema: Schema) -> frozenset[Shape]:
    """The shapes that the values of a node have in JSON."""
    node = unwrapped(node, schema)
    kind = node["type"]
    if kind == "decimal":
        return frozenset({Shape.TEXT, Shape.NUMBER})  # written as text, read from either
    if kind in _TEXTS:
        return frozenset({Shape.TEXT})
    if kind in ("enum", "literal"):
        members = [m.value for m in node["members"]] if kind == "enum" else node["expected"]
        return frozenset(_shape_of_value(member) for member in members)
    if kind == "nullable":
        return shapes_of(node["schema"], schema) | {Shape.NULL}
    if kind == "union":
        return frozenset().union(*(shapes_of(choice, schema) for choice in choices_of(node)))
    return frozenset({_SHAPES.get(kind, Shape.ANY)})


def _shape_of_value(value: object) -> Shape:
    if isinstance(value, bool):
        return Shape.BOOLEAN
    if isinstance(value, str) or hasattr(value, "value"):  # an enum member in a Literal is written as its value
        return Shape.TEXT if isinstance(value, str) else _shape_of_value(value.value)
    if isinstance(value, int | float):
        return Shape.NUMBER
    return Shape.NULL if value is None else Shape.ANY


def choices_of(union: Node) -> list[Node]:
    """The members of a union, without the labels pydantic may give them."""
    return [choice[0] if isinstance(choice, tuple) else choice for choice in union["choices"]]
