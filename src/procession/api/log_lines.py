"""The log of an engine as lines: for people, or one JSON object each for a program that gathers logs.

Lines of Procession itself hold no value of the business, only names and numbers: of an error its class and where it was
raised, not its text. Lines of the logger `procession.process` are what authors wrote with `procession.control.log`.
"""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TextIO

from procession.services.shortening import shortened

LOGGER = "procession"
PROCESS_LOGGER = "procession.process"

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "at": "when, ISO 8601 in UTC",
        "level": "debug, info, warning, error or critical",
        "logger": "which part says it: procession.engine, .services, .attention, .commands, or .process",
        "message": "what it says",
        "instance": "the name of the instance it is about",
        "operation": "the operation, as Function.operation",
        "call": "the number of the call in its instance",
        "item": "the number of the work item",
        "actor": "who gave the command",
        "kind": "of a case that needs attention, its kind; of a command, its name",
        "error": "the class of the error behind it, or its code",
        "raised": "where that was raised: file, line and function of each frame, the outermost first",
        "fields": "of a note of a process: what the author gave it beside the text",
    }
)
"""What a line may have; what does not apply is not there. The first four always are."""

_ABOUT = ("instance", "operation", "call", "item", "actor", "kind", "error")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _ABOUT:
            if (value := getattr(record, name, None)) not in (None, ""):
                line[name] = value
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line["error"] = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            line["raised"] = shortened([f"{each.filename}:{each.lineno} in {each.name}" for each in frames])
        if record.name == PROCESS_LOGGER and (fields := getattr(record, "fields", None)):
            line["fields"] = fields
        return json.dumps(line, ensure_ascii=False, default=repr)


class TextLines(logging.Formatter):
    """One line for people, and the traceback where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


def write_log(stream: TextIO, *, as_json: bool, level: int) -> None:
    """Have everything that Procession logs, from this level on, written to this stream."""
    to_stream = logging.StreamHandler(stream)
    to_stream.setFormatter(JsonLines() if as_json else TextLines())
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [to_stream]
    logger.setLevel(level)
    logger.propagate = False
