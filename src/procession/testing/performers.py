"""The people of a test: who they are, what they see, and what they do."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar

from procession.errors import InternalError, PerformerError
from procession.language.operations import F, Personal, Task
from procession.language.process import Process
from procession.services.commands import ClaimItem, Command, CompleteItem, Order, PutBackItem, StartInstance, StartItem
from procession.services.records import maybe_moment
from procession.services.worklist import NoSuchItem
from procession.store import WorkItemRow
from procession.testing.machine import Machine
from procession.testing.running import Running
from procession.testing.telling import Telling

P = ParamSpec("P")
R = TypeVar("R")

MOST_SEEN = 1_000


class NotOneItem(PerformerError):
    """In a test somebody was to do an operation of which they see no work item, or more than one."""

    code = "not-one-item"


class Item(Generic[F]):
    """A work item, in the hands of the person who found it."""

    def __init__(self, actor: "Actor", task: Personal[..., Any, F], number: int) -> None:
        self._actor = actor
        self._task = task
        self.number = number

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the performer sees, by parameter."""
        with self._actor.machine.view() as view:
            found = view.worklist.find_with_input(self.number)
        if found is None or found.input is None:
            raise InternalError(f"The input of work item {self.number} is not in the store.")
        return self._task.inputs.decode(found.input)

    @property
    def due(self) -> datetime | None:
        """When it should be done."""
        due = maybe_moment(self._row().due_us)
        return None if due is None else due.astimezone(self._actor.telling.now().tzinfo)

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
        return self._give(StartItem(self.number))

    def complete(self, answer: F) -> None:
        """Hand in the answer. Raises `InvalidValue`, or the refusal that a performer would get."""
        self._give(CompleteItem(self.number, _answer_of(self._task, answer)))

    def put_back(self) -> None:
        """Give it back to those it was offered to."""
        self._give(PutBackItem(self.number))

    def __repr__(self) -> str:
        return f"<item {self.number}: {self._task.title}, {self.state}>"

    def _give(self, command: Command) -> "Item[F]":
        self._actor.give(command)
        return self

    def _row(self) -> WorkItemRow:
        with self._actor.machine.view() as view:
            row = view.worklist.find(self.number)
        assert row is not None
        return row


class Actor:
    """A person of the test. Make them with `world.person`."""

    def __init__(self, machine: Machine, telling: Telling, name: str, after: Callable[[], None]) -> None:
        self.machine = machine
        self.telling = telling
        self.person = name
        """The name, as processes know the person."""
        self._after = after
        self._answers: list[tuple[Task[..., Any, Any], Callable[..., Any]]] = []

    def start(self, process: Process[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Running[R]:
        """Start a process. With a business key that an open instance has, the same inputs give that instance."""
        self.machine.learn(process)
        inputs = process.inputs.encode(args, kwargs).decode()
        answer = self.give(StartInstance(process.name, inputs))
        return Running(self.machine, self.telling, process, str(answer["instance"]))

    def sees(self, task: Personal[..., Any, Any] | None = None) -> bool:
        """Whether the person has or is offered an item (of that task)."""
        return bool(self.rows(task))

    def item(self, task: Personal[..., Any, F], *, of: Running[Any] | None = None) -> Item[F]:
        """The one item of a task that the person has or is offered. Raises `NotOneItem`, which lists what there is."""
        self.machine.learn(task)
        rows = [row for row in self.rows(task) if of is None or self._instance(row) == of.name]
        if len(rows) != 1:
            raise self._not_one(task, rows)
        return Item(self, task, rows[0].id)

    def items(self, task: Personal[..., Any, F]) -> list[Item[F]]:
        """All of them, the longest waiting first."""
        self.machine.learn(task)
        return [Item(self, task, row.id) for row in self.rows(task)]

    def claim(self, task: Personal[..., Any, F], *, of: Running[Any] | None = None) -> Item[F]:
        """Take the one item of a task, so that nobody else does."""
        item = self.item(task, of=of)
        self.give(ClaimItem(item.number))
        return item

    def complete(self, task: Personal[..., Any, F], answer: F, *, of: Running[Any] | None = None) -> None:
        """Hand in the answer to the one item of a task; with `of`, to that of this instance."""
        self.item(task, of=of).complete(answer)

    def put_back(self, task: Personal[..., Any, Any], *, of: Running[Any] | None = None) -> None:
        """Give the one item of a task back."""
        self.item(task, of=of).put_back()

    def answers(self, task: Task[P, Any, F], answer: F | Callable[P, F]) -> "Actor":
        """From now on complete each item of a task at once: with this answer, or what a function makes of the inputs."""
        self.machine.learn(task)
        given: Callable[..., Any] = answer if callable(answer) else lambda **_: answer
        self._answers.append((task, given))
        self._after()
        return self

    def give(self, command: Command) -> Mapping[str, Any]:
        """Give a command as this person, and have the engine run until it rests."""
        answer = self.machine.run(self.machine.office.perform(Order(command, self.person)))
        self._after()
        return answer

    async def answer_one(self) -> bool:
        """Complete one of the items that the person was told how to answer; whether there was one."""
        for task, given in self._answers:
            for row in self.rows(task)[:1]:
                inputs = Item(self, task, row.id).inputs
                order = Order(CompleteItem(row.id, _answer_of(task, given(**inputs))), self.person)
                await self.machine.office.perform(order)
                return True
        return False

    def rows(self, task: Personal[..., Any, Any] | None = None) -> list[WorkItemRow]:
        """What the person has, then what they are offered."""
        roles = self.machine.office.get_performer(self.person).roles
        with self.machine.view() as view:
            held = view.worklist.held(self.person, limit=MOST_SEEN)
            found = [*held, *view.worklist.offered(roles, limit=MOST_SEEN)]
        former = self.machine.registry.former_names
        return [row for row in found if task is None or former.get(row.operation, row.operation) == task.id]

    def __repr__(self) -> str:
        return f"<person {self.person}>"

    def _instance(self, row: WorkItemRow) -> str:
        with self.machine.view() as view:
            found = view.instances.find(row.instance)
        assert found is not None
        return found.name

    def _not_one(self, task: Personal[..., Any, Any], rows: list[WorkItemRow]) -> NotOneItem:
        if rows:
            listed = "\n".join(f"  {self.telling.item(row, self._instance(row))}" for row in rows)
            return NotOneItem(
                f"{self.person} sees {len(rows)} items of {task.id}:\n{listed}\n",
                subject=task.id,
                remedy=f"Say which: of=…, the instance; or go through {self.person}.items({task.name}).",
            )
        others = [f"  {line}" for line in self._elsewhere(task)]
        there_is = "\n".join(["There is:", *others]) if others else f"Nobody has one.\n{self.telling.open_instances()}"
        return NotOneItem(f"{self.person} sees no item of {task.id}. {there_is}", subject=task.id)

    def _elsewhere(self, task: Personal[..., Any, Any]) -> Iterator[str]:
        with self.machine.view() as view:
            rows = view.worklist.open(limit=MOST_SEEN)
        for row in rows:
            if row.operation == task.id:
                yield self.telling.item(row, self._instance(row))


def _answer_of(task: Personal[..., Any, Any], answer: object) -> str:
    if not isinstance(task, Task):
        raise NoSuchItem(f"{task.id} is not done by people.", subject=task.id)
    return task.form.encode(answer).decode()
