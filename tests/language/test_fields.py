"""A type is described as fields to ask for, and the answers put together are JSON that the codec takes."""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field

from procession.language.answers import LEFT_OUT, NotUnderstood, collect_members, collect_value, read
from procession.language.codec import ArgumentsCodec, Parameter, ValueCodec
from procession.language.fields import Alternative, FieldKind
from procession.language.fields import Field as Described
from tests.language.values import Application, Approved, Colour, Declined, Level, Node


@dataclass(frozen=True)
class Address:
    street: str
    """Street and number"""
    city: str = "Delft"


@dataclass(frozen=True)
class Advice:
    """All kinds of fields."""

    file_number: str
    """As it stands on the folder."""
    count: int
    amount: Annotated[Decimal, Field(gt=0, description="In euros", title="Sum")]
    share: float
    agreed: bool
    on: date
    at: datetime
    colour: Colour
    level: Level
    size: Literal["s", "l"]
    address: Address
    verdict: Approved | Declined
    lines: list[Address]
    note: str | None = None
    second: Address | None = None
    extra: dict[str, int] = field(default_factory=dict)


class Filled(BaseModel):
    name: str = Field(description="Who it is")
    tree: Node | None = None


def described(path: str, fields: tuple[Described, ...]) -> Described:
    (found,) = (each for each in fields if each.path == path)
    return found


ADVICE = ValueCodec[Advice](Advice)


def test_each_field_has_a_path_a_label_a_kind_and_a_help_text() -> None:
    fields = ADVICE.fields()
    assert [(each.path, each.kind.value) for each in fields] == [
        ("file_number", "text"),
        ("count", "integer"),
        ("amount", "decimal"),
        ("share", "number"),
        ("agreed", "boolean"),
        ("on", "date"),
        ("at", "datetime"),
        ("colour", "choice"),
        ("level", "choice"),
        ("size", "choice"),
        ("address", "nested"),
        ("verdict", "union"),
        ("lines", "list"),
        ("note", "text"),
        ("second", "nested"),
        ("extra", "json"),
    ]
    assert described("file_number", fields).label == "File number"
    assert described("file_number", fields).help == "As it stands on the folder."
    assert (described("amount", fields).label, described("amount", fields).help) == ("Sum", "In euros")
    assert described("address", fields).fields[0].help == "Street and number"
    assert ValueCodec[Filled](Filled).fields()[0].help == "Who it is"


def test_options_alternatives_and_elements_are_described() -> None:
    fields = ADVICE.fields()
    assert [(o.label, o.value) for o in described("colour", fields).options] == [("red", "red"), ("blue", "blue")]
    assert [(o.label, o.value) for o in described("level", fields).options] == [("Low", 1), ("High", 2)]
    assert [o.value for o in described("size", fields).options] == ["s", "l"]
    verdict = described("verdict", fields)
    assert [(a.label, a.tag) for a in verdict.alternatives] == [("Approved", "Approved"), ("Declined", "Declined")]
    assert verdict.alternatives[0].field.fields[0].path == "verdict.Approved.conditions"
    item = described("lines", fields).item
    assert item is not None
    assert [f.path for f in item.fields] == ["lines.*.street", "lines.*.city"]


def test_what_may_be_left_out_or_be_nothing_is_said() -> None:
    fields = ADVICE.fields()
    note = described("note", fields)
    assert (note.required, note.nullable, note.default) == (False, True, None)
    city = described("address", fields).fields[1]
    assert (city.required, city.nullable, city.default) == (False, False, "Delft")
    assert described("extra", fields).default == {}


def test_a_value_that_is_no_class_is_one_field() -> None:
    (answer,) = ValueCodec[Any](Approved | Declined | None).fields()
    assert (answer.path, answer.kind, answer.nullable) == ("", FieldKind.UNION, True)
    assert ValueCodec[Any](bool).fields()[0].kind is FieldKind.BOOLEAN
    assert ValueCodec[Any](Literal["a"] | Literal["b"] | None).fields()[0].options[1].value == "b"
    mixed = ValueCodec[Any](int | str | None).fields()[0]
    assert [(a.label, a.tag) for a in mixed.alternatives] == [("whole number", None), ("text", None)]


def test_a_type_that_contains_itself_ends_in_json() -> None:
    below = described("below", ValueCodec[Node](Node).fields())
    assert below.kind is FieldKind.JSON


def test_the_parameters_of_a_call_are_fields_too() -> None:
    codec = ArgumentsCodec(
        (Parameter("application", Application), Parameter("days", int, default=3)), callee="f", where="f"
    )
    fields = codec.fields()
    assert [(f.path, f.required) for f in fields] == [("application", True), ("days", False)]
    assert [f.path for f in fields[0].fields][:2] == ["application.applicant", "application.days"]


def uniform(chance: random.Random, asked: list[str]) -> Any:
    """A performer who chooses uniformly among what can be chosen and fills in one fixed value for the rest."""
    fixed = {
        FieldKind.TEXT: "x",
        FieldKind.INTEGER: 1,
        FieldKind.DECIMAL: "1.50",
        FieldKind.NUMBER: 1.5,
        FieldKind.DATE: "2026-01-01",
        FieldKind.DATETIME: "2026-01-01T09:00:00Z",
        FieldKind.LIST: 2,
        FieldKind.NESTED: True,
    }

    def answer(field: Described, path: str) -> object:
        asked.append(path)
        match field.kind:
            case FieldKind.BOOLEAN:
                return chance.choice([True, False])
            case FieldKind.CHOICE:
                return chance.choice(field.options).value
            case FieldKind.UNION:
                return chance.choice(field.alternatives)
            case FieldKind.JSON:
                return LEFT_OUT
        return fixed[field.kind]

    return answer


def test_answers_that_are_chosen_uniformly_make_values_of_the_type() -> None:
    seen: set[tuple[type, bool, Colour]] = set()
    for seed in range(60):
        asked: list[str] = []
        made = collect_value(ADVICE.fields(), uniform(random.Random(seed), asked))
        value = ADVICE.parse(json.dumps(made).encode())
        seen.add((type(value.verdict), value.agreed, value.colour))
        assert "address" not in asked
        assert {"address.street", "lines", "lines.1.city", "second", "second.street"} <= set(asked)
        assert f"verdict.{type(value.verdict).__name__}.conditions" in asked
    assert len(seen) == 8


def test_nothing_and_leaving_out_are_answers() -> None:
    def answer(field: Described, path: str) -> object:
        return {"file_number": "7"}.get(path) or (LEFT_OUT if not field.required else None)

    codec = ArgumentsCodec(
        (Parameter("note", str | None), Parameter("second", Address | None, default=None)), callee="f", where="f"
    )
    assert collect_members(codec.fields(), answer) == {"note": None}


def test_an_alternative_must_be_one_of_the_field_s() -> None:
    with pytest.raises(TypeError, match="one of its alternatives"):
        collect_value(ValueCodec[Any](Approved | Declined).fields(), lambda field, path: "Approved")


AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    ("annotation", "typed", "given"),
    [
        (str, " x ", " x "),
        (int, " 12 ", 12),
        (Decimal, "12.50", "12.50"),
        (float, "1.5", 1.5),
        (bool, "Yes", True),
        (bool, "n", False),
        (date, "2026-03-01", "2026-03-01"),
        (datetime, "2026-03-01 14:30", "2026-03-01T13:30:00Z[Europe/Amsterdam]"),
        (datetime, "2026-03-01T14:30+00:00", "2026-03-01T14:30:00Z"),
        (Colour, "blue", "blue"),
        (Colour, "B", "blue"),
        (Level, "2", 2),
        (Level, "high", 2),
        (list[int], "3", 3),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (str | None, "", None),
    ],
)
def test_what_a_person_types_is_read_by_the_kind_of_the_field(annotation: Any, typed: str, given: object) -> None:
    (field,) = ValueCodec[Any](annotation).fields()
    assert read(field, typed, zone=AMSTERDAM) == given


def test_the_duration_that_a_person_types_is_one() -> None:
    from datetime import timedelta

    codec = ValueCodec[timedelta](timedelta)
    (field,) = codec.fields()
    assert codec.parse(json.dumps(read(field, "1 day 4 hours", zone=UTC)).encode()) == timedelta(hours=28)


def test_an_alternative_is_chosen_by_its_name_or_number() -> None:
    (field,) = ValueCodec[Any](Approved | Declined).fields()
    for typed in ("declined", "2", "D"):
        chosen = read(field, typed, zone=UTC)
        assert isinstance(chosen, Alternative)
        assert chosen.tag == "Declined"


@pytest.mark.parametrize(
    ("annotation", "typed", "told"),
    [
        (int, "1.5", "a whole number such as 12"),
        (int, "", "a whole number"),
        (Decimal, "1,50", "a number such as 12.50"),
        (bool, "maybe", "yes or no"),
        (date, "1 March", "a date such as"),
        (datetime, "now", "a date and time such as"),
        (Colour, "green", "none of red, blue"),
        (Level, "3", "none of Low, High"),
        (dict[str, int], "{", "JSON"),
    ],
)
def test_what_cannot_be_read_is_told_with_an_example(annotation: Any, typed: str, told: str) -> None:
    (field,) = ValueCodec[Any](annotation).fields()
    with pytest.raises(NotUnderstood, match=told):
        read(field, typed, zone=UTC)
