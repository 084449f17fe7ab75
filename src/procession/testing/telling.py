"""Where every instance of a test stands, in words: its business call stack, whom it waits for, since when, due when."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from procession.language.operations import Service
from procession.language.registry import Registry
from procession.services.call_stacks import halt_of, open_requests, stacks_of
from procession.services.places import Places, shortened_frames
from procession.services.records import BranchShown, moment
from procession.store import InstanceFilter, InstanceRow, ServiceCallRow, View, WorkItemRow
from procession.store.external_calls import ExternalCallRow
from procession.testing.machine import Machine

MOST_TOLD = 20


class Telling:
    """Reads the world of a test and says how things stand. `zone` is the one in which times are told."""

    def __init__(self, machine: Machine, zone: tzinfo) -> None:
        self._machine = machine
        self._zone = zone

    def open_instances(self) -> str:
        """Every instance that has not ended, the oldest first."""
        with self._machine.view() as view:
            rows = view.instances.list(InstanceFilter(), limit=1_000)
            still = [row for row in reversed(rows) if row.ended_us is None]
            told = [self._instance(view, row) for row in still[:MOST_TOLD]]
        if len(still) > MOST_TOLD:
            told.append(f"… and {len(still) - MOST_TOLD} more")
        return "\n".join(told) or "No instance is open."

    def instance(self, name: str) -> str:
        """One of them."""
        with self._machine.view() as view:
            row = view.instances.find_named(name)
            return f"There is no instance {name}." if row is None else self._instance(view, row)

    def item(self, row: WorkItemRow, instance: str) -> str:
        """A work item, in a line."""
        who = f"{row.state} by {row.holder}" if row.holder else f"{row.state} to {row.role}"
        due = f", due {self.time(row.due_us)}" if row.due_us is not None else ""
        return f"{row.title} (item {row.id}) of {instance}: {who}{due}"

    def time(self, at_us: int) -> str:
        """A moment as people say it: with the day of the week."""
        return f"{self.local(at_us):%A %Y-%m-%d %H:%M}"

    def local(self, at_us: int) -> datetime:
        """A moment in the zone of the world."""
        return moment(at_us).astimezone(self._zone)

    def what_happened(self, most: int = 15) -> str:
        """The last things that the engine has done."""
        notices = self._machine.notices[-most:]
        return "\n".join(f"{self.time(each.at_us)}  {each.instance} {each.text}" for each in notices)

    def now(self) -> datetime:
        """What the time is in the world."""
        return moment(self._machine.clock.wall_us()).astimezone(self._zone)

    def _instance(self, view: View, row: InstanceRow) -> str:
        registry = self._machine.registry
        history = view.history(row.id)
        waits = view.waits(row.id)
        places = Places(Path.cwd(), view)
        lines = [f"{row.name}  {row.title}  {row.state}"]
        halt = halt_of(row, places, len(waits.waiting_events))
        if halt is not None:
            lines += [*_frames(halt.branches[0])] if halt.branches else []
            return "\n".join([*lines, f"  {halt.message}", f"  {halt.traceback}".rstrip()])
        stacks = stacks_of(row, history, places, view, lambda: registry, with_variables=False)
        said = {each.call: f"waits for {self.item_wait(each)}" for each in waits.items}
        said |= {each.call: f"waits for {self._service(registry, each)}" for each in waits.service_calls}
        said |= {each.call: f"waits for the time {self.time(each.due_us)}" for each in waits.timers}
        said |= {each.call: f"waits for {_outside(each)}" for each in waits.external_calls}
        asked = open_requests(history)
        said = {call: f"waits for {_asked(header)}" for call, header in asked.items()} | said
        said |= {
            each.call: f"{self._service(registry, each)}: withdrawn, but an attempt runs" for each in waits.late_calls
        }
        for branch in stacks.branches:
            lines += _frames(branch)
            if branch.call is not None:
                lines.append("  " + said.pop(branch.call, f"waits for call {branch.call}"))
        return "\n".join([*lines, *(f"  also open: {each}" for each in said.values())])

    def item_wait(self, row: WorkItemRow) -> str:
        """Whom an item waits for."""
        who = f"{row.holder}, who has {row.state} it," if row.holder else f"the role {row.role}"
        due = f", due {self.time(row.due_us)}" if row.due_us is not None else ""
        return f"{who} to do {row.title} (item {row.id}), since {self.time(row.requested_us)}{due}"

    def _service(self, registry: Registry, row: ServiceCallRow) -> str:
        service = registry.find_operation(row.operation)
        of = f" of {service.attempts}" if isinstance(service, Service) else ""
        error = f"; the last error: {_error(row.last_error)}" if row.last_error else ""
        attention = "; it needs attention" if row.state == "attention" else ""
        return f"the service {row.operation}, {row.attempts}{of} attempts made{attention}{error}"


def _outside(row: ExternalCallRow) -> str:
    error = f"; the last error: {_error(row.last_error)}" if row.last_error else ""
    return f"an outside program to do {row.operation}, handed out {row.attempts} of {row.most_attempts} times{error}"


def _error(recorded: str) -> str:
    import json

    error = json.loads(recorded)
    return f"{error['type']}: {error['message']}"


def _asked(header: Mapping[str, Any]) -> str:
    return f"the {header.get('call_kind', 'call')} {header.get('operation', '')}".strip()


def _frames(branch: BranchShown) -> list[str]:
    lines = []
    for frame in shortened_frames(branch.frames):
        if isinstance(frame, str):
            lines.append(f"  {frame}")
            continue
        lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
        if frame.source.strip():
            lines.append(f"    {frame.source.strip()}")
    return lines
