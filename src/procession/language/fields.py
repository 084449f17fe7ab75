"""A type described as fields to ask for, one by one: for a terminal, a form, or a program that makes up answers.

`ValueCodec.fields()` and `ArgumentsCodec.fields()` give these; `procession.language.answers` asks them and puts the
answers together as JSON for `parse`.
"""

import ast
import inspect
import itertools
import textwrap
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Any

from pydantic_core import to_jsonable_python

from procession.language.core_schemas import Node, Schema
from procession.language.strict_json import join
from procession.language.unions import members_of, tagging_of


class FieldKind(StrEnum):
    """What is asked for."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    DURATION = "duration"
    CHOICE = "choice"
    UNION = "union"
    LIST = "list"
    NESTED = "nested"
    JSON = "json"
    """What cannot be asked field by field (dictionaries, tuples, types that contain themselves): a JSON text."""


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a choice: what to show, and how it is written in JSON."""

    label: str
    value: object


@dataclass(frozen=True, slots=True)
class Alternative:
    """One member of a union: what to show, the tag it is written with (None: plainly), and what it consists of."""

    label: str
    tag: str | None
    field: "Field"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to ask for.

    `path` is its place in the JSON ("address.city"; "" for the value itself; "lines.*" for each element of a list).
    `required` is False if it may be left out, and then `default` is the JSON that leaving it out means; `nullable` is
    True if the answer may be "nothing". `options` belong to a choice, `alternatives` to a union, `item` to a list,
    `fields` to something nested.
    """

    path: str
    label: str
    kind: FieldKind
    required: bool = True
    nullable: bool = False
    default: object = None
    help: str = ""
    type_name: str = ""
    options: tuple[Option, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    item: "Field | None" = None
    fields: "tuple[Field, ...]" = ()


def field_of_value(schema: Schema) -> Field:
    """The whole value as one field with path ""."""
    return _Describing(schema).field(schema.root, "", "Answer")


def fields_of_value(schema: Schema) -> tuple[Field, ...]:
    """The fields of a class; of anything else the value itself, as the only field."""
    whole = field_of_value(schema)
    return whole.fields if whole.kind is FieldKind.NESTED and not whole.nullable else (whole,)


def label_of(name: str) -> str:
    """A name in the source as people read it: "file_number" is "File number"."""
    words = " ".join(name.strip("_").replace("_", " ").split())
    return words[:1].upper() + words[1:]


_KINDS = {
    "int": FieldKind.INTEGER,
    "float": FieldKind.NUMBER,
    "decimal": FieldKind.DECIMAL,
    "bool": FieldKind.BOOLEAN,
    "date": FieldKind.DATE,
    "datetime": FieldKind.DATETIME,
    "time": FieldKind.TIME,
    "timedelta": FieldKind.DURATION,
    "str": FieldKind.TEXT,
    "uuid": FieldKind.TEXT,
    "bytes": FieldKind.TEXT,
    "url": FieldKind.TEXT,
    "multi-host-url": FieldKind.TEXT,
}
_TYPE_NAMES = {
    "str": "text",
    "int": "whole number",
    "decimal": "decimal number",
    "float": "number",
    "bool": "yes or no",
}


class _Describing:
    """Walks a schema and describes it; knows which named nodes it is inside of, so that recursion ends."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._inside: list[str] = []

    def field(self, node: Node, path: str, label: str) -> Field:
        updates = node.get("metadata", {}).get("pydantic_js_updates", {})
        described = self._kind_of(node, path, updates.get("title", label))
        return replace(described, help=updates["description"]) if "description" in updates else described

    def _kind_of(self, node: Node, path: str, label: str) -> Field:
        kind = node["type"]
        if kind == "definition-ref" or "ref" in node:
            return self._named(node, path, label)
        return self._of(node, path, label)

    def _named(self, node: Node, path: str, label: str) -> Field:
        name = node["schema_ref"] if node["type"] == "definition-ref" else node["ref"]
        if name in self._inside or name.startswith("pydantic.types.JsonValue"):
            return Field(path, label, FieldKind.JSON, type_name="JSON")
        self._inside.append(name)
        try:
            return self._of(self._schema.resolve(node), path, label)
        finally:
            self._inside.pop()

    def _of(self, node: Node, path: str, label: str) -> Field:
        match node["type"]:
            case "default":
                inner = self.field(node["schema"], path, label)
                default = node["default_factory"]() if _plain_factory(node) else node.get("default")
                return replace(inner, required=False, default=to_jsonable_python(default))
            case "none":
                return Field(path, label, FieldKind.JSON, nullable=True, type_name="nothing")
            case "nullable":
                return replace(self.field(node["schema"], path, label), nullable=True)
            case "function-after" | "function-before" | "function-wrap" | "custom-error":
                return self.field(node["schema"], path, label)
            case "lax-or-strict":
                return self.field(node["strict_schema"], path, label)
            case "json-or-python":
                return self.field(node["json_schema"], path, label)
            case "chain":
                return self.field(node["steps"][0], path, label)
            case "model" if node.get("root_model"):
                return self.field(node["schema"], path, label)
            case "model" | "dataclass" | "typed-dict":
                return self._nested(node, path, label)
            case "enum":
                options = tuple(Option(_option_label(member), member.value) for member in node["members"])
                return Field(path, label, FieldKind.CHOICE, options=options, type_name=node["cls"].__name__)
            case "literal":
                return _literal(node["expected"], path, label)
            case "union":
                return self._union(node, path, label)
            case "list" | "set" | "frozenset":
                item = self.field(node.get("items_schema", {"type": "any"}), join(path, "*"), label)
                return Field(path, label, FieldKind.LIST, item=item, type_name=f"list of {item.type_name}")
            case kind if kind in _KINDS:
                return Field(path, label, _KINDS[kind], type_name=_TYPE_NAMES.get(kind, str(kind)))
            case _:
                return Field(path, label, FieldKind.JSON, type_name="JSON")

    def _nested(self, node: Node, path: str, label: str) -> Field:
        holder = node if node["type"] == "typed-dict" else self._without_validators(node["schema"])
        members = holder["fields"]
        named = [(m["name"], m) for m in members] if isinstance(members, list) else list(members.items())
        helps = _attribute_docstrings(node.get("cls"))
        fields = tuple(
            self._member(name, member, join(path, name), helps)
            for name, member in named
            if member.get("init", True) is not False
        )
        name: str = node["cls"].__name__ if "cls" in node else label
        return Field(path, label, FieldKind.NESTED, fields=fields, type_name=name)

    def _without_validators(self, node: Node) -> Node:
        while node["type"] not in ("model-fields", "dataclass-args"):
            node = node["schema"]
        return node

    def _member(self, name: str, member: Node, path: str, helps: dict[str, str]) -> Field:
        updates = member.get("metadata", {}).get("pydantic_js_updates", {})
        described = self.field(member["schema"], path, updates.get("title", label_of(name)))
        text = updates.get("description") or described.help or helps.get(name, "")
        required = described.required and member.get("required", True) is not False
        return replace(described, help=text, required=required)

    def _union(self, node: Node, path: str, label: str) -> Field:
        members = members_of(node, self._schema)
        nullable = any(member["type"] == "none" for member in members)
        literals = [m for m in members if m["type"] == "literal"]
        others = [m for m in members if m["type"] not in ("none", "literal")]
        if not others:
            expected = [value for literal in literals for value in literal["expected"]]
            return replace(_literal(expected, path, label), nullable=nullable)
        tags = {id(member): tag for tag, member in tagging_of(members, self._schema).tagged.items()}
        alternatives = tuple(
            self._alternative(member, tags.get(id(member)), path, label)
            for member in members
            if member["type"] != "none"
        )
        names = " or ".join(alternative.label for alternative in alternatives)
        return Field(path, label, FieldKind.UNION, nullable=nullable, alternatives=alternatives, type_name=names)

    def _alternative(self, member: Node, tag: str | None, path: str, label: str) -> Alternative:
        described = self.field(member, join(path, tag) if tag else path, label)
        return Alternative(described.type_name or label, tag, described)


def _literal(expected: list[Any], path: str, label: str) -> Field:
    options = tuple(
        Option(_option_label(value), value.value if isinstance(value, Enum) else value) for value in expected
    )
    return Field(path, label, FieldKind.CHOICE, options=options, type_name="choice")


def _option_label(value: object) -> str:
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else label_of(value.name.lower())
    return str(value)


def _plain_factory(node: Node) -> bool:
    return "default_factory" in node and not node.get("default_factory_takes_data")


def _attribute_docstrings(cls: type | None) -> dict[str, str]:
    """The texts written under the fields of a class: they explain a field to whoever fills it in."""
    if cls is None:
        return {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    texts: dict[str, str] = {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    for field, text in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            texts[field.target.id] = inspect.cleandoc(text.value.value)
    return texts
