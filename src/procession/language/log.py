"""`procession.control.log`: notes of a process for whoever runs it, written once, silent in replay."""

import logging
from typing import Any

from procession import kernel


class ProcessLog:
    """Like a logger of the standard library, named "procession.process"; says nothing while a history is replayed."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("procession.process")

    def debug(self, message: str, *args: object, **fields: Any) -> None:
        """For whoever follows one instance closely. `fields` become attributes of the log record."""
        self._log(logging.DEBUG, message, args, fields)

    def info(self, message: str, *args: object, **fields: Any) -> None:
        """For whoever reads along."""
        self._log(logging.INFO, message, args, fields)

    def warning(self, message: str, *args: object, **fields: Any) -> None:
        """For whoever should look at it some day."""
        self._log(logging.WARNING, message, args, fields)

    def error(self, message: str, *args: object, **fields: Any) -> None:
        """For whoever should look at it now."""
        self._log(logging.ERROR, message, args, fields)

    def _log(self, level: int, message: str, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        instance = kernel.current()
        if instance is not None and instance.replaying:
            return
        if self._logger.isEnabledFor(level):
            # The third frame up is the author's line.
            self._logger.log(level, message, *args, extra={"fields": fields}, stacklevel=3)


log = ProcessLog()
