"""Ctrl+C, and a signal to end, never go into process code: they wait until the code is back, and have their effect then.

So a KeyboardInterrupt or a SystemExit that comes out of process code was raised by its author, and halts the instance like
any other bug.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from procession.engine.fences import is_fence_up
from procession.kernel import HaltInstance

_waiting: list[Callable[[], object]] = []
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptRaised(HaltInstance):
    """Process code raised KeyboardInterrupt itself."""

    code = "bug"
    message = (
        "KeyboardInterrupt: process code raised it itself, which is nobody's Ctrl+C. "
        "Raise ProcessFailed to end an instance, and correct the source."
    )


def keep_out_of_process_code() -> Callable[[], None]:
    """Has signals wait while process code runs on the main thread; gives what puts the former way back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    put_back = [_keep_out(number) for number in _SIGNALS]

    def put_all_back() -> None:
        for each in put_back:
            each()

    return put_all_back


def _keep_out(awaited: signal.Signals) -> Callable[[], None]:
    before = signal.getsignal(awaited)
    if not callable(before):
        return lambda: None

    def come(number: int, frame: FrameType | None) -> None:
        if is_fence_up() and not _waiting:
            _waiting.append(lambda: before(number, None))
        else:  # a second one, where the first does not help, goes straight in
            before(number, frame)

    signal.signal(awaited, come)

    def put_back() -> None:
        if signal.getsignal(awaited) is come:
            signal.signal(awaited, before)

    return put_back


def is_waiting() -> bool:
    """Whether a signal came while the present code ran."""
    return bool(_waiting)


def let_in() -> None:
    """The code is back: a signal that waited has its effect now."""
    if _waiting:
        _waiting.pop()()
