"""Runs the attempts at services: outside the transaction, after the commit that asked for them, never again after their result."""

import asyncio
import contextvars
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from procession.engine.attempts import AttemptOutcome, Broke, Declared, Succeeded, TooLate, report
from procession.engine.clock import ClockNotTrusted
from procession.engine.contract import Accepted, EngineStopped, Request
from procession.engine.crash_points import CrashPoint, Reached
from procession.engine.limits import Limits
from procession.engine.service_threads import ServiceThreads
from procession.errors import InvalidValue, OperatorError, ProcessionError, StoreError
from procession.language.attempt import Attempt, Signs, attempt_runs
from procession.language.failures import message_of
from procession.language.operations import Service
from procession.language.provided import Need, Provisions
from procession.language.registry import Registry
from procession.store.service_calls import ServiceCallRow

log = logging.getLogger("procession.services")

MOST_ATTEMPTS = 256
REPORT_PAUSE_SECONDS = 1.0
CANCEL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AttemptToRun:
    """One attempt whose row is committed, with the encoded input of the call."""

    row: ServiceCallRow
    input: bytes
    instance: str = ""

    @property
    def about(self) -> dict[str, object]:
        """What a line in the log is about."""
        return {"instance": self.instance, "operation": self.row.operation, "call": self.row.call}


class NotProvided(OperatorError):
    """A service needs a resource or a secret that the engine does not have, as in an application's settings changed since."""

    code = "not-provided"

    def __init__(self, operation: str, need: Need) -> None:
        what = f"the secret {need.secret}" if need.secret is not None else f"a resource of the type {need.type_name}"
        super().__init__(f"{operation} needs {what}, which this engine does not have.", subject=operation)


@dataclass(frozen=True, slots=True)
class AttemptOptions:
    """How services are attempted: so many at once, waits spread by this chance, and what they are given that is no input."""

    most: int = MOST_ATTEMPTS
    chance: random.Random = field(default_factory=random.Random)
    provisions: Provisions = field(default_factory=Provisions)
    limits: Limits = field(default_factory=Limits)


class Dispatcher:
    """Starts attempts, ends those whose call was withdrawn, and hands results back as requests.

    `freed` is called when there is room again after there was none.
    """

    def __init__(
        self,
        registry: Registry,
        submit: Callable[[Request], Coroutine[object, object, Accepted]],
        *,
        reached: Reached,
        freed: Callable[[], None],
        options: AttemptOptions,
    ) -> None:
        self.registry = registry
        self._submit = submit
        self._reached = reached
        self._freed = freed
        self._most = options.most
        self._threads = ServiceThreads(freed)
        self._chance = options.chance
        self._is_closing = False
        self._abandoned: Counter[str] = Counter()
        self._provisions = options.provisions
        self._limits = options.limits
        self._running: dict[tuple[int, int], asyncio.Task[None]] = {}

    @property
    def room(self) -> int:
        """How many more attempts may run at once. One that was given up, in a thread or not, counts until it ends."""
        if self._is_closing:
            return 0
        return max(0, self._most - len(self._running) - self.left_behind().total())

    def left_behind(self) -> Counter[str]:
        """How many attempts at each service were given up and have not ended."""
        return self._abandoned + self._threads.abandoned_by

    @property
    def running(self) -> int:
        """How many attempts run."""
        return len(self._running)

    def start(self, attempt: AttemptToRun) -> None:
        """Run an attempt whose row is committed."""
        key = (attempt.row.instance, attempt.row.call)
        operation = self.registry.find_service(attempt.row.operation)
        assert operation is not None, "the writer begins attempts only at services there are"
        # It ends with the body that it begins with, whatever source is taken meanwhile.
        task = asyncio.get_running_loop().create_task(self._run(operation, attempt), name=attempt.row.operation)
        self._running[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def stop(self, instance: int, call: int) -> None:
        """The call was withdrawn: cancel its attempt where one runs. A thread cannot be cancelled; its result comes too late."""
        task = self._running.get((instance, call))
        if task is not None:
            task.cancel()

    async def close(self, *, grace_seconds: float) -> None:
        """Wait that long for running attempts, then cancel what is left; it is attempted again at the next start."""
        self._is_closing = True
        loop = asyncio.get_running_loop()
        ends = loop.time() + grace_seconds
        while self._running and (left := ends - loop.time()) > 0:
            await asyncio.wait(self._running.values(), timeout=left)
        late = list(self._running.values())
        for task in late:
            task.cancel()
        if late:
            _, deaf = await asyncio.wait(late, timeout=CANCEL_SECONDS)
            for task in deaf:
                log.error("An attempt at %s does not let itself be cancelled, and is left behind.", task.get_name())

    def _forget(self, key: tuple[int, int], done: "asyncio.Task[None]") -> None:
        was_full = self.room == 0
        if self._running.get(key) is done:
            del self._running[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("An attempt at %s ended without a report.", done.get_name(), exc_info=error)
        if was_full or self._limits.in_force:  # somebody may have waited for this turn
            self._freed()

    async def _run(self, operation: Service[..., object], attempt: AttemptToRun) -> None:
        self._reached(CrashPoint.BEFORE_ATTEMPT)
        outcome = await self._outcome_of(operation, attempt)
        self._reached(CrashPoint.AFTER_ATTEMPT)
        try:
            await self._report(attempt.row, operation, outcome)
        except TooLate as late:
            log.info("%s", late, extra=attempt.about)
        except EngineStopped:
            log.info(
                "The engine stopped before the result of %s was recorded; it is attempted again.",
                operation.id,
                extra=attempt.about,
            )

    async def _report(
        self, row: ServiceCallRow, operation: Service[..., object], outcome: AttemptOutcome, *, is_last: bool = False
    ) -> None:
        """Tell the engine what came of an attempt, as often as it takes: a call whose result is dropped would stand still."""
        while True:
            try:
                await self._submit(report(row, operation, outcome, self._chance))
                return
            except (TooLate, EngineStopped):
                raise
            except (ClockNotTrusted, StoreError) as error:
                log.warning("The result of %s cannot be recorded yet: %s", operation.id, error)
                await asyncio.sleep(REPORT_PAUSE_SECONDS)
            except Exception as error:
                if is_last:
                    raise
                log.exception("The result of %s cannot be recorded; the call needs attention.", operation.id)
                broke = Broke(type(error).__name__, message_of(error), final=True)
                await self._report(row, operation, broke, is_last=True)
                return

    async def _outcome_of(self, operation: Service[..., object], attempt: AttemptToRun) -> AttemptOutcome:
        row = attempt.row
        signs = Signs(asyncio.get_running_loop().time)
        with attempt_runs(Attempt(row.idempotency_key, row.attempts, signs)):
            made = _with_its_error(self._call_body(operation, attempt.input))
            body = asyncio.get_running_loop().create_task(made, name=operation.id)
        fault = await self._wait(body, operation, signs)
        if fault is not None and (
            not body.done() or body.cancelled() or isinstance(body.result()[1], asyncio.CancelledError)
        ):
            return fault
        value, raised = (None, asyncio.CancelledError()) if body.cancelled() else body.result()
        if raised is not None:
            return self._outcome_of_error(operation, raised, attempt)
        try:
            return Succeeded(operation.result.encode(value))
        except Exception as error:
            return Broke(
                type(error).__name__,
                f"the service returned a value that is not {operation.result.describe()}: {message_of(error)}",
                final=True,
            )

    async def _wait(self, body: "asyncio.Future[Any]", operation: Service[..., object], signs: Signs) -> Broke | None:
        """Nothing where the body ends in time. Cancels it otherwise, and leaves it behind where it does not end for that.

        One whose call was withdrawn is waited for to its end: nobody is to be told.
        """
        try:
            fault = await _overdue(body, operation, signs)
            if fault is None:
                return None
            signs.is_cancelled = True
            body.cancel()
            if not (await asyncio.wait({body}, timeout=CANCEL_SECONDS))[0]:
                self._abandoned[operation.id] += 1
                body.add_done_callback(lambda _: self._let_go(operation.id))
            return fault
        except asyncio.CancelledError:
            signs.is_cancelled = True
            while not body.done():
                body.cancel()
                try:
                    await asyncio.wait({body})
                except asyncio.CancelledError:
                    continue
            raise

    def _let_go(self, operation: str) -> None:
        self._abandoned -= Counter([operation])  # which leaves no zero behind
        self._freed()

    async def _call_body(self, operation: Service[..., object], raw: bytes) -> object:
        inputs, provisions = operation.inputs.decode(raw), self._provisions
        if missing := operation.lacks(provisions):
            raise NotProvided(operation.id, missing[0])
        if operation.is_async:
            return await operation.call(inputs, provisions)
        context = contextvars.copy_context()
        return await self._threads.run(lambda: context.run(operation.call, inputs, provisions), operation.id)

    def _outcome_of_error(
        self, operation: Service[..., object], error: BaseException, attempt: AttemptToRun
    ) -> AttemptOutcome:
        try:
            failure = operation.errors.failure_of(error)
        except InvalidValue as wrong:
            return Broke(type(error).__qualname__, f"the declared error cannot be recorded: {wrong}", final=True)
        if failure is not None:
            return Declared(failure)
        if not isinstance(error, ProcessionError):
            log.info("An attempt at %s failed.", operation.id, exc_info=error, extra=attempt.about)
        final = isinstance(error, (NotProvided, *operation.never_retry))
        return Broke(type(error).__qualname__, self._provisions.masked(message_of(error)), final=final)


async def _overdue(body: "asyncio.Future[Any]", operation: Service[..., object], signs: Signs) -> Broke | None:
    """What is wrong once the attempt has taken too long, or has not beaten for too long; None where it ends before."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + operation.timeout.length_us / 1_000_000
    silence = None if operation.heartbeat is None else operation.heartbeat.length_us / 1_000_000
    while True:
        until = ends if silence is None else min(ends, signs.beaten + silence)
        if until > loop.time():
            if (await asyncio.wait({body}, timeout=until - loop.time()))[0]:
                return None
        elif body.done():
            return None
        elif until == ends:
            return Broke("TimeoutError", f"took longer than {operation.timeout}")
        else:
            last = f'; it last said "{signs.note}"' if signs.note else ""
            return Broke("HeartbeatMissing", f"gave no sign of life for {operation.heartbeat}{last}")


async def _with_its_error(body: Coroutine[object, object, object]) -> tuple[object, BaseException | None]:
    """What a body gives, or raises: as a value, since some errors would end the loop that they leave a task in."""
    try:
        return await body, None
    except BaseException as error:  # an attempt that ends without a report would leave its call running for ever
        return None, error
