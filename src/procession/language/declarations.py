"""What is wrong with a declaration, said at once, with file and line and what to write instead."""

import dis
import inspect
import os
import typing
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType
from typing import Any

from procession.calendars.durations import Duration, DurationUnclear
from procession.errors import NotDeclarable
from procession.language.codec import Parameter
from procession.language.names import name_fault

_EMPTY = inspect.Parameter.empty


class Declared:
    """An `async def` (or a plain function) as its author declared it; checked when made, its types resolved later.

    `where` is the place in the source that every error names. Types are resolved at load and not before, so that an
    annotation may name a class that stands further down.
    """

    def __init__(self, body: Callable[..., Any], *, what: str, may_be_sync: bool = False) -> None:
        if not isinstance(body, FunctionType):
            wrong = f"{what} must be a function, not {type(body).__name__}."
            raise NotDeclarable(f"{place_of_caller()}: {wrong}", remedy="Write `async def`.")
        self.body = body
        self.name = body.__name__
        self.where = place_of(body)
        self.is_async = inspect.iscoroutinefunction(body)
        self._signature = inspect.signature(body)
        within = body.__qualname__.rpartition(".")[0]
        if within and not within.endswith("<locals>"):
            raise self.fault(
                f"{what} stands in the class {within.rpartition('.')[2]}, and belongs to no object: nobody could replay `self`.",
                "Write it outside of the class, and hand over what it needs as parameters.",
            )
        if inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
            raise self.fault(f"{what} yields.", "Return one value instead.")
        if not self.is_async and not may_be_sync:
            raise self.fault(f"{what} is not async.", f"Write `async def {self.name}(…)`.")
        for parameter in self._signature.parameters.values():
            self._check_parameter(parameter)
        if self._signature.return_annotation is _EMPTY:
            raise self.fault("The type of its result is missing.", f"Write `def {self.name}(…) -> …:`, or `-> None`.")

    def _check_parameter(self, parameter: inspect.Parameter) -> None:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise self.fault(
                f"`{parameter}` takes any number of arguments, so nobody could say what must be handed over.",
                "Name each parameter; for many of one kind take a list.",
            )
        if parameter.annotation is _EMPTY:
            raise self.fault(f"The type of parameter `{parameter.name}` is missing.", f"Write `{parameter.name}: …`.")

    def fault(self, sentence: str, remedy: str) -> NotDeclarable:
        """The error for something wrong here."""
        return NotDeclarable(f"{self.where}: {sentence}", subject=self.where, remedy=remedy)

    @property
    def is_left_open(self) -> bool:
        """Whether the body is `...` (or nothing but a docstring): somebody else does the work."""
        return _does_nothing(self.body.__code__)

    @property
    def docstring(self) -> str:
        """The docstring, or an empty text."""
        return inspect.getdoc(self.body) or ""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(self._signature.parameters)

    def resolve(self) -> tuple[tuple[Parameter, ...], Any]:
        """The parameters with their types, and the type of the result. Raises `NotDeclarable` for an unknown name."""
        try:
            hints = typing.get_type_hints(self.body, include_extras=True)
        except NameError as error:
            raise self.fault(
                f"The type `{error.name}` in its signature does not exist at run time.",
                "If it is imported under `if TYPE_CHECKING:`, import it as usual: values are checked by their types.",
            ) from None
        except (TypeError, SyntaxError, AttributeError) as error:
            raise self.fault(f"Its signature cannot be read: {error}.", "Correct the annotation.") from None
        parameters = tuple(
            Parameter(
                each.name,
                hints[each.name],
                keyword_only=each.kind is inspect.Parameter.KEYWORD_ONLY,
                positional_only=each.kind is inspect.Parameter.POSITIONAL_ONLY,
                **({} if each.default is _EMPTY else {"default": each.default}),
            )
            for each in self._signature.parameters.values()
        )
        return parameters, hints["return"]


def place_of(body: FunctionType) -> str:
    """A function with its place: "sales.check (sales.py:12)"; the file as seen from the working directory if inside."""
    code = body.__code__
    file = os.path.relpath(code.co_filename) if code.co_filename.startswith(os.getcwd() + os.sep) else code.co_filename
    return f"{body.__module__}.{body.__qualname__} ({file}:{code.co_firstlineno})"


def place_of_caller() -> str:
    """The file and line of the author's source that is making a declaration now."""
    frame = frame_of_caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"


def frame_of_caller() -> FrameType | None:
    """The frame of the author's source that is making a declaration now."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("procession.language"):
        frame = frame.f_back
    return frame


def duration_at(where: str, option: str, written: Any, parse: Callable[[Any], Duration]) -> Duration:
    """A duration given as an option of a declaration; the error names the place and the option."""
    try:
        return parse(written)
    except DurationUnclear as error:
        raise NotDeclarable(f"{where}: {option}={written!r}: {error}", subject=where) from None


def checked_name(name: str, what: str, where: str) -> str:
    """A declared name, if it can be one."""
    if fault := name_fault(name):
        raise NotDeclarable(f"{where}: the {what} {name!r} {fault}.", subject=where, remedy="Give it another name.")
    return name


def former_names(was: Iterable[str], where: str) -> tuple[str, ...]:
    """`was=` as a tuple; a bare text is the usual slip."""
    if isinstance(was, str):
        raise NotDeclarable(f"{where}: was={was!r} is a text.", subject=where, remedy=f'Write was=("{was}",).')
    return tuple(was)


_NOTHING = frozenset(
    (
        *("RETURN_GENERATOR", "POP_TOP", "RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"),
        # How 3.12 and later wrap every coroutine, so that a StopIteration cannot leave it.
        *("CALL_INTRINSIC_1", "RERAISE", "COPY_FREE_VARS", "MAKE_CELL", "CACHE", "EXTENDED_ARG"),
    )
)


def _does_nothing(code: CodeType) -> bool:
    return all(
        instruction.opname in _NOTHING
        and not (instruction.opname in ("LOAD_CONST", "RETURN_CONST") and instruction.argval is not None)
        for instruction in dis.get_instructions(code)
    )
