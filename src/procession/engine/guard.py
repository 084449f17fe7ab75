"""Runs code of an instance behind the fence and watched, whoever it is that runs it."""

from collections.abc import Callable
from typing import TypeVar

from procession.engine.fences import fence_down, fence_up
from procession.engine.watchdog import Watchdog
from procession.kernel import HaltInstance

R = TypeVar("R")


def behind_fence(watchdog: Watchdog, work: Callable[[], R], *, instance: int, seq: int, name: str) -> R:
    """The result of `work`, which reaches nothing outside, and comes back: raises `HaltInstance` where it does not."""
    watchdog.enter(instance, seq)
    try:
        fence_up(name)
        try:
            return work()
        finally:
            fence_down()
            watchdog.leave()
    except HaltInstance:  # the watchdog's, when the code was just back: what it cut short is done again
        fence_down()
        watchdog.leave()
        raise
