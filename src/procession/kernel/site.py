"""Where in the author's source something happened: the site of a call, and the business call stack of what waits.

The author's code is every frame that is neither asyncio's nor ours. A position is computed once per instruction and kept, since
`co_positions` walks a code object from its beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, TracebackType
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """One line of the call path: the expression that was being evaluated. A tuple, so that sites hash and compare in C."""

    module: str
    function: str
    line: int
    column: int
    end_line: int
    end_column: int


Site = tuple[Frame, ...]
"""The path to a call, outermost first, through the line at which each branch on the way was created."""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """A frame of a waiting branch with the file to read and the variables as they stand (none for a frame that has gone on)."""

    frame: Frame
    filename: str
    variables: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BranchStack:
    """What one branch is doing: its path ("0" is the root), its frames outermost first, the call it waits for if it is one."""

    branch: str
    frames: tuple[StackFrame, ...]
    waits_for: int | None


_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MACHINERY = (
    _OURS,
    os.path.dirname(os.path.abspath(asyncio.__file__)) + os.sep,
    os.path.abspath(contextlib.__file__),
)
# Examples travel inside the package and are still an author's code.
_EXAMPLES = _OURS + "examples" + os.sep

_MACHINERY_CODE: dict[int, Frame] = {}
_BOUNDARY_CODE: dict[int, Frame] = {}
# By identity: hashing a code object by value costs more than the rest. `_KEPT` holds them, so that no identity is used twice.
_KNOWN: dict[int, dict[int, Frame]] = {}
_KEPT: list[CodeType] = []
_FILES: dict[Frame, str] = {}


def end_of_path(code: CodeType) -> None:
    """Declares the code that steps a branch: nothing beyond it belongs to the path."""
    _KNOWN[id(code)] = _BOUNDARY_CODE
    _KEPT.append(code)


# What classes generate for themselves (`__init__` of a dataclass) is in no file that one could open.
_GENERATED = ("<string>", "<frozen ", "<attrs generated")


def _is_authors(filename: str) -> bool:
    if filename.startswith(_GENERATED):
        return False
    return not filename.startswith(_MACHINERY) or filename.startswith(_EXAMPLES)


def _known(code: CodeType) -> dict[int, Frame]:
    found = _KNOWN.get(id(code))
    if found is None:
        found = {} if _is_authors(code.co_filename) else _MACHINERY_CODE
        _KNOWN[id(code)] = found
        _KEPT.append(code)
    return found


def _position(code: CodeType, lasti: int, module: str) -> Frame:
    index = max(lasti, 0) // 2
    line, end_line, column, end_column = next(itertools.islice(code.co_positions(), index, None), (None,) * 4)
    line = code.co_firstlineno if line is None else line
    frame = Frame(module, code.co_qualname, line, column or 0, end_line or line, end_column or 0)
    _FILES[frame] = code.co_filename
    return frame


def line_of(code: CodeType, instruction: int) -> int:
    """The line that an instruction stands for."""
    return _position(code, instruction, "").line


def site_from(frame: FrameType | None, before: Site) -> Site:
    """The site of whatever `frame` is doing, in a branch that was created at `before`."""
    path: list[Frame] = []
    while frame is not None:
        code = frame.f_code
        known = _KNOWN.get(id(code))
        if known is None:
            known = _known(code)
        if known is _BOUNDARY_CODE:
            path.reverse()
            return before + tuple(path)
        if known is not _MACHINERY_CODE:
            lasti = frame.f_lasti
            found = known.get(lasti)
            if found is None:
                found = known[lasti] = _position(code, lasti, frame.f_globals.get("__name__", "?"))
            path.append(found)
        frame = frame.f_back
    return before  # no branch is running: the kernel itself asks


def _stack_frame(frame: FrameType, lasti: int) -> StackFrame | None:
    known = _known(frame.f_code)
    if known is _MACHINERY_CODE or known is _BOUNDARY_CODE:
        return None
    found = known.get(lasti)
    if found is None:
        found = known[lasti] = _position(frame.f_code, lasti, frame.f_globals.get("__name__", "?"))
    return StackFrame(found, frame.f_code.co_filename, dict(frame.f_locals))


def _awaited(waiting: object) -> tuple[FrameType | None, object]:
    """The frame of a suspended coroutine, generator or asynchronous generator, and what it awaits."""
    if isinstance(waiting, CoroutineType):
        return waiting.cr_frame, waiting.cr_await
    if isinstance(waiting, GeneratorType):
        return waiting.gi_frame, waiting.gi_yieldfrom
    if isinstance(waiting, AsyncGeneratorType):
        return waiting.ag_frame, waiting.ag_await
    # `async for` and `coroutine.__await__()` stand behind C objects without attributes; the collector knows what they hold.
    if type(waiting).__name__ in ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper"):
        inside = (CoroutineType, AsyncGeneratorType)
        return None, next((held for held in gc.get_referents(waiting) if isinstance(held, inside)), None)
    return None, None


def await_chain(coroutine: object) -> list[tuple[FrameType, Any]]:
    """The suspended frames of a branch, outermost first, each with the coroutine or generator it belongs to."""
    chain = []
    waiting = coroutine
    while waiting is not None:
        frame, then = _awaited(waiting)
        if frame is not None:
            chain.append((frame, waiting))
        waiting = then
    return chain


def _created_at(site: Site) -> list[StackFrame]:
    return [StackFrame(frame, _FILES.get(frame, ""), {}) for frame in site]


def stack_of(coroutine: object, site: Site) -> tuple[StackFrame, ...]:
    """The frames of a suspended branch that was created at `site`, outermost first."""
    frames = _created_at(site)
    for frame, _ in await_chain(coroutine):
        found = _stack_frame(frame, frame.f_lasti)
        if found is not None:
            frames.append(found)
    return tuple(frames)


def stack_of_error(traceback: TracebackType | None, site: Site) -> tuple[StackFrame, ...]:
    """The frames through which an error left a branch that was created at `site`, outermost first."""
    frames = _created_at(site)
    while traceback is not None:
        found = _stack_frame(traceback.tb_frame, traceback.tb_lasti)
        if found is not None:
            frames.append(found)
        traceback = traceback.tb_next
    return tuple(frames)
