"""From pydantic's schema of a type to the three that a hand-off needs: writing it, reading what was recorded, and
reading what comes from outside.

pydantic alone is too kind for a history that must replay: it keeps no tag on a union, reads 1 as True, takes an
instance at its word, lets a moment without a zone through, and drops what it does not know. Each rule is one node.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from pydantic_core import core_schema

from procession.errors import NotDeclarable
from procession.language.core_schemas import CROSSING, Node, Schema, Shape, map_children, shapes_of, unwrapped
from procession.language.moments import moment_text, read_moment
from procession.language.ordered_sets import OrderedFrozenSet, OrderedSet
from procession.language.problems import CHOICE
from procession.language.strict_json import DIGITS_LIMIT
from procession.language.unions import Tagging, Undecidable, members_of, only_member, tagged_object, tagging_of
from procession.language.value_rules import (
    exactly,
    in_order,
    literal_table,
    looked_up,
    number,
    of_exactly,
    ordered_frozen_set,
    ordered_set,
)


class Direction(Enum):
    """What a rewritten schema is for."""

    WRITE = auto()
    """A Python value is validated as it stands and written as canonical JSON."""
    READ = auto()
    """JSON that was recorded becomes a value; members that the type no longer has are passed over."""
    PARSE = auto()
    """JSON from outside becomes a value; members that the type does not have are refused."""


_STRICT = frozenset(
    (
        *("str", "int", "float", "bool", "decimal", "date", "datetime", "time", "timedelta", "bytes", "uuid", "enum"),
        *("url", "list", "tuple", "set", "frozenset", "model", "dataclass", "typed-dict"),
    )
)
_RELAXING = frozenset(("function-before", "function-wrap"))
_REMEDY_BY_KIND = {
    "any": "`Any` and `object` have no form: name the type, or use `pydantic.JsonValue` for any JSON.",
    "callable": "A callable cannot be stored: hand over a value.",
    "generator": "An iterator is used up by reading: write `list[…]`.",
    "named-tuple": "A named tuple comes back as a list: make it a frozen dataclass.",
    "call": "A named tuple comes back as a list: make it a frozen dataclass.",
    "complex": "JSON has no complex numbers: hand over two floats.",
    "is-instance": "pydantic cannot write this class: make it a frozen dataclass.",
    "is-subclass": "A class cannot be stored: hand over a value.",
    "arguments": "A callable cannot be stored: hand over a value.",
}
_LARGEST_INTEGER = 10**DIGITS_LIMIT


def rewritten(schema: Schema, direction: Direction, where: str) -> Node:
    """The schema to build a validator or serializer from. Raises `NotDeclarable` for a type that cannot cross."""
    return _Rewriting(schema, direction, where).complete()


class _Rewriting:
    def __init__(self, schema: Schema, direction: Direction, where: str) -> None:
        self._schema = schema
        self._direction = direction
        self._where = where
        self._trail: list[str] = []
        self._relaxed = 0
        self._rules: Mapping[str, Callable[[Node], Node]] = {
            "union": self._union,
            "set": self._set,
            "frozenset": self._set,
            "dict": self._dict,
            "datetime": self._datetime,
            "int": self._int,
            "float": self._float,
            "decimal": self._finite,
            "default": self._default,
            "model": self._class,
            "dataclass": self._class,
            "typed-dict": self._typed_dict,
            "model-fields": self._fields,
            "dataclass-args": self._fields,
            "json-or-python": self._json_or_python,
            "lax-or-strict": self._lax_or_strict,
            "literal": self._literal,
            "enum": self._enum,
        }

    def complete(self) -> Node:
        definitions = [self._node(definition) for definition in self._schema.definitions.values()]
        root = self._node(self._schema.root)
        return {"type": "definitions", "schema": root, "definitions": definitions} if definitions else root

    def _node(self, node: Node) -> Node:
        kind = node["type"]
        if kind in _REMEDY_BY_KIND:
            raise self._refusal(
                f"has a part of type {_described(node)} that cannot be written down", _REMEDY_BY_KIND[kind]
            )
        if kind in _STRICT and not self._relaxed:
            node = {**node, "strict": node.get("strict", True)}
        rule = self._rules.get(kind)
        if rule is not None:
            return rule(node)
        if kind in _RELAXING and self._direction is not Direction.WRITE:
            return self._below_a_python_function(node)
        if kind == "chain":
            return {**node, "steps": [s if s["type"] == "is-instance" else self._node(s) for s in node["steps"]]}
        return map_children(node, self._node)

    def _below_a_python_function(self, node: Node) -> Node:
        # What a validator of the author's hands on is a Python value: a date in it is a text still, as in lax pydantic.
        self._relaxed += 1
        try:
            return map_children(node, self._node)
        finally:
            self._relaxed -= 1

    def _refusal(self, sentence: str, remedy: str) -> NotDeclarable:
        trail = ".".join(self._trail)
        field = f", field `{trail}`," if trail else ""
        return NotDeclarable(f"{self._where}{field} {sentence}.", subject=self._where, remedy=remedy)

    # --- values -----------------------------------------------------------------------------------------------

    def _int(self, node: Node) -> Node:
        bounds: Node = {}
        if "gt" not in node and "ge" not in node:
            bounds["gt"] = -_LARGEST_INTEGER
        if "lt" not in node and "le" not in node:
            bounds["lt"] = _LARGEST_INTEGER
        return {**node, **bounds}

    def _finite(self, node: Node) -> Node:
        return {**node, "allow_inf_nan": False}

    def _literal(self, node: Node) -> Node:
        try:
            table = literal_table(node["expected"])
        except ValueError as error:
            raise self._refusal(str(error), "Drop one of them.") from None
        if self._direction is Direction.WRITE:
            check = of_exactly(frozenset(type(value) for value in node["expected"]))
        elif all(isinstance(value, str) for value in node["expected"]):
            return node
        else:
            check = looked_up(table)
        return _with_ref(node, dict(core_schema.no_info_before_validator_function(check, _without_ref(node))))

    def _enum(self, node: Node) -> Node:
        for member in node["members"]:
            if not isinstance(member.value, str | int | float):
                raise self._refusal(
                    f"has the enum {_described(node)}, whose {member.name} has a value that is neither text nor number",
                    f'Give it one: {member.name} = "{member.name.lower()}".',
                )
        return node

    def _float(self, node: Node) -> Node:
        node = self._finite(node)
        if self._direction is not Direction.WRITE:
            return node
        # pydantic takes whatever can be made a float, even strictly: a Decimal would come back as another number.
        return _with_ref(node, dict(core_schema.no_info_before_validator_function(number, _without_ref(node))))

    def _datetime(self, node: Node) -> Node:
        node = {**node, "tz_constraint": "aware", "strict": True}
        if self._direction is Direction.WRITE:
            text = core_schema.plain_serializer_function_ser_schema(
                moment_text, return_schema=core_schema.str_schema(), when_used="json"
            )
            return {**node, "serialization": node.get("serialization", text)}
        return _with_ref(node, dict(core_schema.no_info_before_validator_function(read_moment, _without_ref(node))))

    def _set(self, node: Node) -> Node:
        node = map_children(node, self._node)
        if self._direction is Direction.WRITE:
            plain = _without_ref(node)
            sorted_list = core_schema.wrap_serializer_function_ser_schema(in_order, schema=plain)
            return {**node, "serialization": node.get("serialization", sorted_list)}
        listed = {key: value for key, value in node.items() if key in ("items_schema", "min_length", "max_length")}
        make = ordered_frozen_set if node["type"] == "frozenset" else ordered_set
        read = core_schema.no_info_after_validator_function(make, {"type": "list", "strict": True, **listed})
        return _with_ref(node, dict(read))

    def _dict(self, node: Node) -> Node:
        keys = node.get("keys_schema")
        if keys is not None:
            kind = unwrapped(keys, self._schema)["type"]
            written_as_text = kind in ("enum", "literal") and shapes_of(keys, self._schema) == {Shape.TEXT}
            if kind not in ("str", "int", "date", "uuid", "decimal") and not written_as_text:
                raise self._refusal(
                    f"has a dictionary with keys of type {_described(unwrapped(keys, self._schema))}",
                    "JSON has text keys only: use texts, whole numbers, dates, UUIDs or enums of texts as keys.",
                )
        return map_children({**node, "strict": True}, self._node)

    def _default(self, node: Node) -> Node:
        default = node.get("default")
        if isinstance(default, (set, frozenset)):  # a plain set as default would iterate by hash seed
            make = OrderedFrozenSet if isinstance(default, frozenset) else OrderedSet
            node = {**node, "default": make(sorted(default, key=repr))}
        return map_children(node, self._node)

    def _json_or_python(self, node: Node) -> Node:
        # The branch for Python may test with isinstance, the one for JSON may take anything (JsonValue).
        allowed = {"json_schema": ("any",), "python_schema": ("is-instance",)}
        return {
            **node,
            **{
                key: node[key] if node[key]["type"] in kinds else self._node(node[key])
                for key, kinds in allowed.items()
            },
        }

    def _lax_or_strict(self, node: Node) -> Node:
        kept: Node = {key: node[key] for key in ("ref", "metadata", "serialization") if key in node}
        return {**self._node(node["strict_schema"]), **kept}

    # --- classes ----------------------------------------------------------------------------------------------

    def _class(self, node: Node) -> Node:
        if node.get("config", {}).get("extra_fields_behavior") == "allow":
            raise self._refusal(
                f'has the model {_described(node)} with extra="allow", and what it allows has no types',
                "Name its fields, or give it one of type `dict[str, pydantic.JsonValue]`.",
            )
        inner = {**node, "config": _config(node), "revalidate_instances": "always"}
        inner = map_children(inner, self._node)
        if self._direction is Direction.WRITE and not node.get("root_model"):
            checked = core_schema.no_info_before_validator_function(exactly(node["cls"]), _without_ref(inner))
            return _with_ref(node, dict(checked))
        return inner

    def _typed_dict(self, node: Node) -> Node:
        return self._fields({**node, "config": _config(node)})

    def _fields(self, node: Node) -> Node:
        if node["type"] == "dataclass-args" and any(field.get("init_only") for field in node["fields"]):
            raise self._refusal(
                f"has a dataclass `{node['dataclass_name']}` with an InitVar, which is lost after its making",
                "Make it a field, or compute the value before the hand-off.",
            )
        changed = {**node, "computed_fields": []}
        # An instance may hold more than its fields (what it computed): that does not cross. A dictionary may not.
        from_outside = self._direction is Direction.PARSE
        from_dictionary = self._direction is Direction.WRITE and node["type"] == "typed-dict"
        changed["extra_behavior"] = "forbid" if from_outside or from_dictionary else "ignore"
        fields = node["fields"]
        changed["fields"] = (
            [self._field(each, each["name"]) for each in fields]
            if isinstance(fields, list)
            else {name: self._field(each, name) for name, each in fields.items()}
        )
        return changed

    def _field(self, node: Node, name: str) -> Node:
        # Fields cross under their own names, all of them: an alias or an exclusion belongs to another border.
        dropped = ("validation_alias", "serialization_alias", "serialization_exclude", "serialization_exclude_if")
        kept = {key: value for key, value in node.items() if key not in dropped}
        if kept.get("init") is False and self._direction is not Direction.PARSE:
            kept["init"] = True
        self._trail.append(name)
        try:
            return map_children(kept, self._node)
        finally:
            self._trail.pop()

    # --- unions -----------------------------------------------------------------------------------------------

    def _union(self, node: Node) -> Node:
        members = members_of(node, self._schema)
        try:
            tagging = tagging_of(members, self._schema)
        except Undecidable as error:
            raise self._refusal(str(error).rstrip("."), "") from None
        if not tagging.tagged:
            return {**node, "choices": _labelled([self._node(member) for member in members])}
        changed = Tagging(
            {tag: self._node(member) for tag, member in tagging.tagged.items()},
            tuple(self._node(member) for member in tagging.plain),
            tagging.tag_by_type,
        )
        return _written_union(changed) if self._direction is Direction.WRITE else _read_union(changed)


def _written_union(tagging: Tagging) -> Node:
    tags = ", ".join(tagging.tagged)
    chosen: Node = dict(
        core_schema.tagged_union_schema(
            dict(tagging.tagged),
            discriminator=tagging.tag_of,
            custom_error_type="union",
            custom_error_message=f"is none of {tags}",
        )
    )
    if tagging.plain:
        chosen = {"type": "union", "choices": _labelled([*tagging.plain, chosen])}
    tagged = tagged_object(tagging)
    written: Node = {"type": "union", "choices": [*tagging.plain, tagged]} if tagging.plain else tagged

    def write(value: Any, serialize: core_schema.SerializerFunctionWrapHandler) -> Any:
        tag = tagging.tag_of(value)
        return serialize(value if tag is None else {tag: value})

    return {**chosen, "serialization": core_schema.wrap_serializer_function_ser_schema(write, schema=written)}


def _read_union(tagging: Tagging) -> Node:
    tags = ", ".join(tagging.tagged)
    metadata = {"pydantic_js_updates": {"minProperties": 1, "maxProperties": 1}}
    tagged = core_schema.no_info_after_validator_function(
        only_member(tags),
        {**tagged_object(tagging), "metadata": metadata},
    )
    if not tagging.plain:
        return dict(tagged)
    return {"type": "union", "choices": _labelled([*tagging.plain, dict(tagged)])}


def _labelled(choices: list[Node]) -> list[tuple[Node, str]]:
    """Choices whose label no field has, so that a path in an error can leave it out."""
    return [(choice, f"{CHOICE}{number}") for number, choice in enumerate(choices)]


def _config(node: Node) -> Node:
    return {**node.get("config", {}), **CROSSING}


def _with_ref(source: Node, node: Node) -> Node:
    return {**node, "ref": source["ref"]} if "ref" in source else node


def _without_ref(node: Node) -> Any:
    return {key: value for key, value in node.items() if key != "ref"}


def _described(node: Node) -> str:
    named = node.get("cls")
    return f"`{named.__name__}`" if isinstance(named, type) else f"`{node['type']}`"
