"""Errors that cross a hand-off: declared ones as typed values, rebuilt as their own class; all others as a text.

An operation declares them with `raises=[PaymentDeclined]`. What a service raises beyond that is a technical failure and
never reaches the process, unless an operator gives the call up: then it arrives as `OperationFailed`.
"""

import asyncio
import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from types import FunctionType
from typing import Any, cast

from procession.errors import InvalidValue, NotDeclarable, OperationFailed, ProcessFailed
from procession.kernel import Failure, HaltInstance
from procession.language.codec import ArgumentsCodec, Parameter, ValueCodec
from procession.language.names import qualified_name
from procession.language.strict_json import text_fault

_LONGEST_MESSAGE = 2_000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

Scalar = str | int | float | bool | None


class ErrorCodec:
    """Writes and rebuilds errors of one class: a plain one by its arguments, a dataclass by its fields."""

    def __init__(self, error: type[Exception], where: str) -> None:
        self.error = error
        self.name = qualified_name(error)
        self.where = where

    @cached_property
    def _fields(self) -> ArgumentsCodec | None:
        if not _is_dataclass(self.error):
            return None
        place = f"{self.where}: error {self.error.__name__}"
        try:
            hints = typing.get_type_hints(self.error, include_extras=True)
        except NameError as error:
            raise NotDeclarable(
                f"{place}: its type `{error.name}` does not exist at run time.",
                subject=self.where,
                remedy="If it is imported under `if TYPE_CHECKING:`, import it as usual.",
            ) from None
        parameters = tuple(
            Parameter(field.name, hints[field.name], keyword_only=field.kw_only is True)
            for field in dataclasses.fields(cast(Any, self.error))
            if field.init
        )
        return ArgumentsCodec(parameters, callee=self.error.__name__, where=place)

    def check(self) -> None:
        """Raises `NotDeclarable` if the fields of the error cannot cross."""
        _ = self._fields

    def failure_of(self, error: Exception, *, attempts: int = 0) -> Failure:
        """An error of this class as it is recorded. Raises `InvalidValue` if a field does not fit its type."""
        if self._fields is None:
            arguments = tuple(a if isinstance(a, Scalar) else clean_text(str(a)) for a in error.args)
            payload = _arguments_codec().encode(tuple(clean_text(a) if isinstance(a, str) else a for a in arguments))
        else:
            payload = self._fields.encode_values({p.name: getattr(error, p.name) for p in self._fields.parameters})
        return Failure(self.name, message_of(error), payload, attempts, declared=True)

    def rebuild(self, failure: Failure) -> Exception:
        """The recorded error as its own class."""
        if failure.payload is None:
            return self.error(failure.message)
        if self._fields is None:
            return self.error(*_arguments_codec().decode(failure.payload))
        positional, by_name = self._fields.call(self._fields.decode(failure.payload))
        return self.error(*positional, **by_name)


class DeclaredErrors:
    """The errors that one operation declares."""

    def __init__(self, errors: Iterable[type[Exception]], *, operation: str, where: str) -> None:
        self._operation = operation
        self.classes: tuple[type[Exception], ...] = tuple(_declarable(error, where) for error in errors)
        self._codecs = {cls: ErrorCodec(cls, where) for cls in self.classes}
        self._by_name = {codec.name: codec for codec in self._codecs.values()}

    @property
    def codecs(self) -> Mapping[type[Exception], ErrorCodec]:
        """How errors of each class cross."""
        return self._codecs

    def check(self) -> None:
        """Raises `NotDeclarable` if an error among them cannot cross."""
        for codec in self._codecs.values():
            codec.check()

    def failure_of(self, error: BaseException, *, attempts: int = 0) -> Failure | None:
        """A declared error as it is recorded; None for any other. A subclass counts as the nearest declared class."""
        if not isinstance(error, Exception):
            return None
        codec = next((self._codecs[cls] for cls in type(error).__mro__ if cls in self._codecs), None)
        return codec.failure_of(error, attempts=attempts) if codec else None

    def rebuild(self, failure: Failure) -> Exception:
        """What process code sees: a declared error as its own class, any other as `OperationFailed`.

        A recorded declared error that the present source does not know, or cannot read, halts the instance: another
        `except` would catch it otherwise, without a word. A class that moved to another module is known by its name.
        """
        if not failure.declared:
            return OperationFailed(self._operation, failure.type_name, failure.message, failure.attempts)
        codec = self._by_name.get(failure.type_name) or self._moved(failure.type_name)
        if codec is None:
            raise HaltInstance(
                "divergence",
                f"{self._operation} no longer declares the error {failure.type_name}, which stands in the history. "
                "Bring the class back into raises=[…].",
            )
        try:
            return codec.rebuild(failure)
        except (InvalidValue, TypeError) as error:
            raise HaltInstance(
                "divergence", f"The recorded error {failure.type_name} does not fit its present fields: {error}"
            ) from error

    def _moved(self, type_name: str) -> "ErrorCodec | None":
        own_name = type_name.rpartition(".")[2]
        found = [codec for codec in self._codecs.values() if codec.error.__name__ == own_name]
        return found[0] if len(found) == 1 else None


def technical_failure(error: BaseException, *, attempts: int = 0) -> Failure:
    """An undeclared error as it is recorded: its name and a text without addresses, never a traceback."""
    return Failure(qualified_name(type(error)), message_of(error), None, attempts, declared=False)


def failing(error: BaseException, declared: Mapping[type[Exception], ErrorCodec]) -> Failure | None:
    """How an error that leaves the process ends the instance as failed; None: it is a bug, and halts it.

    `declared` holds the classes that operations of the application declare: such an error fails, whoever raised it.
    """
    if isinstance(error, BaseExceptionGroup):
        leaves = [failing(leaf, declared) for leaf in error.exceptions]
        if any(leaf is None for leaf in leaves):
            return None
        told = "; ".join(f"{leaf.type_name}: {leaf.message}" for leaf in leaves if leaf)
        return Failure(qualified_name(type(error)), clean_text(told), None, 0, declared=False)
    if isinstance(error, OperationFailed):
        return technical_failure(error, attempts=error.attempts)
    if not isinstance(error, Exception):
        return None
    for cls in type(error).__mro__:
        if cls in declared:
            return declared[cls].failure_of(error)
    if isinstance(error, ProcessFailed):
        return technical_failure(error)
    return None


def message_of(error: BaseException) -> str:
    """The text of an error as it may be stored; of a group, with those that are in it."""
    try:
        if isinstance(error, BaseExceptionGroup):
            return clean_text(f"{error}: {'; '.join(map(_named, error.exceptions))}")
        return clean_text(str(error))
    except Exception:
        return "(the error cannot say what it is)"


def _named(error: BaseException) -> str:
    text = message_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def clean_text(text: str) -> str:
    """A text without addresses of objects, without what cannot be stored, and of reasonable length."""
    if text_fault(text):
        text = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    text = _ADDRESS.sub("", text)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


_RESERVED: tuple[type[BaseException], ...] = (TimeoutError, asyncio.CancelledError, BaseExceptionGroup, OperationFailed)


def _declarable(error: Any, where: str) -> type[Exception]:
    """The class itself, if its errors can be recorded and rebuilt; else `NotDeclarable` with the remedy."""
    if not (isinstance(error, type) and issubclass(error, Exception)):
        raise _fault(error, where, "is not a class of exceptions", "Declare subclasses of Exception.")
    if issubclass(error, _RESERVED):
        raise _fault(error, where, "has a meaning of its own in a process", "Raise an error class of your own from it.")
    parameters = getattr(error, "__dataclass_params__", None)
    if parameters is not None:
        if parameters.eq or parameters.frozen:
            wrong = "compares by value, so it cannot be raised safely" if parameters.eq else "is frozen"
            raise _fault(error, where, f"is a dataclass that {wrong}", "Write `@dataclass(eq=False)` above it.")
        return error
    if isinstance(error.__init__, FunctionType) or isinstance(error.__new__, FunctionType):
        raise _fault(
            error,
            where,
            "makes its instances in a way of its own, so it cannot be rebuilt",
            "Make it a `@dataclass(eq=False)` with typed fields, or leave `__init__` out.",
        )
    return error


def _is_dataclass(error: type[Exception]) -> bool:
    return hasattr(error, "__dataclass_fields__")


def _fault(error: object, where: str, wrong: str, remedy: str) -> NotDeclarable:
    name = error.__name__ if isinstance(error, type) else repr(error)
    return NotDeclarable(f"{where}: raises=[{name}]: {name} {wrong}.", subject=where, remedy=remedy)


@cache
def _arguments_codec() -> ValueCodec[tuple[Scalar, ...]]:
    return ValueCodec(tuple[str | int | float | bool | None, ...], where="the error")
