"""What a service may know of the attempt it runs in: above all the idempotency key to give to the outside system."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from procession.errors import OutsideProcess


class Signs:
    """What an attempt and its engine let each other know, across threads: `clock` is the engine's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.beaten = clock()
        self.note = ""
        self.is_cancelled = False

    def beat(self, note: str) -> None:
        """The attempt is alive."""
        self.beaten, self.note = self._clock(), note


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a service call. `idempotency_key` is the same for all attempts at one call; `number` counts from 1."""

    idempotency_key: str
    number: int
    signs: Signs = field(default_factory=Signs, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this attempt any more: its time is up, its call was withdrawn, or the engine ends.

        An async service is cancelled then. A plain function runs on, and may look here now and then, to end early.
        """
        return self.signs.is_cancelled

    def heartbeat(self, note: str = "") -> None:
        """Says that the attempt is alive, for a service with `heartbeat=`; `note` says how far it is, should it stop."""
        self.signs.beat(note)


_attempt: ContextVar[Attempt] = ContextVar("attempt")


def attempt() -> Attempt:
    """The attempt that runs here. Raises `OutsideProcess` where no service is being attempted."""
    try:
        return _attempt.get()
    except LookupError:
        raise OutsideProcess(
            "attempt() was called outside a service.",
            remedy="Call it in the body of a service, while an engine runs it.",
        ) from None


@contextmanager
def attempt_runs(running: Attempt) -> Iterator[None]:
    """While this is open, `attempt()` gives this one."""
    token = _attempt.set(running)
    try:
        yield
    finally:
        _attempt.reset(token)
