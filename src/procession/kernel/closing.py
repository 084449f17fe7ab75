"""How a coroutine is closed for good, and what becomes of one that will not close."""

from __future__ import annotations

from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType
from typing import Any

from .site import await_chain


@dataclass(frozen=True, slots=True)
class Teardown:
    """How an instance left memory. `swallowed` coroutines would not close and are held, never to run again."""

    closed: int
    swallowed: int


SET_ASIDE: list[object] = []
"""Coroutines that would not close. They are held for ever, since the collector would run their code wherever it happens to be."""

_ATTEMPTS = 100


def close_for_good(coro: Any) -> bool:
    """Closes the innermost frame first, then what awaits it. `False`: it swallows everything.

    Closing the outermost first would drop an inner coroutine that awaits something in its clean-up: its code would then run when
    its memory is freed.
    """
    for _ in range(_ATTEMPTS):
        for _frame, each in reversed(await_chain(coro)):
            if isinstance(each, AsyncGeneratorType):
                continue  # cannot be closed while something awaits it; it is dropped, and the hooks keep it from running
            try:
                each.close()
            except BaseException:  # noqa: S110 - what the clean-up of a dead instance raises concerns nobody
                pass
            if getattr(each, "cr_frame", None) is not None or getattr(each, "gi_frame", None) is not None:
                break  # its clean-up waits for something: close that first
        else:
            return True
    return False


def drop_unbegun(coro: Any) -> None:
    """Closes a coroutine that never ran, and those that it was given to await: closing it runs none of its code."""
    frame = getattr(coro, "cr_frame", None)
    given = [] if frame is None else [each for each in frame.f_locals.values() if isinstance(each, CoroutineType)]
    coro.close()
    for each in given:
        if not each.cr_suspended and not each.cr_running:
            drop_unbegun(each)


def set_aside(coro: object) -> None:
    """Holds a coroutine for ever, beyond the end of the interpreter too."""
    import ctypes  # seldom needed, and slow to load

    SET_ASIDE.append(coro)
    # The interpreter frees all modules when it ends: closed then, code that swallows everything would keep it from ending.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coro))
