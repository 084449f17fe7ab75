"""Process code in a debugger: no fence refuses what that does, no watchdog minds how long it takes (law 28)."""

import os
import pdb
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from procession.engine.fences import lift_fences
from procession.kernel import current


class StopsProcesses:
    """What `breakpoint()` calls where process code may be stopped: whatever hook there was, at the frame that stops.

    A breakpoint is passed over in a replay: it stops where the process goes on, not where it was before. `opened` is
    called each time that process code is about to stop.
    """

    may_stop_processes = True
    """Whereby the fence knows it."""

    def __init__(self, opened: Callable[[], None]) -> None:
        self._opened = opened
        self._hook: Any = sys.breakpointhook

    def install(self) -> None:
        """From here on `breakpoint()` calls this."""
        sys.breakpointhook = self

    def remove(self) -> None:
        """It calls again what it called before, unless somebody else has changed that since."""
        if sys.breakpointhook is self:
            sys.breakpointhook = self._hook

    def __call__(self, *args: object, **kwargs: object) -> object:
        at_work = current()
        if at_work is not None:
            if at_work.replaying:
                return None
            self._opened()
        return self._stop(sys._getframe(1), args, kwargs)

    def _stop(self, frame: FrameType, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Most debuggers stop in the frame that called them, which would be that of this class."""
        if self._hook is not sys.__breakpointhook__ or os.environ.get("PYTHONBREAKPOINT"):
            return self._hook(*args, **kwargs)
        of_pytest = getattr(getattr(pdb.set_trace, "__self__", None), "_init_pdb", None)
        if of_pytest is not None:
            of_pytest("set_trace", *args, **kwargs).set_trace(frame)
        elif args or kwargs:
            self._hook(*args, **kwargs)
        else:
            pdb.Pdb().set_trace(frame)
        return None


def let_debuggers_in() -> None:
    """From here on, and for good in this Python, process code may be stopped by `breakpoint()` or a debugger."""
    lift_fences()
    StopsProcesses(lambda: None).install()
