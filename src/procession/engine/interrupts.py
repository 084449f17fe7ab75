"""Ctrl+C never goes into process code: it waits until the code is back, discards the advance, and ends the engine.

So a KeyboardInterrupt that comes out of process code was raised by its author, and halts the instance like any other bug.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from procession.engine.fences import is_fence_up
from procession.kernel import HaltInstance

_waiting: list[Callable[[], object]] = []


class InterruptRaised(HaltInstance):
    """Process code raised KeyboardInterrupt itself."""

    code = "bug"
    message = (
        "KeyboardInterrupt: process code raised it itself, which is nobody's Ctrl+C. "
        "Raise ProcessFailed to end an instance, and correct the source."
    )


def keep_out_of_process_code() -> Callable[[], None]:
    """Has Ctrl+C wait while process code runs on the main thread; gives what puts the former way back."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return lambda: None

    def come(number: int, frame: FrameType | None) -> None:
        if is_fence_up() and not _waiting:
            _waiting.append(lambda: before(number, None))
        else:  # a second one, where the first does not help, goes straight in
            before(number, frame)

    signal.signal(signal.SIGINT, come)

    def put_back() -> None:
        if signal.getsignal(signal.SIGINT) is come:
            signal.signal(signal.SIGINT, before)

    return put_back


def is_waiting() -> bool:
    """Whether Ctrl+C was pressed while the present code ran."""
    return bool(_waiting)


def let_in() -> None:
    """The code is back: a Ctrl+C that waited has its effect now."""
    if _waiting:
        _waiting.pop()()
