"""How a value crosses a hand-off: validated, written as canonical JSON, read back as a copy of its own type.

A `ValueCodec` belongs to one type, an `ArgumentsCodec` to one list of parameters; both are made once, at load, and kept.
Writing validates again what the author built (a dataclass checks nothing by itself). The same value is written as the
same bytes in every run of Python, whatever the hash seed.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator, ValidationError, core_schema

from procession.errors import AuthorError
from procession.language.core_schemas import (
    CROSSING,
    Node,
    Schema,
    code_of_author,
    schema_of,
    type_name,
    uses_functions,
)
from procession.language.fields import Field, fields_of_value
from procession.language.problems import first_difference, from_fault, from_validation, invalid, oversized
from procession.language.rewriting import Direction, rewritten
from procession.language.strict_json import DEPTH_LIMIT, PAYLOAD_LIMIT_BYTES, depth_of, find_fault, find_text_fault

__all__ = ["PAYLOAD_LIMIT_BYTES", "ArgumentsCodec", "Parameter", "ValueCodec"]

T = TypeVar("T")
_MISSING: Any = object()


class TypeFailed(AuthorError):
    """The code of a type (`__post_init__`, a validator) failed on a value from outside, and did not say what is wrong with it."""

    code = "type-failed"


class _Crossing:
    """The two directions of a schema. Not typed: the codecs are."""

    def __init__(self, schema: Schema, where: str) -> None:
        self.where = where
        self._schema = schema
        self._recursive = bool(schema.definitions)
        self._code_of_author = code_of_author(schema)
        written = rewritten(schema, Direction.WRITE, where)
        self._validate: Callable[[Any], Any] = _validator(written).validate_python
        self._serializer = _serializer(written)
        # A function of the author's may give what its type does not say: then doubts of the serializer are errors. To
        # ask for that costs a microsecond, so what only pydantic's own parts have checked goes without.
        to_json = self._serializer.to_json
        self._to_json: Callable[[Any], bytes] = (
            partial(to_json, warnings="error") if uses_functions(schema) else to_json
        )

    def write(self, value: Any) -> bytes:
        try:
            validated = self._validate(value)
            raw = self._to_json(validated)
            again = self._to_json(self._validate(validated)) if self._code_of_author else raw
        except ValidationError as error:
            raise from_validation(error, self.where) from None
        except (PydanticSerializationError, UnicodeEncodeError, ValueError, RecursionError) as error:
            raise self._unwritable(value, error) from None
        if len(raw) > PAYLOAD_LIMIT_BYTES:
            raise oversized(len(raw), self.where)
        if again != raw:
            raise self._unsteady(raw, again)
        if b"\\u0000" in raw and (fault := find_fault(raw)):
            raise from_fault(fault, self.where)
        if self._recursive and depth_of(raw.decode()) > DEPTH_LIMIT:
            raise invalid(self.where, {"": f"is nested more than {DEPTH_LIMIT} deep"})
        return raw

    def read(self, raw: bytes) -> Any:
        try:
            return self._read(raw)
        except ValidationError as error:
            raise from_validation(error, self.where) from None

    def parse(self, raw: bytes) -> Any:
        if fault := find_fault(raw):
            raise from_fault(fault, self.where)
        try:
            return self._parse(raw)
        except ValidationError as error:
            raise from_validation(error, self.where) from None
        except Exception as error:
            if not self._code_of_author:
                raise
            raise self._type_failed(error) from error

    def json_schema(self) -> dict[str, Any]:
        return GenerateJsonSchema(by_alias=False).generate(self._parse_schema, mode="validation")

    # Half of all codecs only ever write, or only read: the other validators are built when they are needed.

    @cached_property
    def _read(self) -> Callable[[bytes], Any]:
        return _validator(rewritten(self._schema, Direction.READ, self.where)).validate_json

    @cached_property
    def _parse_schema(self) -> Node:
        return rewritten(self._schema, Direction.PARSE, self.where)

    @cached_property
    def _parse(self) -> Callable[[bytes], Any]:
        return _validator(self._parse_schema).validate_json

    def _unsteady(self, raw: bytes, again: bytes) -> Exception:
        """What an author's code makes of a value differs each time: a value that crosses would not be the one that was given."""
        path = first_difference(json.loads(raw), json.loads(again))
        error = invalid(self.where, {path: f"becomes another value each time {' or '.join(self._code_of_author)} runs"})
        error.remedy = (
            "It runs again on each side of a hand-off: let it leave alone what is right already, "
            "or compute the value in a property or before the object is made."
        )
        return error

    def _type_failed(self, error: Exception) -> TypeFailed:
        """It is not the value that is refused: the code raised something else than the two errors that say so."""
        return TypeFailed(
            f"{' or '.join(self._code_of_author)} failed on a value for {self.where}: {type(error).__name__}: {error}.",
            subject=self.where,
            remedy="Correct that code: it refuses a value with ValueError or AssertionError.",
        )

    def _unwritable(self, value: Any, error: Exception) -> Exception:
        try:
            fault = find_text_fault(self._serializer.to_python(self._validate(value), mode="json", warnings=False))
        except (ValueError, RecursionError):
            fault = None
        if fault:
            return from_fault(fault, self.where)
        return invalid(self.where, {"": f"cannot be written down: {str(error).splitlines()[0]}"})


class ValueCodec(Generic[T]):
    """Writes and reads values of one type. `where` names the place in the author's source for every error."""

    def __init__(self, annotation: Any, *, where: str = "the value") -> None:
        self.annotation = annotation
        self.where = where
        self._schema = schema_of(annotation, where)
        self._crossing = _Crossing(self._schema, where)

    def encode(self, value: T) -> bytes:
        """A value as canonical JSON. Raises `InvalidValue` with the path of each field that does not fit."""
        return self._crossing.write(value)

    def decode(self, raw: bytes) -> T:
        """A recorded value, as a fresh copy. Members that the type no longer has are passed over."""
        value: T = self._crossing.read(raw)
        return value

    def parse(self, raw: bytes) -> T:
        """A value from outside. Raises `InvalidValue` for JSON that is not strict, over the limit, or does not fit."""
        value: T = self._crossing.parse(raw)
        return value

    def canonical(self, raw: bytes) -> bytes:
        """JSON from outside, checked, as the canonical JSON of the same value."""
        return self.encode(self.parse(raw))

    def describe(self) -> str:
        """The type as its author wrote it."""
        return type_name(self.annotation)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what `encode` writes and `parse` takes."""
        return self._crossing.json_schema()

    def fields(self) -> tuple[Field, ...]:
        """What to ask, one by one, to build a value: see `procession.language.fields`."""
        return fields_of_value(self._schema)

    def __repr__(self) -> str:
        return f"ValueCodec({self.describe()})"


class Parameter:
    """One parameter of an operation or process: its name, its type and, if it may be left out, its default."""

    __slots__ = ("annotation", "default", "keyword_only", "name", "positional_only")

    def __init__(
        self,
        name: str,
        annotation: Any,
        *,
        default: Any = _MISSING,
        keyword_only: bool = False,
        positional_only: bool = False,
    ) -> None:
        self.name = name
        self.annotation = annotation
        self.default = default
        self.keyword_only = keyword_only
        self.positional_only = positional_only

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is _MISSING


class ArgumentsCodec:
    """Writes the arguments of a call as a JSON object by parameter name, and reads them back.

    `callee` is what errors about the call itself name ("Front desk.register"), `where` the place in the source.
    """

    def __init__(self, parameters: tuple[Parameter, ...], *, callee: str, where: str) -> None:
        self.parameters = parameters
        self.callee = callee
        self._schema = _schema_of_parameters(parameters, where)
        self._crossing = _Crossing(self._schema, where)
        self._positional = tuple(p.name for p in parameters if not p.keyword_only)
        self._by_keyword = frozenset(p.name for p in parameters if not p.positional_only)
        self._defaults = {p.name: p.default for p in parameters if not p.required}
        self._names = tuple(p.name for p in parameters)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments of a call as canonical JSON, defaults included.

        Raises `TypeError` as Python does for a call that does not fit the parameters, and `InvalidValue` for a value
        that does not fit its type.
        """
        return self._crossing.write(self.bind(args, kwargs))

    def encode_values(self, values: Mapping[str, Any]) -> bytes:
        """The same from a dictionary by parameter name."""
        return self._crossing.write(self.bind((), values) if len(values) < len(self._names) else dict(values))

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Recorded arguments by parameter name, as fresh copies; a parameter added since then has its default."""
        values: dict[str, Any] = self._crossing.read(raw)
        return values

    def parse(self, raw: bytes) -> dict[str, Any]:
        """Arguments from outside. Raises `InvalidValue` for JSON that is not strict, over the limit, or does not fit."""
        values: dict[str, Any] = self._crossing.parse(raw)
        return values

    def canonical(self, raw: bytes) -> bytes:
        """JSON from outside, checked, as the canonical JSON of the same arguments."""
        return self.encode_values(self.parse(raw))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name, in the order of the parameters."""
        if not kwargs and len(args) == len(self._positional) == len(self._names):
            return dict(zip(self._names, args, strict=True))
        if len(args) > len(self._positional):
            most = len(self._positional)
            takes = f"{most} positional argument{'s' if most != 1 else ''}"
            raise TypeError(
                f"{self.callee}() takes {takes}, {len(args)} {'was' if len(args) == 1 else 'were'} given: "
                f"it is called as {self.callee}({', '.join(self._names)})"
            )
        given = dict(zip(self._positional, args, strict=False))
        for name, value in kwargs.items():
            if name in given or name not in self._by_keyword:
                wrong = "has two values" if name in given else "is not a parameter that can be named"
                raise TypeError(f"{self.callee}(): `{name}` {wrong}")
            given[name] = value
        if absent := [name for name in self._names if name not in given and name not in self._defaults]:
            raise TypeError(f"{self.callee}() needs {', '.join(f'`{name}`' for name in absent)}")
        return {name: given[name] if name in given else self._defaults[name] for name in self._names}

    def call(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Values by name as the positional and the named arguments to call the Python function with."""
        by_name = {p.name: values[p.name] for p in self.parameters if p.keyword_only}
        return [values[name] for name in self._positional], by_name

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the object."""
        return self._crossing.json_schema()

    def fields(self) -> tuple[Field, ...]:
        """What to ask, one by one, to build the arguments: see `procession.language.fields`."""
        return fields_of_value(self._schema)


def _schema_of_parameters(parameters: tuple[Parameter, ...], where: str) -> Schema:
    fields: dict[str, core_schema.TypedDictField] = {}
    definitions: dict[str, Node] = {}
    for parameter in parameters:
        schema = schema_of(parameter.annotation, f"{where}: parameter `{parameter.name}`")
        definitions.update(schema.definitions)
        node: Any = schema.root
        if not parameter.required:
            node = core_schema.with_default_schema(node, default=parameter.default)
        fields[parameter.name] = core_schema.typed_dict_field(node, required=parameter.required)
    return Schema(dict(core_schema.typed_dict_schema(fields)), definitions)


def _validator(node: Any) -> SchemaValidator:
    try:
        return SchemaValidator(node, CROSSING, _use_prebuilt=False)
    except TypeError:  # an older pydantic, which does not reuse a class's own validator unasked
        return SchemaValidator(node, CROSSING)


def _serializer(node: Any) -> SchemaSerializer:
    try:
        return SchemaSerializer(node, CROSSING, _use_prebuilt=False)
    except TypeError:
        return SchemaSerializer(node, CROSSING)
