"""A value crosses a hand-off checked, as canonical JSON, and comes back as an equal copy of its own type."""

import json
import math
import subprocess
import sys
from dataclasses import InitVar, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    computed_field,
    field_validator,
)

from procession.errors import InvalidValue, NotDeclarable, PayloadTooLarge
from procession.language.codec import PAYLOAD_LIMIT_BYTES, ArgumentsCodec, Parameter, ValueCodec
from tests.language.values import CASE, NOON, Application, Approved, Box, Case, Cat, Colour, Declined, Dog, Level, Node


def problems_of(annotation: Any, value: object) -> dict[str, str]:
    with pytest.raises(InvalidValue) as caught:
        ValueCodec[Any](annotation).encode(value)
    return caught.value.problems


def test_a_case_with_unions_in_every_place_comes_back_equal() -> None:
    codec = ValueCodec[Case](Case)
    raw = codec.encode(CASE)
    back = codec.decode(raw)
    assert back == CASE
    assert back is not CASE
    assert codec.parse(raw) == CASE
    assert codec.encode(back) == raw == codec.canonical(raw)


def test_members_of_one_shape_come_back_as_their_own_class() -> None:
    back = ValueCodec[Case](Case).decode(ValueCodec[Case](Case).encode(CASE))
    assert type(back.decision) is Declined
    assert [type(each) for each in back.history] == [Declined, type(None), Approved]
    assert type(back.boxed.content) is Declined
    assert type(back.by_name["zoë"]) is Declined
    assert type(back.pet) is Dog
    assert [type(friend) for friend in back.pet.friends] == [Cat, Dog]


def test_a_tag_is_an_object_with_one_member_named_by_the_class() -> None:
    assert ValueCodec[Any](Approved | Declined).encode(Declined()) == b'{"Declined":{"conditions":[]}}'
    assert ValueCodec[Any](Approved | None).encode(Approved()) == b'{"conditions":[]}'
    assert ValueCodec[Any](date | str).encode("2026-01-01") == b'{"str":"2026-01-01"}'
    assert ValueCodec[Any](int | str | None).encode("5") == b'"5"'


def test_a_tag_that_does_not_exist_or_two_tags_are_refused() -> None:
    codec = ValueCodec[Any](Approved | Declined)
    for raw in (b'{"Maybe":{}}', b'{"Approved":{},"Declined":{}}', b"{}", b'{"conditions":[]}'):
        with pytest.raises(InvalidValue):
            codec.parse(raw)


def test_a_set_crosses_sorted_and_comes_back_in_that_order() -> None:
    back = ValueCodec[Case](Case).decode(ValueCodec[Case](Case).encode(CASE))
    assert list(back.tags) == ["appeal", "night", "urgent", "zoning"]
    assert list(back.colours) == [Colour.BLUE, Colour.RED]
    assert [list(group) for group in back.groups] == [["a", "b"], ["c"]]
    assert isinstance(back.tags, frozenset)
    assert isinstance(back.colours, set)


SCRIPT = """
from procession.language.codec import ValueCodec
from tests.language.values import CASE, Case
codec = ValueCodec(Case)
back = codec.decode(codec.encode(CASE))
print(codec.encode(CASE).decode(), list(back.tags), [list(group) for group in back.groups], sep="|")
"""


def test_the_bytes_and_the_order_of_sets_are_the_same_under_every_hash_seed() -> None:
    root = Path(__file__).parents[2]
    written = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{root / 'src'}:{root}"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2", "77")
    }
    assert len(written) == 1
    assert written.pop().startswith('{"decision"')


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Path, Path("/a/b")),
        (bytes, b"\xff\x00"),
        (UUID, UUID(int=7)),
        (timedelta, timedelta(days=3, microseconds=5)),
        (time, time(9, 30)),
        (Decimal, Decimal("1.500")),
        (int | float, 1.0),
        (float | int, 1),
        (Decimal | int, 5),
        (Decimal | str, "5"),
        (bool | int, 1),
        (datetime | date, date(2026, 1, 1)),
        (datetime | date, NOON),
        (dict[int, str], {1: "a"}),
        (dict[date, int], {date(2026, 1, 1): 1}),
        (dict[Decimal, int], {Decimal("1.50"): 1}),
        (Approved | dict[str, int], {"conditions": 1}),
        (set[Approved | Declined], {Approved(), Declined()}),
        (Box[Box[Approved | Declined]], Box(Box(Declined()))),
        (JsonValue, {"a": [1, None, {"b": "x"}]}),
        (Node, Node("a", (Node("b"), Node("c", (Node("d"),))))),
        (None, None),
    ],
    ids=str,
)
def test_a_value_comes_back_as_what_it_was(annotation: Any, value: object) -> None:
    codec = ValueCodec[Any](annotation)
    raw = codec.encode(value)
    for back in (codec.decode(raw), codec.parse(raw)):
        assert back == value
        assert type(back) is type(value) or isinstance(value, set)
    assert codec.encode(codec.decode(raw)) == raw


def test_a_dataclass_is_checked_when_it_crosses_because_it_checks_nothing_itself() -> None:
    wrong = Application("Ann", "three", 1.5, NOON)  # type: ignore[arg-type]
    problems = problems_of(Application, wrong)
    assert set(problems) == {"days", "amount", "received"}
    assert "'three'" in problems["days"]


def test_a_copy_of_a_model_that_did_not_validate_is_refused_at_the_next_hand_off() -> None:
    broken = Cat(name="Tom").model_copy(update={"lives": "many"})
    assert list(problems_of(list[Cat], [broken])) == ["0.lives"]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, 1.0),
        (bool, 1),
        (str, 5),
        (Decimal, 1.5),
        (Colour, "red"),
        (list[int], (1, 2)),
        (tuple[int, ...], [1, 2]),
        (date, NOON),
        (frozenset[int], {1}),
        (float, math.nan),
        (float, math.inf),
        (Decimal, Decimal("NaN")),
        (int, 10**100),
        (str, "\ud800"),
        (str, "a\0b"),
        (JsonValue, math.nan),
        (Approved | Declined, {"conditions": []}),
    ],
    ids=repr,
)
def test_nothing_is_converted_on_the_way(annotation: Any, value: object) -> None:
    assert problems_of(annotation, value)


def test_a_moment_without_a_zone_is_refused_at_every_hand_off() -> None:
    assert "time zone" in problems_of(datetime, datetime(2026, 1, 1))[""]
    assert "time zone" in problems_of(list[Box[datetime]], [Box(datetime(2026, 1, 1))])["0.content"]
    for raw in (b'"2026-01-01T10:00:00"', b'"2026-01-01"', b"5", b'"2026-01-01T10:00:00Z[Mars/Base]"', b'"soon"'):
        with pytest.raises(InvalidValue):
            ValueCodec[datetime](datetime).parse(raw)


def test_a_moment_is_stored_in_utc_with_the_name_of_its_zone() -> None:
    codec = ValueCodec[datetime](datetime)
    in_zone = datetime(2026, 7, 1, 9, tzinfo=ZoneInfo("Europe/Amsterdam"))
    assert codec.encode(in_zone) == b'"2026-07-01T07:00:00Z[Europe/Amsterdam]"'
    assert codec.decode(codec.encode(in_zone)).tzinfo == in_zone.tzinfo
    assert codec.encode(in_zone.astimezone(timezone(timedelta(hours=2)))) == b'"2026-07-01T07:00:00Z"'
    assert codec.parse(b'"2026-07-01T09:00+02:00"') == in_zone


def test_a_subclass_is_refused_where_its_base_is_named_because_it_would_lose_what_it_adds() -> None:
    @dataclass(frozen=True)
    class Conditional(Approved):
        until: str = ""

    assert "union" in problems_of(Approved, Conditional())[""]
    assert problems_of(Approved | Declined, Conditional())


def test_a_field_that_is_new_has_its_default_and_one_that_is_gone_is_passed_over_in_what_was_recorded() -> None:
    codec = ValueCodec[Cat](Cat)
    assert codec.decode(b'{"name":"Tom","colour":"grey"}') == Cat(name="Tom", lives=9)
    with pytest.raises(InvalidValue) as caught:
        codec.parse(b'{"name":"Tom","colour":"grey"}')
    assert caught.value.problems == {"colour": "is not a field here"}


def test_the_problems_of_a_value_from_outside_are_told_by_field() -> None:
    with pytest.raises(InvalidValue) as caught:
        ValueCodec[list[Application]](list[Application], where="the answer").parse(b'[{"applicant":5,"days":"3"}]')
    assert set(caught.value.problems) == {"0.applicant", "0.days", "0.amount", "0.received"}
    assert caught.value.problems["0.amount"] == "is missing"
    assert str(caught.value).startswith("the answer does not fit its type: 0.applicant should be")


def test_a_value_over_the_limit_of_a_payload_is_refused_in_both_directions() -> None:
    long = "x" * PAYLOAD_LIMIT_BYTES
    with pytest.raises(PayloadTooLarge):
        ValueCodec[str](str).encode(long)
    with pytest.raises(InvalidValue, match="at most 1,000,000"):
        ValueCodec[str](str).parse(f'"{long}"'.encode())


def test_a_value_that_is_too_deep_or_holds_itself_is_refused() -> None:
    deep = Node("leaf")
    for _ in range(150):
        deep = Node("n", (deep,))
    assert problems_of(Node, deep)
    rex = Dog(name="Rex")
    rex.friends.append(rex)
    assert problems_of(Dog, rex)


class Paired(Enum):
    A = (1, 2)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Named(NamedTuple):
    name: str


@pytest.mark.parametrize(
    ("annotation", "remedy"),
    [
        (object, "JsonValue"),
        (dict[str, Any], "JsonValue"),
        (Named, "frozen dataclass"),
        (complex, "two floats"),
        (Box[object], "JsonValue"),
        (dict[Approved, int], "text keys"),
        (list[int] | list[str], "class of its own"),
        (Box[int] | Box[str], "class of its own"),
        (type, "frozen dataclass"),
        (Paired, 'A = "a"'),
        (Open, "JsonValue"),
        (Literal[Level.LOW, 1], "both written 1"),
        (Ellipsis, "frozen dataclass"),
    ],
    ids=str,
)
def test_a_type_that_cannot_cross_is_refused_when_its_codec_is_made(annotation: Any, remedy: str) -> None:
    with pytest.raises(NotDeclarable, match=remedy):
        ValueCodec[Any](annotation, where="sales.check (sales.py:3)")


def test_the_refusal_of_a_type_names_the_place_and_the_field() -> None:
    @dataclass
    class Offer:
        extras: dict[str, list[Any]]

    with pytest.raises(NotDeclarable, match=r"^sales\.check \(sales\.py:3\), field `extras`, has a part"):
        ValueCodec[Any](Offer, where="sales.check (sales.py:3)")


def test_a_dataclass_with_an_initvar_is_refused_because_it_is_lost() -> None:
    @dataclass
    class Seeded:
        seed: InitVar[int]
        value: int = 0

    with pytest.raises(NotDeclarable, match="InitVar"):
        ValueCodec[Any](Seeded)


def test_what_a_dataclass_computes_from_its_fields_does_not_cross_and_is_computed_again() -> None:
    codec = ValueCodec[Priced](Priced)
    raw = codec.encode(Priced(3))
    assert raw == b'{"net":3,"counted":1}'
    assert codec.decode(raw) == Priced(3)
    assert codec.parse(b'{"net":3}') == Priced(3)


@dataclass
class Priced:
    net: int
    gross: int = field(init=False)
    counted: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        self.gross = self.net * 2


class Aliased(BaseModel):
    number: int = Field(alias="nr", serialization_alias="no")
    secret: str = Field("", exclude=True)
    either: int = Field(0, validation_alias=AliasChoices("a", "b"))

    @computed_field
    def double(self) -> int:
        return self.number * 2


def test_a_model_crosses_with_all_its_fields_under_their_own_names() -> None:
    codec = ValueCodec[Aliased](Aliased)
    value = Aliased.model_validate({"nr": 4, "secret": "s", "a": 2})
    assert codec.encode(value) == b'{"number":4,"secret":"s","either":2}'
    assert codec.decode(codec.encode(value)) == value


class Checked(BaseModel):
    since: date
    amount: Decimal

    @field_validator("amount", mode="before")
    @classmethod
    def _cleaned(cls, value: Any, _: ValidationInfo) -> Any:
        return value.replace(" ", "") if isinstance(value, str) else value


def test_validators_of_the_author_run_and_do_not_disturb_the_types_below_them() -> None:
    codec = ValueCodec[Checked](Checked)
    value = Checked(since=date(2026, 1, 1), amount=Decimal("1200.50"))
    assert codec.decode(codec.encode(value)) == value
    assert codec.parse(b'{"since":"2026-01-01","amount":"1 200.50"}') == value


def test_what_a_validator_of_the_author_makes_of_a_value_must_fit_its_type_too() -> None:
    assert problems_of(Annotated[str, AfterValidator(lambda _: 5)], "x")


class Inner(BaseModel):
    either: Approved | Declined


class Outer(BaseModel):
    inner: Inner


def test_a_model_that_pydantic_has_already_built_is_tagged_inside_all_the_same() -> None:
    """pydantic reuses the finished validator of a nested model: ours must not."""
    assert Inner(either=Declined()).model_dump_json() == '{"either":{"conditions":[]}}'
    codec = ValueCodec[Outer](Outer)
    raw = codec.encode(Outer(inner=Inner(either=Declined())))
    assert raw == b'{"inner":{"either":{"Declined":{"conditions":[]}}}}'
    assert type(codec.decode(raw).inner.either) is Declined


def test_the_json_schema_says_what_is_written() -> None:
    schema = ValueCodec[Any](Approved | Declined).schema()
    assert set(schema["properties"]) == {"Approved", "Declined"}
    assert schema["minProperties"] == schema["maxProperties"] == 1
    assert ValueCodec[Any](datetime).schema()["format"] == "date-time"
    json.dumps(ValueCodec[Any](Case).schema())


def arguments(**options: Any) -> ArgumentsCodec:
    return ArgumentsCodec(
        (
            Parameter("application", Application),
            Parameter("days", int, default=3),
            Parameter("note", str | None, default=None, keyword_only=True),
        ),
        callee="register",
        where="desk.register (desk.py:7)",
    )


ANN = Application("Ann", 3, Decimal("12.50"), date(2026, 1, 1))


def test_arguments_cross_as_an_object_by_parameter_name_with_their_defaults() -> None:
    codec = arguments()
    raw = codec.encode((ANN,), {})
    assert json.loads(raw)["days"] == 3
    assert codec.decode(raw) == {"application": ANN, "days": 3, "note": None}
    assert codec.encode((), {"note": "x", "days": 5, "application": ANN}) == codec.encode((ANN, 5), {"note": "x"})
    assert codec.encode_values(codec.parse(raw)) == raw
    assert codec.call(codec.decode(raw)) == ([ANN, 3], {"note": None})


def test_a_parameter_that_was_added_has_its_default_in_what_was_recorded_before() -> None:
    raw = json.dumps({"application": json.loads(ValueCodec[Application](Application).encode(ANN))}).encode()
    assert arguments().decode(raw)["days"] == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "needs `application`"),
        ((ANN, 1, "x"), {}, "takes 2 positional"),
        ((ANN,), {"application": ANN}, "has two values"),
        ((ANN,), {"when": 1}, "`when` is not a parameter"),
    ],
)
def test_a_call_that_does_not_fit_the_parameters_is_a_type_error(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        arguments().encode(args, kwargs)


def test_an_argument_that_does_not_fit_is_named_by_its_path() -> None:
    with pytest.raises(InvalidValue) as caught:
        arguments().encode((replace(ANN, days="x"),), {})  # type: ignore[arg-type]
    assert list(caught.value.problems) == ["application.days"]


def test_a_service_that_changes_what_it_was_given_changes_nothing_for_the_caller() -> None:
    codec = arguments()
    mine = Dog(name="Rex", friends=[Cat(name="Tom")])
    dogs = ArgumentsCodec((Parameter("dog", Dog),), callee="wash", where="x")
    theirs = dogs.decode(dogs.encode((mine,), {}))["dog"]
    theirs.friends.clear()
    assert len(mine.friends) == 1
    assert codec.schema()["required"] == ["application"]


def test_a_utc_moment_is_as_good_as_any() -> None:
    assert ValueCodec[datetime](datetime).decode(b'"2026-03-01T12:00:00Z"') == NOON.astimezone(UTC)


@dataclass(frozen=True)
class Taxed:
    net: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "net", self.net + 1)


@dataclass(frozen=True)
class Trimmed:
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())


class Marked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def mark(cls, name: str) -> str:
        return name + "!"


@pytest.mark.parametrize(
    ("value", "field", "code"),
    [
        (Taxed(1), "net", r"Taxed.__post_init__"),
        ([Taxed(1)], "0.net", r"Taxed.__post_init__"),
        (Marked(name="a"), "name", r"Marked.mark"),
    ],
)
def test_a_value_that_its_class_changes_each_time_is_refused_with_the_code_that_does_so(
    value: object, field: str, code: str
) -> None:
    annotation = list[Taxed] if isinstance(value, list) else type(value)
    with pytest.raises(InvalidValue, match=rf"{code} runs.*leave alone what is right already") as refused:
        ValueCodec[Any](annotation).encode(value)
    assert list(refused.value.problems) == [field]


def test_a_class_that_puts_a_value_right_once_crosses() -> None:
    codec = ValueCodec(Trimmed)
    assert codec.decode(codec.encode(Trimmed("  ann "))) == Trimmed("ann")
