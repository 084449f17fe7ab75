"""The business call stacks of an instance: by replay in the reading process, else what was recorded."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from procession.engine.differences import SUSPECTS, told_inputs
from procession.errors import ProcessionError
from procession.kernel import BranchStack, CallRequested, Divergence, HaltInstance, InstanceState
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.guarding import events_to_replay, replayed
from procession.services.places import Places
from procession.services.records import BranchShown, HaltShown, moment
from procession.store import EventRow, InstanceRow, View, open_readers
from procession.store.releases import decode_site


class ReplayFailed(Exception):
    """The instance cannot be replayed here; the text says why."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """The branches that wait, where they come from, and what is to be said about that."""

    branches: tuple[BranchShown, ...]
    source: str
    note: str = ""


def stacks_of(
    row: InstanceRow,
    history: list[EventRow],
    places: Places,
    view: View,
    load: Callable[[], Registry],
    *,
    with_variables: bool,
) -> Stacks:
    """What every branch of an open instance waits for. Read-only: nothing is written, and fences are up meanwhile."""
    if row.ended_us is not None:
        return Stacks((), "none")
    try:
        branches = _by_replay(row, places, view, load, with_variables=with_variables)
    except ReplayFailed as failed:
        recorded = _by_record(row, history, places, view)
        is_told = row.state == InstanceState.HALTED and not recorded  # its halt says why, and nothing follows
        return Stacks(recorded, "record", "" if is_told else str(failed))
    if row.state == InstanceState.HALTED:
        # Where it was before what came in last: a call that this ended is waited for by nobody.
        still_open = open_requests(history)
        branches = tuple(branch for branch in branches if branch.call in still_open)
    return Stacks(branches, "replay")


def _recorded_line(divergence: Divergence, places: Places, view: View) -> str:
    """The line that asked then, for a call that the source no longer asks for in the same way."""
    site = view.site(divergence.recorded.site) if isinstance(divergence.recorded, CallRequested) else None
    if site is None:
        return ""
    frames = places.branch_of_release(decode_site(site.frames), site.release).frames
    return f"Recorded: {frames[-1].module} line {frames[-1].line}: `{frames[-1].source.strip()}`." if frames else ""


def _by_replay(
    row: InstanceRow, places: Places, view: View, load: Callable[[], Registry], *, with_variables: bool
) -> tuple[BranchShown, ...]:
    try:
        registry = load()
        process = registry.find_process(row.process)
    except ProcessionError as error:
        raise ReplayFailed(f"The application does not load: {error}") from error
    if process is None or row.secret is None:
        raise ReplayFailed(f"The process {row.process} is not in the application any more.")
    try:
        events = events_to_replay(view, row, registry)
        with replayed(process.program(row.secret), row.secret, events, name=row.name) as (instance, _):
            stacks = [stack for stack in instance.branches() if stack.frames]
            operations = {call: open_call.operation for call, open_call in instance.open_calls.items()}
            return tuple(
                places.branch_now(stack, operations.get(stack.waits_for or 0), with_variables=with_variables)
                for stack in _worth_showing(stacks)
            )
    except Divergence as divergence:
        told = " ".join(
            filter(None, (divergence.message, _recorded_line(divergence, places, view), told_inputs(divergence)))
        )
        raise ReplayFailed(f"The present source does not fit its history: {told}") from divergence
    except HaltInstance as halt:
        raise ReplayFailed(f"The present source halts on its history: {halt.message}") from halt
    except ProcessionError as error:
        raise ReplayFailed(str(error)) from error


def _worth_showing(stacks: list[BranchStack]) -> list[BranchStack]:
    """Those that wait for a call. A branch that waits for other branches is in their stacks already, if there are any."""
    waiting = [stack for stack in stacks if stack.waits_for is not None]
    return waiting or stacks


def _by_record(row: InstanceRow, history: list[EventRow], places: Places, view: View) -> tuple[BranchShown, ...]:
    branches = []
    for call, header in open_requests(history).items():
        site = view.site(int(header.get("site") or 0))
        if site is not None:
            operation = str(header.get("operation", ""))
            found = places.branch_of_release(decode_site(site.frames), site.release, call=call, operation=operation)
            branches.append(found)
    return tuple(branches)


def open_requests(history: list[EventRow]) -> dict[int, Mapping[str, Any]]:
    """The headers of the requests of calls that have not ended, by call number."""
    found: dict[int, Mapping[str, Any]] = {}
    for event in history:
        if event.call is None:
            continue
        if event.kind == "CallRequested":
            found[event.call] = json.loads(event.header)
        elif event.kind != "CallStarted":
            found.pop(event.call, None)
    return found


def halt_of(row: InstanceRow, places: Places, waiting: int) -> HaltShown | None:
    """The record of a halt, with its call stacks and the way on."""
    if row.halt is None:
        return None
    record = json.loads(row.halt)
    release = int(record.get("release", row.release))
    branches = tuple(
        places.branch_of_release(
            decode_site(json.dumps(stack["frames"])), release, branch=stack["branch"], call=stack["waits_for"]
        )
        for stack in record.get("stack", [])
    )
    code = str(record.get("code", "bug"))
    return HaltShown(
        code=code,
        message=str(record.get("message", "")),
        at=moment(int(record.get("at_us", row.now_us))),
        remedy=remedy_for(code, row.name, branches, other_input="recorded_input" in record),
        branches=branches,
        traceback=str(record.get("traceback", "")),
        kept_waiting=waiting,
        recorded_input=record.get("recorded_input"),
        made_input=record.get("made_input"),
    )


def find_halt(application: Application, instance: str) -> HaltShown | None:
    """Why an instance of this name stands still, if it does. Read beside the engine that has just said so."""
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            row = view.instances.find_named(instance)
            return None if row is None else halt_of(row, Places(application.folder, view), 0)
    finally:
        readers.close()


def remedy_for(code: str, instance: str, branches: tuple[BranchShown, ...], *, other_input: bool = False) -> str:
    """What to do about a halt."""
    retry = f"then `procession retry {instance}`. Nothing is lost meanwhile."
    frames = branches[0].frames if branches else ()
    # A library's own lines are in no release: what is to be corrected is the line that called it.
    innermost = next((frame for frame in reversed(frames) if frame.source), frames[-1] if frames else None)
    place = f"{innermost.file}:{innermost.line}" if innermost is not None else "the process"
    match code:
        case "divergence" if other_input:
            return f"If the source changed, undo that change for this instance. If it did not, {SUSPECTS}. In both cases {retry}"
        case "divergence":
            return f"The source changed in a way that its history does not fit: undo that change for this instance, {retry}"
        case "history-limit":
            return f"Its history is at the limit; end it with `procession cancel {instance} --force`."
        case "process-gone":
            return f'Bring the process back, or give the one that took its place was=("…",), {retry}'
        case "stuck":
            return f"Correct what it waits for in {place}, {retry}"
        case _:
            return f"Correct {place}, {retry}"
