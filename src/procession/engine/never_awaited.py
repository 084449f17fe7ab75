"""A coroutine of the author's own that is called and not awaited is told of, with the instance and the line.

Python warns of it when the coroutine is dropped, which is at that line, but knows of no instance, and prints it into
whatever an engine prints.
"""

import logging
import warnings
from typing import TextIO

from procession.engine.fences import instance_at_work

log = logging.getLogger("procession.engine")

_installed = False


def tell_of_what_is_never_awaited() -> None:
    """From here on such a warning of process code goes to the log, once for each line. Others are shown as before."""
    global _installed
    if _installed:
        return
    _installed = True
    show = warnings.showwarning

    def show_or_log(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        instance = instance_at_work()
        if instance and category is RuntimeWarning and str(message).endswith("was never awaited"):
            log.warning(
                "%s: %s, so it did nothing: %s:%d. Write `await` before it.", instance, message, filename, lineno
            )
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_or_log
