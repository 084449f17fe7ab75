"""The record of a halt: what a person needs to see, taken from the fault while it is at hand.

The history gets code, message and call stack. The traceback, with its paths, goes beside the instance only.
"""

import asyncio
import bdb
import json
import traceback
from dataclasses import dataclass, replace

from procession.engine.differences import inputs_of
from procession.errors import ProcessionError
from procession.kernel import BranchStack, Divergence, Halt, HaltInstance, Site
from procession.language.failures import clean_text, message_of

LONGEST_LINE = 1_000
MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class HaltRecord:
    """Why an instance stands still: a code, a sentence, the business call stacks, and the traceback of the fault."""

    code: str
    message: str
    detail: bytes
    traceback: str = ""

    def to_json(self, at_us: int, release: int) -> str:
        """What the instance's row keeps, beside what stands in its history; `release` is that of the lines in the stacks."""
        content = {"code": self.code, "message": self.message, "at_us": at_us, "traceback": self.traceback}
        return json.dumps({**content, "release": release, **json.loads(self.detail)})


_SAID_OF: dict[type | None, str] = {
    bdb.BdbQuit: "BdbQuit: somebody quit the debugger here. What came in is kept, and a retry goes on with it.",
    TimeoutError: "TimeoutError: a deadline passed, and nothing caught it. Catch TimeoutError around it, or raise ProcessFailed there.",
    asyncio.CancelledError: "CancelledError: a branch was cancelled, and whoever awaits it does not catch that. Catch it there.",
    SystemExit: "SystemExit: process code asked Python to end, which ends no instance. Return, or raise ProcessFailed there.",
    GeneratorExit: "GeneratorExit: process code raised what Python closes a coroutine with. Return, or raise ProcessFailed there.",
}


def record_of_halt(halt: Halt) -> HaltRecord:
    """The record of a halt that an advance reported."""
    detail: dict[str, object] = {"stack": [_branch(branch) for branch in halt.stack]}
    if halt.asked_meanwhile is not None:
        detail["asked_meanwhile"] = halt.asked_meanwhile
    return HaltRecord(halt.code, clean_text(_said_of(halt)), _encode(detail), _traceback(halt.exception))


def _said_of(halt: Halt) -> str:
    if halt.code != "bug":
        return halt.message
    if isinstance(halt.exception, BaseExceptionGroup):
        return f"{type(halt.exception).__qualname__}: {message_of(halt.exception)}"
    return _SAID_OF.get(type(halt.exception), halt.message)


def record_of_divergence(fault: Divergence, told: str) -> HaltRecord:
    """The record of a history that the source no longer fits; where the source raised, that of what it raised."""
    record = record_of_halt(fault.halt)
    if fault.halt.code == "bug":
        return record
    detail = {**json.loads(record.detail), **_divergence(fault)}
    return replace(record, message=clean_text(told), detail=_encode(detail), traceback=_traceback(fault.meanwhile))


def record_of_fault(fault: BaseException) -> HaltRecord:
    """The record of a fault that kept an instance from being brought into memory, or from going on."""
    if isinstance(fault, HaltInstance):
        return HaltRecord(fault.code, clean_text(fault.message), _encode({}), _traceback(fault))
    code = fault.code if isinstance(fault, ProcessionError) else "bug"
    return HaltRecord(code, message_of(fault), _encode({}), _traceback(fault))


def _divergence(fault: Divergence) -> dict[str, object]:
    detail: dict[str, object] = {"call": fault.call}
    if fault.made_site is not None:
        detail["made_site"] = _site(fault.made_site)
    if (inputs := inputs_of(fault)) is not None:
        detail["recorded_input"], detail["made_input"] = inputs
    recorded_site = getattr(fault.recorded, "site", None)
    if recorded_site:
        detail["recorded_site"] = recorded_site
    return detail


def _branch(branch: BranchStack) -> dict[str, object]:
    return {
        "branch": branch.branch,
        "waits_for": branch.waits_for,
        "frames": _site(tuple(each.frame for each in branch.frames)),
    }


def _site(site: Site) -> list[list[object]]:
    return [
        [frame.module, frame.function, frame.line, frame.column, frame.end_line, frame.end_column] for frame in site
    ]


def _traceback(fault: BaseException | None) -> str:
    """The traceback as far as a person reads it; an error's text may hold whole payloads."""
    if fault is None:
        return ""
    lines = "".join(traceback.format_exception(fault)).splitlines()
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"  … {len(lines) - MOST_LINES} lines …", *lines[-half:]]
    return "".join(f"{line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + '…'}\n" for line in lines)


def _encode(content: dict[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
