"""Process code in a debugger: no fence refuses what that does, no watchdog minds how long it takes (law 28)."""

import os
import pdb
import sys

from procession.engine.fences import lift_fences
from procession.kernel import current


def let_debuggers_in() -> None:
    """From here on, and for good in this Python, process code may be stopped by `breakpoint()` or a debugger.

    A breakpoint is passed over in a replay: it stops where the process goes on, not where it was before.
    """
    lift_fences()
    hook = sys.breakpointhook

    def stop(*args: object, **kwargs: object) -> object:
        at_work = current()
        if at_work is not None and at_work.replaying:
            return None
        if hook is sys.__breakpointhook__ and not args and not kwargs and not os.environ.get("PYTHONBREAKPOINT"):
            pdb.Pdb().set_trace(sys._getframe(1))  # the frame that stops, not this one
            return None
        return hook(*args, **kwargs)

    sys.breakpointhook = stop
