"""The one writer: takes requests in order, decides them inside a transaction, commits many at once, then answers.

Per request: deduplicate, apply the timers that are due by its time, decide, advance, collect the rows. Each request is
acknowledged only after the commit. A batch that fails is dropped whole and repeated one request at a time, so that only
the culprit is refused.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from procession.engine.clock import IntakeClock
from procession.engine.contract import Accepted, EngineStopped, Request
from procession.engine.crash_points import CrashPoint, Reached
from procession.engine.deciding import Decider
from procession.engine.turn import Effects
from procession.errors import (
    InternalError,
    OperatorError,
    PerformerError,
    ProcessionError,
    StoreDamaged,
    StoreError,
)
from procession.store.batch import Batch, BatchMark
from procession.store.failures import explained
from procession.store.opening import Store

log = logging.getLogger("procession.engine")

MOST_IN_BATCH = 64
MOST_BATCH_SECONDS = 0.020
SLOW_COMMIT_SECONDS = 0.004

Outcome = Accepted | BaseException


@dataclass(slots=True)
class _Pending:
    request: Request
    answer: "asyncio.Future[Accepted]"


@dataclass(frozen=True, slots=True)
class _Committing:
    """A batch on its way to the disk: who is to be answered what, what follows, and by what it is found again."""

    pending: list[_Pending]
    outcomes: list[Outcome]
    effects: Effects
    mark: BatchMark


class Writer:
    """Runs in the engine's event loop; `submit` may be called from there only."""

    def __init__(
        self,
        store: Store,
        decider: Decider,
        clock: IntakeClock,
        *,
        room: Callable[[], int],
        carry_out: Callable[[Effects], None],
        reached: Reached,
    ) -> None:
        self._store = store
        self.decider = decider
        self._clock = clock
        self._room = room
        self._carry_out = carry_out
        self._reached = reached
        self._waiting: deque[_Pending] = deque()
        self._arrived = asyncio.Event()
        self._stopped: str | None = None
        self._commit_seconds = 0.0
        self._unsure: list[Effects] = []
        self._committing: _Committing | None = None
        self.commits = 0

    def submit(self, request: Request) -> "asyncio.Future[Accepted]":
        """Take a request in: it gets its time now, and its answer after the commit. Raises `EngineStopped`, `ClockNotTrusted`."""
        if self._stopped is not None:
            raise EngineStopped(
                self._stopped, remedy="Start an engine with `procession serve`, and give the command again."
            )
        request.at_us = self._clock.now_us()
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(request, answer))
        self._arrived.set()
        return answer

    async def run(self) -> None:
        """Until `stop`, and until all that was taken in is answered."""
        try:
            await self._run()
        finally:
            self._stopped = self._stopped or "The engine has ended."
            for one in self._waiting:
                _refuse(one, EngineStopped(self._stopped, remedy="Nothing of the request was kept."))
            self._waiting.clear()

    async def _run(self) -> None:
        while True:
            while self._waiting:
                await self._run_batch(self._take())
                await asyncio.sleep(0)
            if self._stopped is not None:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def stop(self, reason: str) -> None:
        """Take no more requests; `run` returns when those taken in are answered."""
        self._stopped = reason
        self._arrived.set()

    def _take(self) -> list[_Pending]:
        taken = min(len(self._waiting), MOST_IN_BATCH)
        return [self._waiting.popleft() for _ in range(taken)]

    async def _run_batch(self, pending: list[_Pending], *, delivers: bool = True) -> None:
        effects = Effects(room=self._room(), delivers=delivers)
        try:
            with explained(self._store.path):
                committed = await self._try_batch(pending, effects)
        except StoreError as error:
            if self._store.is_failed or not isinstance(error, StoreDamaged):
                self._fail_store(pending, effects, error)
            else:
                await self._run_alone(pending, error, effects)
            return
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            for one in pending:
                _refuse(one, EngineStopped("The engine was interrupted.", remedy=self._fate_of_interrupted()))
            raise
        except Exception as error:
            if self._store.is_failed:
                self._fail_store(pending, effects, _as_internal(pending[0].request, error))
            else:
                await self._run_alone(pending, error, effects)
            return
        self._after_commit(pending, *committed)

    async def _run_alone(self, pending: list[_Pending], error: Exception, effects: Effects) -> None:
        """One request of a batch cannot be carried out: each is tried alone, and only the culprit is refused.

        Where it may be an instance that the request's own one acts upon, that is left to due work.
        """
        if len(pending) == 1 and effects.delivers and effects.has_delivered:
            await self._run_batch(pending, delivers=False)
            return
        if len(pending) == 1:
            kind = pending[0].request.kind
            log.error("A request of kind %r failed inside the engine; nothing of it was kept.", kind, exc_info=error)
            _refuse(pending[0], _as_internal(pending[0].request, error))
            return
        left = deque(pending)
        try:
            while left:
                await self._run_batch([left.popleft()])
        except BaseException:
            self._waiting.extendleft(reversed(left))  # they are refused with all that waits
            raise

    def _fate_of_interrupted(self) -> str:
        if self._store.is_failed:
            return "Whether the request was kept is not known; give it again with the same identifier."
        return "Nothing of the request was kept."

    async def _try_batch(self, pending: list[_Pending], effects: Effects) -> "tuple[Batch, list[Outcome], Effects]":
        """Decide, write and commit. Whatever is raised from here, nothing was acknowledged."""
        started = time.thread_time()
        batch = self._store.begin()
        outcomes: list[Outcome] = []
        try:
            for index, one in enumerate(pending):
                outcomes.append(self._decide(batch, effects, one.request))
                if time.thread_time() - started > MOST_BATCH_SECONDS and index + 1 < len(pending):
                    self._waiting.extendleft(reversed(pending[index + 1 :]))
                    del pending[index + 1 :]
                    break
            batch.write()
            self._reached(CrashPoint.BEFORE_COMMIT)
            self._committing = _Committing(pending, outcomes, effects, batch.mark)
            await self._commit(batch)
        except BaseException:
            self.decider.forget(batch.touched)
            batch.rollback()
            raise
        return batch, outcomes, effects

    def _decide(self, batch: Batch, effects: Effects, request: Request) -> Outcome:
        try:
            return self.decider.decide(batch, effects, request)
        except StoreError:
            raise  # half of the request may be in the batch
        except (PerformerError, OperatorError) as refusal:
            return refusal

    async def _commit(self, batch: Batch) -> None:
        started = time.perf_counter()
        if self._commit_seconds > SLOW_COMMIT_SECONDS:
            await _in_thread(batch.commit)
        else:
            batch.commit()
        self._commit_seconds += 0.1 * (time.perf_counter() - started - self._commit_seconds)
        self._committing = None
        self.commits += 1
        self._reached(CrashPoint.AFTER_COMMIT)

    def _after_commit(self, pending: list[_Pending], batch: Batch, outcomes: list[Outcome], effects: Effects) -> None:
        self.decider.remember(batch.instances.get(each) for each in batch.touched)
        self.decider.forget(effects.spent)
        _answer(pending, outcomes)
        self._reached(CrashPoint.AFTER_REPLY)
        self._carry_out(effects)
        if self._store.checkpoint_is_due:
            try:
                self._store.checkpoint()
            except StoreError as error:
                self._fail_store([], Effects(), error)

    def _fail_store(self, pending: list[_Pending], effects: Effects, error: Exception) -> None:
        """Open the store anew, and tell what of the batch is really in it: all of it or nothing."""
        log.error("The store failed: %s", error)
        committing, self._committing = self._committing, None
        if not self._store.is_failed:
            committing = None  # it failed before its commit
        self.decider.forget_all()
        held: bool | None = None if committing is not None else False
        try:
            self._store.reopen()
            if committing is not None:
                held = self._store.holds(committing.mark)
        except ProcessionError as still:
            log.error("The store cannot be opened again yet: %s", still)
        if committing is not None and held:
            log.warning("The batch whose commit failed is in the store: it happened.")
            _answer(committing.pending, committing.outcomes)
            self._carry_out(committing.effects)
        else:
            if held is None and (effects.attempts or effects.due_us is not None):
                self._unsure.append(effects)
            for one in pending:
                _refuse(one, _with_fate(error, held))
        if not self._store.is_failed:
            try:
                self._carry_out_unsure()
            except ProcessionError as still:
                log.error("What a failed commit left to do waits: %s", still)

    def _carry_out_unsure(self) -> None:
        """Begin the attempts of batches whose commit failed and happened after all: their rows say that they run."""
        while self._unsure:
            unsure = self._unsure[0]
            with self._store.begin() as batch:
                there = [each for each in unsure.attempts if batch.service_calls.find(each.row.id) == each.row]
            del self._unsure[0]
            self._carry_out(Effects(attempts=there, due_us=unsure.due_us))


async def _in_thread(commit: Callable[[], None]) -> None:
    """Run a commit in a thread. Whoever cancels must wait for its end: nothing may touch the connection before."""
    # No task of its own: a loop that ends cancels every task there is.
    running = asyncio.get_running_loop().run_in_executor(None, commit)
    is_cancelled = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            is_cancelled = True
    running.result()
    if is_cancelled and (task := asyncio.current_task()) is not None:
        task.cancel()  # at the next wait: what is durable is acknowledged first


def _answer(pending: list[_Pending], outcomes: list[Outcome]) -> None:
    for one, outcome in zip(pending, outcomes, strict=True):
        if not isinstance(outcome, Accepted):
            _refuse(one, outcome)
        elif not one.answer.done():
            one.answer.set_result(outcome)


def _with_fate(error: Exception, held: bool | None) -> Exception:
    """The error, which says of the request too whether it was done."""
    if not isinstance(error, StoreError):
        return error
    fate = (
        "Nothing of the request was done."
        if held is False
        else "Whether the request was done is not known yet; given again under the same identifier it is not done twice."
    )
    return type(error)(error.message, subject=error.subject, remedy=f"{fate} {error.remedy}")


def _refuse(pending: _Pending, error: BaseException) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)


def _as_internal(request: Request, error: Exception) -> Exception:
    if isinstance(error, ProcessionError):
        return error
    return InternalError(
        f"A request of kind {request.kind!r} failed inside the engine: {type(error).__name__}: {error}.",
        remedy="Nothing of it was kept. Please report this, with the engine's log.",
    )
