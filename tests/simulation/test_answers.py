"""Answers made up from a type: everything finite is chosen, everything else has one value."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import pytest

from procession.language.codec import ValueCodec
from procession.simulation.answers import all_choices, answer_by, following


class Colour(Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


@dataclass(frozen=True)
class Paint:
    colour: Colour
    glossy: bool
    name: str


@dataclass(frozen=True)
class Refusal:
    reason: str


@dataclass(frozen=True)
class Order:
    paint: Paint | Refusal
    litres: int
    price: Decimal
    on: date
    urgent: Literal["yes", "no", "perhaps"]


@pytest.mark.parametrize(
    ("annotation", "count"),
    [
        (bool, 2),
        (Colour, 3),
        (str, 1),
        (int, 1),
        (Decimal, 1),
        (date, 1),
        (Paint, 6),
        (Paint | Refusal, 7),
        (Order, 21),
        (Colour | None, 4),
        (Literal["a", "b"], 2),
        (None, 1),
    ],
)
def test_as_many_answers_as_there_are_ways_to_choose(annotation: Any, count: int) -> None:
    """Each is a value of the type, and no two are the same."""
    codec: ValueCodec[Any] = ValueCodec(annotation)
    fields = codec.fields()
    answers = [answer_by(fields, following(choices)) for choices in all_choices(fields)]
    assert len(answers) == count
    assert len({codec.encode(codec.parse(json.dumps(answer).encode())) for answer in answers}) == count


def test_a_field_that_is_named_takes_the_value_given_for_it() -> None:
    fields = ValueCodec[Any](Order).fields()
    answer = answer_by(fields, lambda size: 0, named={"name": "sea", "litres": 5})
    assert isinstance(answer, dict)
    assert answer["paint"]["Paint"]["name"] == "sea"
    assert answer["litres"] == 5


def test_the_choices_of_an_answer_make_it_again() -> None:
    fields = ValueCodec[Any](Order).fields()
    made: list[int] = []

    def last(size: int) -> int:
        made.append(size - 1)
        return size - 1

    answer = answer_by(fields, last)
    assert answer_by(fields, following(tuple(made))) == answer
