"""Errors cross a hand-off as typed values: written, rebuilt as their own class, and never with a traceback or an address."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest

from procession.errors import InvalidValue, NotDeclarable, OperationFailed, ProcessFailed, Withdrawn
from procession.kernel import Failure, HaltInstance
from procession.language.failures import DeclaredErrors, clean_text, failing, technical_failure
from tests.language.values import Approved, Declined


class Plain(Exception):
    pass


class Special(Plain):
    pass


@dataclass(eq=False)
class Rich(Exception):
    reason: str
    verdict: Approved | Declined
    when: date = field(default=date(2026, 1, 1), kw_only=True)


@dataclass
class ByValue(Exception):
    x: int


@dataclass(frozen=True, eq=False)
class Frozen(Exception):
    x: int


class OwnInit(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)


class OwnNew(Exception):
    def __new__(cls, *args: object) -> "OwnNew":
        return super().__new__(cls, *args)


def declared(*errors: Any) -> DeclaredErrors:
    return DeclaredErrors(errors, operation="Desk.pay", where="desk.pay (desk.py:1)")


def crossed(error: Exception, errors: DeclaredErrors) -> Exception:
    failure = errors.failure_of(error, attempts=2)
    assert failure is not None
    assert (failure.declared, failure.attempts) == (True, 2)
    return errors.rebuild(failure)


@pytest.mark.parametrize(
    "error",
    [
        Plain(),
        Plain("x"),
        Plain("x", 1, None, 1.5, True),
        KeyError("k"),
        ConnectionError(5, "io"),
    ],
    ids=repr,
)
def test_a_plain_error_comes_back_with_its_arguments(error: Exception) -> None:
    back = crossed(error, declared(Plain, KeyError, ConnectionError))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args


def test_a_dataclass_error_comes_back_with_its_fields_typed() -> None:
    back = crossed(Rich("no", Declined(("x",)), when=date(2026, 2, 2)), declared(Rich))
    assert isinstance(back, Rich)
    assert (back.reason, back.verdict, back.when) == ("no", Declined(("x",)), date(2026, 2, 2))


def test_an_argument_that_json_has_not_crosses_as_its_text_without_addresses() -> None:
    back = crossed(Plain(object(), date(2026, 1, 1), "a\0b\ud800"), declared(Plain))
    assert back.args == ("<object object>", "2026-01-01", "a\ufffdb?")


def test_a_subclass_counts_as_the_nearest_class_that_is_declared() -> None:
    assert type(crossed(Special("s"), declared(Plain))) is Plain
    assert type(crossed(Special("s"), declared(Plain, Special))) is Special


def test_an_error_that_is_not_declared_is_no_answer() -> None:
    assert declared(Plain).failure_of(ValueError("x")) is None
    assert declared(Plain).failure_of(KeyboardInterrupt()) is None


def test_a_field_that_does_not_fit_its_type_is_refused() -> None:
    with pytest.raises(InvalidValue, match="verdict"):
        declared(Rich).failure_of(Rich("no", "maybe"))  # type: ignore[arg-type]


def test_any_other_failure_arrives_as_operation_failed() -> None:
    back = declared(Plain).rebuild(Failure("x.Boom", "boom", None, 3, declared=False))
    assert isinstance(back, OperationFailed)
    assert (back.operation, back.type_name, back.message, back.attempts) == ("Desk.pay", "x.Boom", "boom", 3)


def test_a_recorded_declared_error_that_no_longer_fits_halts_instead_of_taking_another_branch() -> None:
    name = f"{Rich.__module__}.Rich"
    for recorded in (
        Failure(name, "old", b'{"colour":"red"}', 1, declared=True),
        Failure("x.Gone", "old", None, 1, True),
    ):
        with pytest.raises(HaltInstance) as halt:
            declared(Rich).rebuild(recorded)
        assert halt.value.code == "divergence"


def test_a_declared_error_whose_class_moved_to_another_module_is_known_by_its_name() -> None:
    recorded = declared(Plain).failure_of(Plain("boom"))
    assert recorded is not None

    back = declared(Plain).rebuild(replace(recorded, type_name="elsewhere.Plain"))

    assert isinstance(back, Plain)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ByValue, r"ByValue is a dataclass that compares by value.*@dataclass\(eq=False\)"),
        (Frozen, "Frozen is a dataclass that is frozen"),
        (OwnInit, r"OwnInit makes its instances .* `@dataclass\(eq=False\)` with typed fields"),
        (OwnNew, "OwnNew makes its instances"),
        (TimeoutError, "TimeoutError has a meaning of its own"),
        (Withdrawn, "Withdrawn has a meaning of its own"),
        (ExceptionGroup, "ExceptionGroup has a meaning of its own"),
        (KeyboardInterrupt, "is not a class of exceptions"),
        ("Plain", "is not a class of exceptions"),
    ],
)
def test_an_error_class_that_cannot_be_rebuilt_is_refused_when_declared(error: Any, told: str) -> None:
    with pytest.raises(NotDeclarable, match=rf"desk\.pay \(desk\.py:1\): raises=.*{told}"):
        declared(error)


def test_what_fails_an_instance_is_told_from_what_halts_it() -> None:
    class Base(Exception):
        pass

    class Derived(Base):
        pass

    class OnPurpose(ProcessFailed):
        pass

    known = declared(Base).codecs

    def name(error: BaseException) -> str | None:
        failure = failing(error, known)
        return failure.type_name.rpartition(".")[2] if failure else None

    assert name(OnPurpose("x")) == "OnPurpose"
    assert (name(Base("x")), name(Derived("x"))) == ("Base", "Base")
    assert name(OperationFailed("Desk.pay")) == "OperationFailed"
    assert name(Withdrawn("Desk.pay")) == "Withdrawn"
    assert name(ExceptionGroup("two", [Base("a"), OnPurpose("b")])) == "ExceptionGroup"
    for bug in (
        ValueError("x"),
        TimeoutError(),
        ExceptionGroup("two", [Base("a"), ValueError("b")]),
        KeyboardInterrupt(),
    ):
        assert failing(bug, known) is None


def test_no_failure_holds_an_address_a_nul_or_a_book() -> None:
    assert technical_failure(ValueError(object())).message == "<object object>"
    assert clean_text("a\0b") == "a\ufffdb"
    assert len(clean_text("x" * 10_000)) == 2_001

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert technical_failure(Mute()).message == "(the error cannot say what it is)"
