"""The places where a crash must do no harm, by name, so that tests can crash exactly there."""

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where the engine stands relative to what is durable."""

    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit, before the reply"
    AFTER_REPLY = "after the reply"
    BEFORE_ATTEMPT = "before a service attempt"
    AFTER_ATTEMPT = "after a service attempt, before its result is recorded"


Reached = Callable[[CrashPoint], None]


def nothing_happens(point: CrashPoint) -> None:
    """What an engine does at a crash point outside tests."""
