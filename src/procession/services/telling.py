"""Tells somebody of what newly waits for a person: a line in the log, and the program that `on_attention` names.

Each case is told once for as long as it lasts; the store keeps which were. What could not be told is told after the next
start. The program runs beside the engine and can neither hold it up nor end it.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from procession.engine.clock import Clock, ClockNotTrusted
from procession.engine.contract import Decision, Engine, EngineStopped, Request
from procession.errors import StoreError
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.attention import MOST_LOOKED_AT, Case, Scene, cases
from procession.store import Readers

log = logging.getLogger("procession.attention")

TELLER = "attention"
TOLD = "told:"
"""Under `told:` and the occurrence the store keeps what became of telling it."""

PROGRAM_SECONDS = 30.0
PAUSE_SECONDS = 15.0
LEAST_PAUSE_SECONDS = 0.5
LONGEST_COMPLAINT_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """What became of telling a case: the log has it; the program took it, or `failed` says why not."""

    by_program: bool = False
    failed: str = ""

    @classmethod
    def of(cls, kept: str) -> "Told":
        """As the store keeps it."""
        return cls(**json.loads(kept))

    def kept(self) -> str:
        """For the store to keep."""
        return json.dumps(asdict(self))


class AttentionTeller:
    """Looks for new cases, now and then and whenever the engine says that there is one, and has each told."""

    def __init__(
        self,
        application: Application,
        engine: Engine,
        readers: Readers,
        *,
        clock: Clock,
        registry: Callable[[], Registry],
        noted: Callable[[Case], None] = lambda case: None,
    ) -> None:
        self._application = application
        self._engine = engine
        self._readers = readers
        self._clock = clock
        self._registry = registry
        self._noted = noted
        self._soon = asyncio.Event()
        self._tried: set[str] = set()

    def look_soon(self) -> None:
        """There may be a new case."""
        self._soon.set()

    async def run(self) -> None:
        """Until cancelled, or the engine stops. What cannot be told at the moment is told later."""
        complaint = ""
        while True:
            self._soon.clear()
            try:
                await self.look()
                complaint = ""
            except EngineStopped:
                return
            except (ClockNotTrusted, StoreError) as error:
                if str(error) != complaint:
                    log.error("What needs attention cannot be told at the moment: %s", error)
                complaint = str(error)
            except Exception:  # whoever tells must not end because of one case that cannot be told
                log.exception("What needs attention cannot be told.")
            await asyncio.sleep(LEAST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._soon.wait()

    async def look(self) -> None:
        """Tell what was not told before, and forget what is over."""
        found, kept = await asyncio.to_thread(self._see)
        told = {case.occurrence: kept.get(TOLD + case.occurrence) for case in found}
        changed: dict[str, str | None] = {}
        if len(found) < MOST_LOOKED_AT:  # else what is not among them may be there all the same
            self._tried &= told.keys()
            changed |= {key: None for key in kept if key.removeprefix(TOLD) not in told}
        for case in found:
            if told[case.occurrence] is None:
                self._note(case)
                changed[TOLD + case.occurrence] = Told().kept()
        if changed:
            await self._keep(changed)
        if self._application.on_attention:
            for case in found:
                before = told[case.occurrence]
                if case.occurrence not in self._tried and (before is None or not Told.of(before).by_program):
                    await self._run_program(case)

    def _see(self) -> tuple[list[Case], dict[str, str]]:
        with self._readers.snapshot() as view:
            now_us = self._clock.wall_us()
            return cases(Scene(self._application, view, self._registry(), now_us)), view.metas(TOLD)

    def _note(self, case: Case) -> None:
        log.warning(
            "%s. Next: %s",
            case.headline,
            case.command,
            extra={"kind": str(case.kind), **about(case)},
        )
        self._noted(case)

    async def _run_program(self, case: Case) -> None:
        self._tried.add(case.occurrence)
        program = self._application.on_attention
        failed = await tell_by_program(program, document_of(self._application.name, case), self._application.folder)
        if failed:
            log.error("on_attention: %s %s", program[0], failed, extra=about(case))
        else:
            log.info("on_attention: %s was told: %s.", program[0], case.headline, extra=about(case))
        await self._keep({TOLD + case.occurrence: Told(by_program=not failed, failed=failed).kept()})

    async def _keep(self, told: Mapping[str, str | None]) -> None:
        decision = Decision(keeps=told)
        await self._engine.submit(Request("attention told", TELLER, lambda view: decision, recorded=False))


def about(case: Case) -> dict[str, object]:
    """What a line in the log is about."""
    return {"instance": case.instance, "operation": case.operation, "call": case.call, "item": case.item}


def document_of(application: str, case: Case) -> dict[str, object]:
    """What the program gets on its standard input, as one JSON object."""
    return {"application": application, **asdict(case), "since": case.since.isoformat().replace("+00:00", "Z")}


async def tell_by_program(
    program: tuple[str, ...], document: Mapping[str, object], folder: Path, seconds: float = PROGRAM_SECONDS
) -> str:
    """Run the program with the document on its standard input; gives why it was not told, nothing where it was."""
    telling = _Telling(program, json.dumps(document, ensure_ascii=False).encode() + b"\n", folder)
    try:
        return await asyncio.to_thread(telling.run, seconds)
    finally:
        telling.end()


class _Telling:
    """One run of the program, in a thread of its own, that can be ended from outside."""

    def __init__(self, program: tuple[str, ...], content: bytes, folder: Path) -> None:
        self._program = program
        self._content = content
        self._folder = folder
        self._running: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def run(self, seconds: float) -> str:
        # Files and no pipes: whatever it reads, says or starts, nobody waits for more than its end.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complained:
            given.write(self._content)
            given.seek(0)
            try:
                running = subprocess.Popen(  # noqa: S603 - it is what whoever set the application up wants to be run
                    self._program,
                    cwd=self._folder,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=complained,
                    start_new_session=True,  # a Ctrl+C in the engine's terminal is not for it, and it ends with all it started
                )
            except (OSError, ValueError) as error:
                return f"could not be started: {error}."
            self._running = running
            try:
                status = running.wait(0 if self._is_over else seconds)
            except subprocess.TimeoutExpired:
                return f"did not end within {seconds:g} seconds, and was ended."
            finally:
                self.end()
                running.wait()
            complained.seek(max(complained.seek(0, os.SEEK_END) - LONGEST_COMPLAINT_BYTES, 0))
            complaint = complained.read().decode(errors="replace").strip()
        return f"ended with exit status {status}{': ' + complaint if complaint else ''}." if status else ""

    def end(self) -> None:
        """End it, and what it has started; the thread comes back at once."""
        self._is_over = True
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._running.pid, signal.SIGKILL)
