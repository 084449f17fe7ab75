"""Code of instances run to look at them, beside the engine or where none is: behind the fence, and for no longer than it may take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from procession.engine import asyncio_names
from procession.engine.fences import install_fences
from procession.engine.guard import behind_fence
from procession.engine.present_names import in_present_names
from procession.engine.watchdog import LIMIT_SECONDS, Watchdog
from procession.kernel import Event, HaltInstance, Instance, Program
from procession.language.registry import Registry
from procession.store import InstanceRow, View
from procession.store.event_rows import decode_event

R = TypeVar("R")


class AtWork(Protocol):
    """Runs something that runs code of the instance of this name. Raises what that raises, `HaltInstance` among it."""

    def __call__(self, name: str, work: Callable[[], R], /) -> R: ...


@contextmanager
def guarded() -> Iterator[AtWork]:
    """What runs code of instances on this thread until the end of the block: it reaches nothing outside, and comes back."""
    install_fences()
    asyncio_names.install()
    watchdog = Watchdog(None, limit_seconds=LIMIT_SECONDS)
    watchdog.start()

    def at_work(name: str, work: Callable[[], R], /) -> R:
        return behind_fence(watchdog, work, instance=0, seq=0, name=name)

    try:
        yield at_work
    finally:
        watchdog.stop()


@contextmanager
def replayed(program: Program, seed: bytes, events: list[Event], *, name: str) -> Iterator[tuple[Instance, AtWork]]:
    """A copy of an instance that has lived through these events, and what runs its code further; closed at the end.

    Raises `Divergence` or `HaltInstance` where they do not replay.
    """
    with guarded() as at_work:
        copy = Instance(program, seed=seed)
        try:
            at_work(name, lambda: copy.replay(events))
            yield copy, at_work
        finally:
            close(copy, name, at_work)


def close(copy: Instance, name: str, at_work: AtWork) -> None:
    """Be done with a copy; whatever its clean-up does is nobody's concern."""
    try:
        at_work(name, copy.close)
    except HaltInstance:
        pass


def events_to_replay(view: View, row: InstanceRow, registry: Registry) -> list[Event]:
    """What an instance lives through again: all since it last began anew, under the present names of operations."""
    since_renewal = view.history(row.id, after=max(0, row.renewed_seq - 1))
    return [in_present_names(decode_event(event), registry) for event in since_renewal]
