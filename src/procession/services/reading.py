"""Reading an application: lists, one instance, one work item. Past the engine, from the store; works while an engine runs."""

import json
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from uuid import UUID

from procession.errors import ProcessionError
from procession.kernel import InstanceState
from procession.language.fields import Field
from procession.language.messages import codec_of
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.call_stacks import halt_of, open_requests, stacks_of
from procession.services.desk import no_instance
from procession.services.families import parent_of, tree_of
from procession.services.foreseeing import Foreseen, foresee_withdrawal
from procession.services.former_roles import with_former_roles
from procession.services.forms import form_fields
from procession.services.groups import codec_of_group
from procession.services.holding import Holding
from procession.services.messages import get_message_class
from procession.services.naming import find_instance, get_process, names_of_operation, names_of_process
from procession.services.narrating import history_of, json_of
from procession.services.places import Places
from procession.services.records import (
    FormField,
    InstanceDetail,
    InstanceList,
    InstanceSummary,
    ItemDetail,
    ItemEntry,
    ItemSummary,
    MessageKept,
    MessageList,
    Worklist,
    maybe_moment,
    moment,
)
from procession.services.reloading import fault_on_disk
from procession.services.sources import NewerSource, find_newer_source
from procession.services.stored_source import find_stored
from procession.services.waits import waits_of
from procession.services.worklist import AnyTask, OperationIsGone, no_item
from procession.store import (
    EventRow,
    InstanceFilter,
    InstanceRow,
    View,
    WorkItemRow,
    find_holder,
    open_readers,
)
from procession.store.messages import MessageRow
from procession.work.worklist import check_is_open


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which instances to list."""

    process: str | None = None
    states: tuple[InstanceState, ...] = ()
    text: str | None = None
    since: datetime | None = None
    limit: int = 50
    children_of: str | None = None


class Reading:
    """One application, read. Close it, or use it in a `with`."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._readers = open_readers(application.store)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._readers.close()

    @cached_property
    def newer_source(self) -> NewerSource | None:
        """Where an engine runs that has not taken the source on disk: how that differs."""
        with self._snapshot() as view:
            return None if view is None else find_newer_source(self.application, view)

    @property
    def engine_note(self) -> str:
        """One line for people where an engine runs another source than is on disk."""
        return self.newer_source.told(self.application.zone) if self.newer_source is not None else ""

    @property
    def why_unknown(self) -> str:
        """Why the engine that runs may not know what is on disk: it has another source, and cannot take the one there."""
        if self.newer_source is None:
            return ""
        fault = fault_on_disk(self.application)
        return f"{self.engine_note} But what is on disk does not load: {fault}" if fault else self.engine_note

    @cached_property
    def _stored(self) -> Registry | None:
        if self.newer_source is None:
            return None
        with self._snapshot() as view:
            return None if view is None else find_stored(self.application, view, self.newer_source.release)

    @cached_property
    def registry(self) -> Registry:
        """What the packages declare, as the engine that runs has them. Raises `AuthorError` where they do not load."""
        return self._stored or self.application.load_registry()

    @property
    def _registry_if_it_loads(self) -> Registry | None:
        """The same; None while it does not load: what is open can be read all the same."""
        try:
            return self.registry
        except ProcessionError:
            return None

    def _holding(self, view: View) -> Holding:
        return Holding(self.application, view, self._registry_if_it_loads)

    def instances(self, wanted: Wanted) -> InstanceList:
        """Instances, newest first. Raises `NoSuchProcess`, and `NoSuchInstance` where there is none whose children are asked for."""
        processes, _ = self.names_of(wanted.process)
        since_us = None if wanted.since is None else int(wanted.since.timestamp() * 1_000_000)
        with self._snapshot() as view:
            parent = self._find(view, wanted.children_of) if wanted.children_of is not None else None
            if wanted.children_of is not None and parent is None:
                raise no_instance(wanted.children_of)
            chosen = InstanceFilter(
                processes,
                wanted.states,
                text=wanted.text,
                since_us=since_us,
                parent=None if parent is None else parent.id,
            )
            rows = [] if view is None else view.instances.list(chosen, limit=wanted.limit + 1)
            summaries = tuple(_summary(row, view) for row in rows[: wanted.limit])
            pauses = () if view is None else self._holding(view).pauses
        return InstanceList(summaries, len(rows) > wanted.limit, self.engine_note, pauses)

    def instance(self, reference: str, *, with_variables: bool = False, with_history: bool = False) -> InstanceDetail:
        """Everything about one instance. Raises `NoSuchInstance`."""
        with self._snapshot() as view:
            row = self._find(view, reference)
            if view is None or row is None:
                raise no_instance(reference)
            history = view.history(row.id)
            waits = view.waits(row.id)
            places = Places(self.application.folder, view)
            stacks = stacks_of(row, history, places, view, lambda: self.registry, with_variables=with_variables)
            attributes = view.instances.attributes(row.id)
            holding = self._holding(view)
            note = stacks.note
            if note and self.newer_source is not None and self._stored is None:
                note = f"What the engine runs cannot be replayed here, since it is not what is on disk. {note}"
            return InstanceDetail(
                instance=_summary(row, view),
                attributes={name: json.loads(value) for name, value in attributes.items() if value != "null"},
                input=_value_of(history, "InstanceStarted"),
                result=_value_of(history, "InstanceCompleted"),
                failure=_failure_of(history),
                halt=halt_of(row, places, len(waits.waiting_events)),
                waits=waits_of(view, row, history, self._registry_if_it_loads, holding),
                branches=stacks.branches,
                branches_from=stacks.source,
                note=note,
                items=tuple(_item(item, row, holding) for item in view.worklist.of_instance(row.id)),
                children=tree_of(view, row),
                history=history_of(history, view) if with_history else (),
                engine_note=self.engine_note,
                engine_runs=find_holder(self.application.store) is not None,
                suspension=holding.suspension_of(row),
            )

    def withdrawal(self, item: int, *, reason: str = "") -> Foreseen:
        """What the withdrawal of an item would do, without doing it. Raises `NoSuchItem`, `ItemEnded`."""
        with self._snapshot() as view:
            row = view.worklist.find(item) if view is not None else None
            if view is None or row is None:
                raise no_item(item)
            return foresee_withdrawal(view, self.registry, row, reason=reason)

    def _find(self, view: View | None, reference: str) -> InstanceRow | None:
        return find_instance(view, reference, lambda: self.registry) if view is not None else None

    def names_of(self, process: str | None, operation: str | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All names that the store may have a process and an operation under; none where none is asked for.

        Raises `NoSuchProcess`, `NoSuchOperation`.
        """
        if process is None and operation is None:
            return (), ()
        registry = self._registry_if_it_loads
        with self._snapshot() as view:
            return (
                () if process is None else names_of_process(process, registry, view),
                () if operation is None else names_of_operation(operation, registry, view),
            )

    def _with_former_names(self, roles: Collection[str]) -> Collection[str]:
        registry = self._registry_if_it_loads
        return roles if registry is None else with_former_roles(roles, registry)

    def worklist(self, performer: str | None, *, limit: int = 50) -> Worklist:
        """The items of one person, held and offered; of everybody without a name. Raises `UnknownPerformer`."""
        organisation = self.application.load_organisation()
        people = organisation.people if performer is None else {performer: organisation.get_performer(performer)}
        with self._snapshot() as view:
            if view is None:
                return Worklist(performer, (), False)
            if performer is None:
                rows = view.worklist.open(limit=limit + 1)
            else:
                roles = self._with_former_names({role for person in people.values() for role in person.roles})
                held = view.worklist.held(performer, limit=limit + 1)
                rows = [*held, *view.worklist.offered(roles, limit=limit + 1)]
            return Worklist(performer, tuple(_items(view, rows[:limit], self._holding(view))), len(rows) > limit)

    def item(self, item: int) -> ItemDetail:
        """Everything about one work item. Raises `NoSuchItem`."""
        with self._snapshot() as view:
            found = view.worklist.find_with_input(item) if view is not None else None
            if view is None or found is None:
                raise no_item(item)
            shown = _item(found.item, view.instances.find(found.item.instance), self._holding(view))
            events = tuple(
                ItemEntry(moment(event.at_us), event.kind, event.actor, event.reason)
                for event in view.worklist.events(item)
            )
        try:
            task = self.task(found.item.operation)
        except ProcessionError as error:
            instructions, note = "", str(error)
            form: tuple[FormField, ...] = ()
        else:
            instructions, note = task.instructions, ""
            form = form_fields(task.form.fields())
        return ItemDetail(
            item=shown,
            process=found.process,
            business_key=found.business_key,
            instructions=instructions,
            inputs=json_of(found.input),
            form=form,
            draft=json_of(found.item.draft),
            events=events,
            note=note,
        )

    def task(self, operation: str) -> AnyTask:
        """The task of that id. Raises `OperationIsGone`, or what the packages get wrong."""
        task = self.registry.find_task(operation)
        if task is None:
            raise OperationIsGone(
                f"The operation {operation!r} is not in the application any more.",
                subject=operation,
                remedy='Bring it back, or name its old name with was=("…",) on the operation that took its place.',
            )
        return task

    def form_of(self, item: int) -> tuple[Field, ...]:
        """What to hand in for an open item. Raises `NoSuchItem`, `ItemEnded`, `OperationIsGone`."""
        with self._snapshot() as view:
            row = view.worklist.find(item) if view is not None else None
        if row is None:
            raise no_item(item)
        check_is_open(row)
        return self.task(row.operation).form.fields()

    def inputs_of(self, process: str) -> tuple[Field, ...]:
        """What to ask to start a process. Raises `NoSuchProcess`."""
        return get_process(self.registry, process).inputs.fields()

    def fields_of_message(self, name: str) -> tuple[Field, ...]:
        """What a message of this class consists of. Raises `NoSuchMessage`."""
        return codec_of(get_message_class(self.registry, name)).fields()

    def fields_of_group(self, reference: str, group: str) -> tuple[Field, ...]:
        """What an item of a named group consists of. Raises `NoSuchInstance`, `NoSuchGroup`."""
        with self._snapshot() as view:
            row = self._find(view, reference)
            if view is None or row is None:
                raise no_instance(reference)
            return codec_of_group(view, self.registry, row, group).fields()

    def kept_messages(self, *, limit: int = 200) -> MessageList:
        """The messages that nobody has taken yet, and that have not expired."""
        with self._snapshot() as view:
            rows = [] if view is None else view.kept_messages(time.time_ns() // 1000, limit=limit + 1)
        return MessageList(tuple(_message(row) for row in rows[:limit]), len(rows) > limit)

    def result_of_call(self, reference: str, call: int) -> tuple[Field, ...]:
        """What a call's result consists of, to complete it by hand; nothing where that is not known."""
        with self._snapshot() as view:
            row = self._find(view, reference)
            if view is None or row is None:
                raise no_instance(reference)
            operation = open_requests(view.history(row.id)).get(call, {}).get("operation")
        found = self.registry.find_operation(str(operation))
        return () if found is None else found.result.fields()

    def service_waits(self, reference: str) -> tuple[int, int]:
        """How many service calls and timers of an instance wait for an engine."""
        with self._snapshot() as view:
            row = self._find(view, reference)
            if view is None or row is None:
                return 0, 0
            waits = view.waits(row.id)
            return sum(call.state != "attention" for call in waits.service_calls), len(waits.timers)

    @contextmanager
    def _snapshot(self) -> Iterator[View | None]:
        """What is committed now; None while the application has not run yet."""
        if not self.application.store.exists():
            yield None
            return
        with self._readers.snapshot() as view:
            yield view


def _summary(row: InstanceRow, view: View | None) -> InstanceSummary:
    return InstanceSummary(
        instance=row.name,
        uuid=str(UUID(bytes=row.uuid)),
        process=row.process,
        title=row.title,
        business_key=row.business_key,
        state=row.state,
        initiator=row.initiator,
        started=moment(row.started_us),
        ended=maybe_moment(row.ended_us),
        parent=None if view is None else parent_of(view, row),
    )


def _items(view: View, rows: Iterable[WorkItemRow], holding: Holding) -> Iterator[ItemSummary]:
    known: dict[int, InstanceRow | None] = {}
    for row in rows:
        if row.instance not in known:
            instance = view.instances.find(row.instance)
            known[row.instance] = instance
        yield _item(row, known[row.instance], holding)


def _message(row: MessageRow) -> MessageKept:
    return MessageKept(
        message=str(UUID(bytes=row.uuid)),
        type=row.type,
        key=row.key,
        sent_by=row.sent_by,
        published=moment(row.published_us),
        expires=moment(row.expires_us),
        content=json_of(row.payload),
    )


def _item(row: WorkItemRow, instance: InstanceRow | None, holding: Holding) -> ItemSummary:
    is_suspended = instance is not None and instance.suspended is not None and row.ended_us is None
    pause = holding.pause_at(row.operation) if row.ended_us is None else None
    due = maybe_moment(row.due_us)
    ended = maybe_moment(row.ended_us)
    return ItemSummary(
        item=row.id,
        uuid=str(UUID(bytes=row.uuid)),
        instance="" if instance is None else instance.name,
        instance_title="" if instance is None else instance.title,
        call=row.call,
        operation=row.operation,
        function=row.function,
        title=row.title,
        role=row.role,
        state="suspended" if is_suspended else row.state if pause is None else "paused",
        holder=row.holder,
        version=row.version,
        requested=moment(row.requested_us),
        due=due,
        is_overdue=due is not None and due < (ended or datetime.now(UTC)),
        started=maybe_moment(row.started_us),
        ended=ended,
        performer=row.performer,
        pause=pause,
    )


def _value_of(history: list[EventRow], kind: str) -> object:
    return next((json_of(event.payload) for event in history if event.kind == kind), None)


def _failure_of(history: list[EventRow]) -> str | None:
    for event in reversed(history):
        if event.kind in ("InstanceFailed", "FailureRecorded"):
            message = "" if event.payload is None else str(json.loads(event.payload.partition(b"\n")[0]))
            kind = str(json.loads(event.header)["type"])
            return f"{kind}: {message}" if message else kind
    return None
