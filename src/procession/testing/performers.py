"""The people of a test: who they are, what they see, and what they do."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar

from procession.errors import InternalError, PerformerError
from procession.language.operations import F, Operation, Personal, Service, Task
from procession.language.process import Process
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    Command,
    CompleteItem,
    Order,
    PutBackItem,
    RetryCall,
    RetryInstance,
    StartInstance,
    StartItem,
)
from procession.services.worklist import NoSuchItem
from procession.store import WorkItemRow
from procession.testing.machine import Machine
from procession.testing.running import Running
from procession.testing.telling import Telling

P = ParamSpec("P")
R = TypeVar("R")

ByPeople = Personal[..., Any, F] | Service[..., F]
"""What people may do: a task, or a service that the test has bound to people. `F` is what they hand in."""

MOST_SEEN = 1_000


class NotOneItem(PerformerError):
    """In a test somebody was to do an operation of which they see no work item, or more than one."""

    code = "not-one-item"


class Performing:
    """One person's access to the work: what they see, and how they give a command. `after` is called after each."""

    def __init__(self, machine: Machine, telling: Telling, name: str, after: Callable[[], None]) -> None:
        self.machine = machine
        self.telling = telling
        self.name = name
        self._after = after
        self._answers: list[tuple[Task[..., Any, Any], Callable[..., Any]]] = []

    def give(self, command: Command, reason: str | None = None) -> Mapping[str, Any]:
        """Give a command as this person, and have the engine run until it rests."""
        answer = self.machine.run(self.machine.office.perform(Order(command, self.name, reason)))
        self._after()
        return answer

    def rows(self, task: ByPeople[Any] | None = None) -> list[WorkItemRow]:
        """What the person has, then what they are offered."""
        roles = self.machine.office.get_performer(self.name).roles
        with self.machine.view() as view:
            held = view.worklist.held(self.name, limit=MOST_SEEN)
            found = [*held, *view.worklist.offered(roles, limit=MOST_SEEN)]
        return [row for row in found if task is None or self.is_named(row.operation, task)]

    def elsewhere(self, task: ByPeople[Any]) -> list[WorkItemRow]:
        """The open items of a task, whoever sees them."""
        with self.machine.view() as view:
            return [row for row in view.worklist.open(limit=MOST_SEEN) if self.is_named(row.operation, task)]

    def told(self, rows: Iterable[WorkItemRow]) -> str:
        """These items, each in a line."""
        return "".join(f"\n  {self.telling.item(row, self.instance_of(row))}" for row in rows)

    def instance_of(self, row: WorkItemRow) -> str:
        """The name of the instance that an item is of."""
        with self.machine.view() as view:
            found = view.instances.find(row.instance)
        assert found is not None
        return found.name

    def answer(self, task: Task[..., Any, Any], given: Callable[..., Any]) -> None:
        """From now on complete each item of a task with what this makes of its inputs."""
        self.machine.learn(task)
        self._answers.append((task, given))
        self.machine.run(_nothing())
        self._after()

    async def answer_one(self) -> bool:
        """Complete one of the items that the person was told how to answer; whether there was one."""
        for task, given in self._answers:
            for row in self.rows(task)[:1]:
                answer = given(**self.inputs(task, row.id))
                await self.machine.office.perform(Order(CompleteItem(row.id, self.answer_of(task, answer)), self.name))
                return True
        return False

    def inputs(self, task: ByPeople[Any], item: int) -> Mapping[str, Any]:
        """The inputs of an item, by parameter."""
        with self.machine.view() as view:
            found = view.worklist.find_with_input(item)
        if found is None or found.input is None:
            raise InternalError(f"The input of work item {item} is not in the store.")
        return task.inputs.decode(found.input)

    def answer_of(self, task: ByPeople[Any], answer: object) -> str:
        """An answer as it is handed in, to the task as people do it here."""
        performed = self.machine.registry.find_task(task.id)
        if performed is None:
            raise NoSuchItem(f"{task.id} is not done by people.", subject=task.id)
        return performed.form.encode(answer).decode()

    def is_named(self, name: str, operation: Operation[..., Any]) -> bool:
        """Whether this is the name of an operation, or was."""
        return self.machine.registry.former_names.get(name, name) == operation.id


class Item(Generic[F]):
    """A work item, in the hands of the person who found it."""

    def __init__(self, performing: Performing, task: ByPeople[F], number: int) -> None:
        self._performing = performing
        self._task = task
        self.number = number

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the performer sees, by parameter."""
        return self._performing.inputs(self._task, self.number)

    @property
    def due(self) -> datetime | None:
        """When it should be done."""
        due_us = self._row().due_us
        return None if due_us is None else self._performing.telling.local(due_us)

    @property
    def state(self) -> str:
        """How it stands: "offered", "allocated", "started", "completed" …"""
        return self._row().state

    @property
    def holder(self) -> str | None:
        """Who has it."""
        return self._row().holder

    def start(self) -> "Item[F]":
        """Begin to work on it."""
        self._performing.give(StartItem(self.number))
        return self

    def complete(self, answer: F) -> None:
        """Hand in the answer. Raises `InvalidValue`, or the refusal that a performer would get."""
        self._performing.give(CompleteItem(self.number, self._performing.answer_of(self._task, answer)))

    def put_back(self) -> None:
        """Give it back to those it was offered to."""
        self._performing.give(PutBackItem(self.number))

    def __repr__(self) -> str:
        return f"<item {self.number}: {self._task.title}, {self.state}>"

    def _row(self) -> WorkItemRow:
        with self._performing.machine.view() as view:
            row = view.worklist.find(self.number)
        assert row is not None
        return row


class Actor:
    """A person of the test. Make them with `world.person`."""

    def __init__(self, performing: Performing) -> None:
        self._performing = performing
        self.person = performing.name
        """The name, as processes know the person."""

    def start(self, process: Process[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Running[R]:
        """Start a process. With a business key that an open instance has, the same inputs give that instance."""
        machine = self._performing.machine
        machine.learn(process)
        inputs = process.inputs.encode(args, kwargs).decode()
        answer = self._performing.give(StartInstance(process.name, inputs))
        return Running(machine, self._performing.telling, process, str(answer["instance"]))

    def sees(self, task: ByPeople[Any] | None = None) -> bool:
        """Whether the person has or is offered an item (of that task)."""
        return bool(self._performing.rows(task))

    def item(self, task: ByPeople[F], *, of: Running[Any] | None = None) -> Item[F]:
        """The one item of a task that the person has or is offered. Raises `NotOneItem`, which lists what there is."""
        items = self.items(task, of=of)
        if len(items) != 1:
            raise self._not_one(task, [item.number for item in items])
        return items[0]

    def items(self, task: ByPeople[F], *, of: Running[Any] | None = None) -> list[Item[F]]:
        """All of them: first what the person has, then what they are offered, the longest waiting first."""
        performing = self._performing
        performing.machine.learn(task)
        rows = [row for row in performing.rows(task) if of is None or performing.instance_of(row) == of.name]
        return [Item(performing, task, row.id) for row in rows]

    def claim(self, task: ByPeople[F], *, of: Running[Any] | None = None) -> Item[F]:
        """Take the one item of a task, so that nobody else does."""
        item = self.item(task, of=of)
        self._performing.give(ClaimItem(item.number))
        return item

    def complete(self, task: ByPeople[F], answer: F, *, of: Running[Any] | None = None) -> None:
        """Hand in the answer to the one item of a task; with `of`, to that of this instance."""
        self.item(task, of=of).complete(answer)

    def put_back(self, task: ByPeople[Any], *, of: Running[Any] | None = None) -> None:
        """Give the one item of a task back."""
        self.item(task, of=of).put_back()

    def answers(self, task: Task[P, Any, F], answer: F | Callable[P, F]) -> "Actor":
        """From now on complete each item of a task at once: with this answer, or what a function makes of the inputs."""
        given: Callable[..., Any] = answer if callable(answer) else lambda **_: answer
        self._performing.answer(task, given)
        return self

    def cancel(self, instance: Running[Any], *, reason: str = "") -> None:
        """Have an instance cancelled, as `procession cancel` does."""
        self._performing.give(CancelInstance(instance.name), reason or None)

    def retry(self, instance: Running[Any], operation: Operation[..., Any] | None = None) -> None:
        """Give a service that is out of attempts another round, or without one a halted instance, as `procession retry` does."""
        if operation is None:
            self._performing.give(RetryInstance(instance.name))
            return
        with self._performing.machine.view() as view:
            row = view.instances.find_named(instance.name)
            calls = () if row is None else view.waits(row.id).service_calls
        for call in calls:
            if call.state == "attention" and self._performing.is_named(call.operation, operation):
                self._performing.give(RetryCall(instance.name, call.call))

    def __repr__(self) -> str:
        return f"<person {self.person}>"

    def _not_one(self, task: ByPeople[Any], numbers: list[int]) -> NotOneItem:
        performing = self._performing
        there = performing.elsewhere(task)
        if numbers:
            listed = performing.told(row for row in there if row.id in numbers)
            return NotOneItem(
                f"{self.person} sees {len(numbers)} items of {task.id}:{listed}\n",
                subject=task.id,
                remedy=f"Say which: of=…, the instance; or go through {self.person}.items({task.name}).",
            )
        open_ones = f"There is:{performing.told(there)}" if there else "Nobody has one."
        stands = "" if there else f"\n{performing.telling.open_instances()}"
        return NotOneItem(f"{self.person} sees no item of {task.id}. {open_ones}{stands}", subject=task.id)


async def _nothing() -> None:
    """What follows it is done."""
