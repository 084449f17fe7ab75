"""Values from a command line: what is told to whoever must fill them in works, and what is wrong is said in their words."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from procession.cli.inputs import assign
from procession.errors import InvalidValue
from procession.language.codec import ValueCodec
from procession.language.fields import Field, FieldKind
from procession.language.filling_in import assignments, example, example_of, given_as, parsed


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Line:
    article: str
    number: int = 1


@dataclass(frozen=True)
class Order:
    customer: str
    lines: list[Line]
    wanted: bool


@dataclass(frozen=True)
class Accepted:
    price: Decimal


@dataclass(frozen=True)
class Rejected:
    reason: str
    instead: Order | None = None


@dataclass(frozen=True)
class Ignored:
    pass


@dataclass(frozen=True)
class Verdict:
    outcome: Accepted | Rejected
    by: Literal["letter", "telephone"]


VERDICT: ValueCodec[Any] = ValueCodec(Accepted | Rejected | Ignored)
ORDER: ValueCodec[Any] = ValueCodec(Order)

SIMPLE = [bool, int, float, Decimal, date, datetime, time, timedelta, Colour, dict[str, int], Line, Order, Verdict]
types = st.recursive(
    st.sampled_from([*SIMPLE, str, Accepted | Rejected, Ignored | Rejected, date | str, int | str, Accepted | None]),
    lambda inner: inner.map(lambda each: list[each]),  # type: ignore[valid-type]
    max_leaves=3,
)


def told(codec: ValueCodec[Any], *pairs: str, whole: str = "answer") -> str:
    with pytest.raises(InvalidValue) as caught:
        assign(codec.fields(), pairs, UTC, whole=whole)
    return str(caught.value)


def whole_of(fields: tuple[Field, ...]) -> Field:
    return fields[0] if fields[0].path == "" else Field("", "", FieldKind.NESTED, fields=fields)


@given(types)
def test_the_example_that_is_told_is_accepted_both_as_json_and_field_by_field(annotation: Any) -> None:
    codec: ValueCodec[Any] = ValueCodec(annotation)
    fields = codec.fields()
    whole = whole_of(fields)
    as_json = codec.parse(json.dumps(example(whole)).encode())
    by_field = codec.parse(assign(fields, assignments(whole, "answer"), UTC, whole="answer").encode())
    if "datetime" not in str(annotation):
        assert by_field == as_json


def test_where_nothing_is_asked_nothing_need_be_given() -> None:
    nothing: ValueCodec[None] = ValueCodec(type(None))
    assert assign(nothing.fields(), [], UTC, whole="answer") == "null"


def test_each_of_several_types_is_told_with_a_way_that_works() -> None:
    (union,) = VERDICT.fields()
    for alternative, expected in zip(union.alternatives, (Accepted, Rejected, Ignored), strict=True):
        assert type(VERDICT.parse(json.dumps(example_of(alternative)).encode())) is expected
        pairs = given_as(alternative, "answer")
        assert type(VERDICT.parse(assign((union,), pairs, UTC, whole="answer").encode())) is expected
        prefixed = [f"answer.{pair}" for pair in pairs]
        assert assign((union,), prefixed, UTC, whole="answer") == assign((union,), pairs, UTC, whole="answer")


def test_an_answer_that_names_none_of_several_types_is_told_all_of_them() -> None:
    text = told(VERDICT, "price=12.50")
    assert text.startswith("The answer does not fit: price is not a field here. It is one of several types: ")
    assert "Accepted (Accepted.price=12.50) or Rejected (Rejected.reason=…) or Ignored (Ignored={})" in text
    assert """--answer '{"Accepted": {"price": "12.50"}}'""" in text
    with pytest.raises(InvalidValue) as caught:
        parsed(VERDICT, '{"price": "12.50"}', whole="answer", subject="Team.judge")
    assert str(caught.value) == text


def test_a_type_that_is_named_without_its_fields_is_told_which_fields() -> None:
    text = told(VERDICT, "answer=Accepted")
    assert "the answer is Accepted without its fields: give Accepted.price=12.50" in text
    assert "is none of" not in text
    assert assign(VERDICT.fields(), ["Ignored"], UTC, whole="answer") == '{"Ignored": {}}'


def test_a_form_that_is_given_as_a_word_is_told_with_its_fields() -> None:
    @dataclass(frozen=True)
    class Inputs:
        order: Order

    text = told(ValueCodec(Inputs), "order=x", whole="input")
    assert "order is a form with the fields customer, lines, wanted: give order.customer=…, or --input JSON" in text
    assert "give lines.0.article=…" in told(ORDER, "customer=x", "lines=a", "wanted=yes")


def test_the_same_mistake_is_told_alike_in_fields_and_in_json() -> None:
    text = told(ORDER, "customer=x", "wanted=yes", whole="input")
    with pytest.raises(InvalidValue) as caught:
        parsed(ORDER, '{"customer": "x", "wanted": true}', whole="input", subject="handle")
    assert str(caught.value) == text
    assert text.startswith("The input does not fit: lines is missing. Fields: customer (text), lines (list of Line)")


def test_a_field_that_is_given_twice_is_refused_unless_it_is_a_list() -> None:
    assert "customer is given twice" in told(ORDER, "customer=a", "customer=b", "lines=[]", "wanted=yes")
    assert assign(ValueCodec(list[int]).fields(), ["1", "2"], UTC, whole="answer") == "[1, 2]"
    with pytest.raises(typer.BadParameter):
        assign(ORDER.fields(), ["=3"], UTC, whole="answer")


@pytest.mark.parametrize("annotation", [Accepted | None, int | None, list[int] | None, Accepted | Rejected | None])
def test_nothing_is_given_by_an_empty_value(annotation: Any) -> None:
    assert assign(ValueCodec(annotation).fields(), ["answer="], UTC, whole="answer") == "null"


def test_a_list_of_one_of_several_types_is_given_element_by_element() -> None:
    codec: ValueCodec[Any] = ValueCodec(list[int | str])
    assert codec.parse(assign(codec.fields(), ["1", "a"], UTC, whole="answer").encode()) == [1, "a"]


def test_an_identifier_is_told_as_text() -> None:
    assert assignments(ValueCodec(UUID).fields()[0], "answer") == ("answer=…",)
