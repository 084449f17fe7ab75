"""Laws of the codec, tried on types made up by chance: what is written is read as what it was."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple, Union
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from procession.errors import InvalidValue, NotDeclarable
from procession.language.codec import ValueCodec
from procession.language.ordered_sets import OrderedFrozenSet, OrderedSet
from tests.language.values import Approved, Box, Cat, Colour, Declined, Dog, Level


class Made(NamedTuple):
    """A type and a way to make values of it."""

    annotation: Any
    values: st.SearchStrategy[Any]
    hashable: bool = True


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
LEAVES = [
    Made(int, st.integers(-(10**30), 10**30)),
    Made(str, TEXT),
    Made(bool, st.booleans()),
    Made(float, st.floats(allow_nan=False, allow_infinity=False)),
    Made(Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    Made(date, st.dates()),
    Made(datetime, st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC))),
    Made(
        datetime,
        st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.timezones(), allow_imaginary=False),
    ),
    Made(time, st.times()),
    Made(timedelta, st.timedeltas(timedelta(days=-3000), timedelta(days=3000))),
    Made(UUID, st.uuids()),
    Made(bytes, st.binary(max_size=8)),
    Made(type(None), st.none()),
    Made(Colour, st.sampled_from(Colour)),
    Made(Level, st.sampled_from(Level)),
    Made(Literal["a", "2026-01-01", 1], st.sampled_from(["a", "2026-01-01", 1])),
    Made(Approved, st.builds(Approved, st.lists(TEXT, max_size=2).map(tuple))),
    Made(Declined, st.builds(Declined, st.lists(TEXT, max_size=2).map(tuple))),
    Made(Cat, st.builds(Cat, name=TEXT, lives=st.integers(0, 9)), hashable=False),
    Made(Dog, st.builds(Dog, name=TEXT, lives=st.integers(0, 9)), hashable=False),
]
KEYS = [Made(str, TEXT), Made(int, st.integers(-99, 99)), Made(date, st.dates()), Made(Colour, st.sampled_from(Colour))]


def _composed(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.one_of(
        inner.map(lambda m: Made(list[m.annotation], st.lists(m.values, max_size=3), False)),  # type: ignore[name-defined]
        inner.map(lambda m: Made(tuple[m.annotation, ...], st.lists(m.values, max_size=3).map(tuple), m.hashable)),  # type: ignore[name-defined]
        inner.map(lambda m: Made(Box[m.annotation], st.builds(Box, m.values), m.hashable)),  # type: ignore[name-defined]
        inner.map(lambda m: Made(m.annotation | None, st.none() | m.values, m.hashable)),
        st.tuples(st.sampled_from(KEYS), inner).map(
            lambda km: Made(
                dict[km[0].annotation, km[1].annotation],  # type: ignore[name-defined]
                st.dictionaries(km[0].values, km[1].values, max_size=3),
                False,
            )
        ),
        inner.filter(lambda m: m.hashable).map(
            lambda m: Made(frozenset[m.annotation], st.frozensets(m.values, max_size=3), True)  # type: ignore[name-defined]
        ),
        inner.filter(lambda m: m.hashable).map(
            lambda m: Made(set[m.annotation], st.sets(m.values, max_size=3), False)  # type: ignore[name-defined]
        ),
        st.lists(inner, min_size=2, max_size=4).map(
            lambda ms: Made(
                Union[tuple(m.annotation for m in ms)],  # noqa: UP007 - made at run time
                st.one_of([m.values for m in ms]),
                all(m.hashable for m in ms),
            )
        ),
    )


TYPES = st.recursive(st.sampled_from(LEAVES), _composed, max_leaves=6)


def same(a: object, b: object) -> bool:
    """Equal, and of the same type all the way down: 1 is not True here, and one class not another of its shape."""
    if isinstance(a, set | frozenset):
        return isinstance(b, set | frozenset) and a == b and all(any(same(x, y) for y in b) for x in a)
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, dict):
        return all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))  # type: ignore[attr-defined]
    if isinstance(a, Sequence) and not isinstance(a, str | bytes):
        return all(same(x, y) for x, y in zip(a, b, strict=True))  # type: ignore[call-overload]
    if isinstance(a, BaseModel):
        return all(same(value, getattr(b, name)) for name, value in a)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return True


@settings(max_examples=300)
@given(st.data())
def test_every_value_of_every_type_comes_back_as_what_it_was(data: st.DataObject) -> None:
    made = data.draw(TYPES)
    try:
        codec = ValueCodec[Any](made.annotation)
    except NotDeclarable:
        assume(False)
        raise
    value = data.draw(made.values)
    raw = codec.encode(value)
    back = codec.decode(raw)
    assert same(value, back), (made.annotation, raw)
    assert same(value, codec.parse(raw))
    assert codec.encode(back) == raw


@cache
def codec_of(annotation: Any) -> ValueCodec[Any]:
    return ValueCodec(annotation)


@settings(max_examples=200)
@given(st.data())
def test_a_value_of_another_type_is_refused_or_comes_back_as_itself(data: st.DataObject) -> None:
    """A wrong value never enters a history: whatever is taken can be given back."""
    expected, given_ = data.draw(st.sampled_from(LEAVES)), data.draw(st.sampled_from(LEAVES))
    value = data.draw(given_.values)
    codec = codec_of(expected.annotation)
    try:
        raw = codec.encode(value)
    except InvalidValue:
        return
    assert codec.decode(raw) == value


@given(st.sets(TEXT), st.sets(TEXT))
def test_ordered_sets_are_sets_and_keep_their_order_through_every_operation(a: set[str], b: set[str]) -> None:
    first, second = sorted(a), sorted(b)
    for make in (OrderedSet, OrderedFrozenSet):
        ordered, other = make(first), make(second)
        assert ordered == a
        assert list(ordered) == first
        assert list(ordered | b) == first + [x for x in (ordered | b) if x not in a]
        assert (ordered | b, ordered & b, ordered - b, ordered ^ b) == (a | b, a & b, a - b, a ^ b)
        assert list(ordered | other) == first + [x for x in second if x not in a]
        assert list(ordered & b) == [x for x in first if x in b]
        assert list(ordered.difference(b)) == [x for x in first if x not in b]
        assert ordered.union(second) == a.union(b)
        assert ordered.intersection(second) == a.intersection(b)
        assert ordered.symmetric_difference(second) == a.symmetric_difference(b)


def test_an_ordered_set_can_be_changed_like_any_set() -> None:
    ordered = OrderedSet(["z", "a", "m"])
    ordered.discard("a")
    ordered.add("a")
    ordered |= {"b"}
    assert list(ordered) == ["z", "m", "a", "b"]
    assert ordered.pop() == "z"
    ordered ^= {"m"}
    assert list(ordered) == ["a", "b"]
    ordered.clear()
    assert list(ordered) == []
    ordered.update(["y", "x"])
    assert list(ordered.copy()) == ["y", "x"]
