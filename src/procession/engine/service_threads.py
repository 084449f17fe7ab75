"""Threads for services that are plain functions. They are daemons: shutdown waits for a grace period, not for them."""

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a function raised. It crosses as a value: a future takes not every error, and some would end its loop."""

    error: BaseException


@dataclass(slots=True)
class _Job(Generic[R]):
    function: Callable[[], R]
    loop: asyncio.AbstractEventLoop
    label: str
    future: "asyncio.Future[R | _Raised]" = field(init=False)
    has_ended: bool = False
    is_abandoned: bool = False

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()

    def run(self) -> None:
        outcome: R | _Raised
        try:
            outcome = self.function()
        except BaseException as error:  # delivered to whoever awaits the future
            outcome = _Raised(error)
        self.tell(lambda: self._deliver(outcome))

    def tell(self, what: Callable[[], None]) -> None:
        """Have something called in the engine's loop."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            pass  # the loop has closed: nobody waits for this result, and the call is attempted again later

    def _deliver(self, outcome: R | _Raised) -> None:
        if not self.future.done():
            self.future.set_result(outcome)


class ServiceThreads:
    """Runs functions in a growing set of daemon threads that are used again.

    `freed` is called in the loop when a function that was abandoned has returned at last.
    """

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()
        self.started = 0
        self.abandoned_by: Counter[str] = Counter()
        """How many functions of each label run on though nobody waits for them any more."""

    @property
    def abandoned(self) -> int:
        """How many of all."""
        return self.abandoned_by.total()

    async def run(self, function: Callable[[], R], label: str = "") -> R:
        """The result of `function`, run in a thread. Cancelling abandons the thread; it ends when the function returns."""
        job = _Job(function, asyncio.get_running_loop(), label)
        self._reserve_thread()
        self._jobs.put(job)
        try:
            outcome = await job.future
        except asyncio.CancelledError:
            self._abandon(job)
            raise
        if not isinstance(outcome, _Raised):
            return outcome
        if isinstance(outcome.error, Exception | SystemExit | asyncio.CancelledError):
            raise outcome.error
        raise RuntimeError(f"it raised {type(outcome.error).__name__}") from outcome.error

    def _reserve_thread(self) -> None:
        """Each job has a thread that waits for it: counted here, not when the thread has woken, which may be later."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                return
            self.started += 1
        threading.Thread(target=self._work, name=f"procession service {self.started}", daemon=True).start()

    def _abandon(self, job: _Job[R]) -> None:
        with self._lock:
            if not job.has_ended:
                job.is_abandoned = True
                self.abandoned_by[job.label] += 1

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.is_abandoned:  # before it began
                job.run()
            with self._lock:
                self._idle += 1
                job.has_ended = True
                if job.is_abandoned:
                    self.abandoned_by[job.label] -= 1
                    job.tell(self._freed)
