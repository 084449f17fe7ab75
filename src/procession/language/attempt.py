"""What a service may know of the attempt it runs in: above all the idempotency key to give to the outside system."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from procession.errors import OutsideProcess


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a service call. `idempotency_key` is the same for all attempts at one call; `number` counts from 1."""

    idempotency_key: str
    number: int


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
