"""Types and values that the tests of the codec share: one of each kind that an author may hand over."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel

T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(Enum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Approved:
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declined:
    """Of the same shape as Approved: only a tag tells them apart."""

    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    content: T


class Cat(BaseModel):
    name: str
    lives: int = 9


class Dog(BaseModel):
    name: str
    lives: int = 1
    friends: "list[Cat | Dog]" = []


@dataclass(frozen=True)
class Node:
    label: str
    below: "tuple[Node, ...]" = ()


@dataclass(frozen=True)
class Application:
    applicant: str
    days: int
    amount: Decimal
    received: date


@dataclass(frozen=True)
class Case:
    """Unions of classes in every place where one can stand."""

    decision: Approved | Declined
    history: list[Approved | Declined | None]
    boxed: Box[Approved | Declined]
    by_name: dict[str, Approved | Declined]
    moment: datetime
    tags: frozenset[str]
    groups: frozenset[frozenset[str]]
    pet: Cat | Dog
    when: date | str = "some day"
    level: Level = Level.LOW
    colours: set[Colour] = field(default_factory=set)


CASE = Case(
    decision=Declined(("too late",)),
    history=[Declined(), None, Approved()],
    boxed=Box(Declined()),
    by_name={"zoë": Declined(), "ann": Approved()},
    moment=datetime(2026, 3, 1, 9, 30, tzinfo=ZoneInfo("Europe/Amsterdam")),
    tags=frozenset({"urgent", "appeal", "zoning", "night"}),
    groups=frozenset({frozenset({"b", "a"}), frozenset({"c"})}),
    pet=Dog(name="Rex", friends=[Cat(name="Tom"), Dog(name="Max")]),
    when=date(2026, 4, 1),
    level=Level.HIGH,
    colours={Colour.RED, Colour.BLUE},
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
