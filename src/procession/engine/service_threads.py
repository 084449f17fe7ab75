"""Threads for services that are plain functions. They are daemons: shutdown waits for a grace period, not for them."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

R = TypeVar("R")


@dataclass(slots=True)
class _Job(Generic[R]):
    function: Callable[[], R]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[R]"

    def run(self) -> None:
        try:
            result = self.function()
        except BaseException as error:  # delivered to whoever awaits the future
            self._deliver(self._set_exception, error)
        else:
            self._deliver(self._set_result, result)

    def _deliver(self, deliver: Callable[..., None], outcome: object) -> None:
        try:
            self.loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:
            pass  # the engine's loop has closed: nobody waits for this result, and the call is attempted again later

    def _set_result(self, result: R) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _set_exception(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class ServiceThreads:
    """Runs functions in a growing set of daemon threads that are used again."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()
        self.started = 0

    async def run(self, function: Callable[[], R]) -> R:
        """The result of `function`, run in a thread. Cancelling abandons the thread; it ends when the function returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        job = _Job(function, loop, future)
        with self._lock:
            needs_thread = self._idle <= self._jobs.qsize()
            if needs_thread:
                self.started += 1
        self._jobs.put(job)
        if needs_thread:
            threading.Thread(target=self._work, name=f"procession service {self.started}", daemon=True).start()
        return await future

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            job.run()
