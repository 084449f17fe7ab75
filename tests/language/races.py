"""Races as trees, and an oracle that knows nothing of asyncio: what ends when, what is open, what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from procession.control import n_of
from procession.errors import Withdrawn
from procession.language.combinators import Rest
from tests.kernel.drive import Declined, op


@dataclass(frozen=True)
class Call:
    """One call, and its name."""

    name: str


@dataclass(frozen=True)
class Chain:
    """One after the other; the value is that of the last."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True)
class Careful:
    """A part, and a call that cleans up after it however it ends."""

    part: Plan
    name: str


@dataclass(frozen=True)
class Race:
    """The first `k` of several."""

    k: int
    rest: Rest
    parts: tuple[Plan, ...]


Plan = Call | Chain | Careful | Race


async def perform(plan: Plan) -> Any:
    """The plan as a program."""
    match plan:
        case Call(name):
            return await op(name, name)
        case Chain(parts):
            value = None
            for part in parts:
                value = await perform(part)
            return value
        case Careful(part, name):
            try:
                return await perform(part)
            finally:
                await op(name)
        case Race(k, rest, parts):
            return await n_of(k, [perform(part) for part in parts], rest=rest)


def told(error: BaseException) -> list[str]:
    """The errors in it, in order."""
    if isinstance(error, BaseExceptionGroup):
        return [each for inner in error.exceptions for each in told(inner)]
    return [error.message if isinstance(error, Withdrawn) else str(error)]


CATCHABLE = (Declined, Withdrawn, ExceptionGroup)

# The oracle. An outcome is a value, a list of errors, or nothing: it was withdrawn.

Outcome = tuple[str, Any]
WITHDRAWN: Outcome = ("withdrawn", None)
Then = Callable[[Outcome], None]


class Model:
    """What should be open, and what should have come out."""

    def __init__(self, plan: Plan) -> None:
        self.open: dict[str, Leaf] = {}
        self.outcome: Outcome | None = None
        part_of(plan, self).begin(self._ended)

    def end(self, name: str, outcome: Outcome) -> None:
        self.open[name].end(outcome)

    def _ended(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Leaf:
    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self.model = model

    def begin(self, then: Then) -> None:
        self.then = then
        self.model.open[self.name] = self

    def end(self, outcome: Outcome) -> None:
        del self.model.open[self.name]
        self.then(outcome)

    def withdraw(self) -> None:
        if self.name in self.model.open:
            self.end(WITHDRAWN)


class ChainModel:
    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    def begin(self, then: Then) -> None:
        self.then = then
        self.at = 0
        self.parts[0].begin(self._ended)

    def _ended(self, outcome: Outcome) -> None:
        self.at += 1
        if outcome[0] == "value" and self.at < len(self.parts):
            self.parts[self.at].begin(self._ended)
        else:
            self.at -= 1
            self.then(outcome)

    def withdraw(self) -> None:
        self.parts[self.at].withdraw()


class CarefulModel:
    def __init__(self, part: Part, clean_up: Leaf) -> None:
        self.part = part
        self.clean_up = clean_up
        self.outcome: Outcome | None = None

    def begin(self, then: Then) -> None:
        self.then = then
        self.part.begin(self._ended)

    def _ended(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.clean_up.begin(self._cleaned)

    def _cleaned(self, outcome: Outcome) -> None:
        assert self.outcome is not None
        self.then(self.outcome if outcome[0] == "value" else outcome)

    def withdraw(self) -> None:
        (self.part if self.outcome is None else self.clean_up).withdraw()


class RaceModel:
    def __init__(self, k: int, rest: str, parts: list[Part]) -> None:
        self.k = k
        self.rest = rest
        self.parts = parts
        self.values: list[list[Any]] = []
        self.errors: list[str] = []
        self.ended: set[int] = set()
        self.withdrawn: set[int] = set()
        self.verdict: Outcome | None = None
        self.is_over = False

    def begin(self, then: Then) -> None:
        self.then = then
        for number, part in enumerate(self.parts):
            part.begin(lambda outcome, number=number: self._ended(number, outcome))  # type: ignore[misc]

    def _ended(self, number: int, outcome: Outcome) -> None:
        self.ended.add(number)
        if self.verdict is None:
            if outcome[0] == "value":
                self.values.append([number, outcome[1]])
            else:
                self.errors.extend(outcome[1])
            failed = len(self.ended) - len(self.values)
            if len(self.values) == self.k:
                self.verdict = ("value", self.values)
            elif failed > len(self.parts) - self.k:
                self.verdict = ("error", self.errors)
            if self.verdict is not None and (self.rest == "withdraw" or self.verdict[0] == "error"):
                self._withdraw_rest()
        self._finish()

    def _withdraw_rest(self) -> None:
        for number, part in enumerate(self.parts):
            if number not in self.ended and number not in self.withdrawn:
                self.withdrawn.add(number)
                part.withdraw()

    def _finish(self) -> None:
        if self.is_over or self.verdict is None:
            return
        goes_on = self.rest == "continue" and self.verdict[0] == "value"
        if goes_on or len(self.ended) == len(self.parts):
            self.is_over = True
            self.then(self.verdict)

    def withdraw(self) -> None:
        self.verdict = WITHDRAWN
        self._withdraw_rest()
        self._finish()


Part = Leaf | ChainModel | CarefulModel | RaceModel


def part_of(plan: Plan, model: Model) -> Part:
    match plan:
        case Call(name):
            return Leaf(name, model)
        case Chain(parts):
            return ChainModel([part_of(part, model) for part in parts])
        case Careful(part, name):
            return CarefulModel(part_of(part, model), Leaf(name, model))
        case Race(k, rest, parts):
            return RaceModel(k, rest, [part_of(part, model) for part in parts])
