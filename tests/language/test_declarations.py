"""A declaration that cannot work is refused where it is written, with file and line and what to write instead."""

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from procession import Function, process
from procession.calendars.durations import HOUR_US, MINUTE_US, SECOND_US
from procession.errors import AuthorError, InvalidValue, NotDeclarable
from procession.language.codec import ValueCodec
from procession.language.operations import Backoff, Operation, Service, Task
from procession.language.process import Process, input_digest
from procession.language.registry import Registry
from procession.people import role
from tests.language import desk
from tests.language.values import Application, Approved, Declined

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTheChecker

team = Function("Team", owner="ann@acme.example")


def declared(source: str) -> ModuleType:
    """A module of its own with this source."""
    module = types.ModuleType("made")
    module.__dict__.update(
        Function=Function,
        process=process,
        Approved=Approved,
        Declined=Declined,
        role=role,
        Any=Any,
        dataclass=dataclass,
    )
    code = compile("fn = Function('Fn', owner='o')\n" + source, "made.py", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


AT_ONCE = [
    ("@fn.task\nasync def a() -> int: ...", r"made.a \(made.py:2\): `@fn.task` stands without .* Write `@fn.task\(\)`"),
    (
        "@fn.service\nasync def a() -> int: ...",
        r"`@fn.service` stands without its parentheses. Write `@fn.service\(\)`",
    ),
    ("@process\nasync def a() -> int: ...", r"`@process` stands without its parentheses. Write `@process\(owner=…\)`"),
    ("@fn.task(deu='1 day')\nasync def a() -> int: ...", r"made.py:2: .* no option `deu`: did you mean `due`\?"),
    ("@fn.service(zzz=1)\nasync def a() -> int: ...", r"no option `zzz`\. Its options are attempts, timeout"),
    ("@process(onwer=fn)\nasync def a() -> int: ...", "no option `onwer`: did you mean `owner`"),
    ("@process()\nasync def a() -> int: ...", "`@process` needs owner=…"),
    ("@fn.task('Title')\nasync def a() -> int: ...", "takes its options by name, not 'Title' alone"),
    (
        "class Desk:\n  @fn.task()\n  async def a(self, x: int) -> int: ...",
        "A task stands in the class Desk, and belongs to no object.* Write it outside of the class",
    ),
    ("class Desk:\n  @process(owner=fn)\n  async def a(self) -> int: ...", "A process stands in the class Desk"),
    ("@fn.task()\ndef a(x: int) -> int: ...", "A task is not async. Write `async def a"),
    ("@process(owner=fn)\ndef a(x: int) -> int: ...", "A process is not async. Write `async def a"),
    ("@process(owner=fn)\nasync def a(x: int) -> int:\n  yield 1", "A process yields. Return one value"),
    ("@fn.service()\ndef a(x: int) -> int:\n  yield 1", "A service yields"),
    ("@fn.task()\nasync def a(x) -> int: ...", "The type of parameter `x` is missing. Write `x: …`"),
    ("@fn.task()\nasync def a(x: int): ...", "The type of its result is missing"),
    ("@fn.service()\nasync def a(x: int): ...", "The type of its result is missing"),
    ("@fn.task()\nasync def a(*x: int) -> int: ...", r"`\*x: int` takes any number .* take a list"),
    ("@fn.task()\nasync def a(**x: int) -> int: ...", "takes any number of arguments"),
    ("@fn.task()\nasync def a(x: int) -> int:\n  return x", "its body must be `...`"),
    ("@fn.task()\nasync def a(x: int) -> int:\n  raise ValueError", "its body must be `...`"),
    ("@fn.task(form=int)\nasync def a() -> int: ...", "as its first parameter, and has none"),
    ("@fn.task()\nasync def a() -> int: ...\n@fn.task()\nasync def a() -> int: ...", "already has an operation `a`"),
    ("@fn.task(due='2 working days')\nasync def a() -> int: ...", "due='2 working days'.* no working calendars yet"),
    ("@fn.task(due='1 month')\nasync def a() -> int: ...", "a month has no fixed length"),
    ("@fn.task(effort='soon')\nasync def a() -> int: ...", "effort='soon'.* is not a duration"),
    ("@fn.task(was='b')\nasync def a() -> int: ...", r"Write was=\(\"b\",\)"),
    ("@fn.task(title='')\nasync def a() -> int: ...\n@fn.task(title=' x')\nasync def b() -> int: ...", "a blank"),
    ("@fn.service(attempts=0)\nasync def a() -> int: ...", "attempted at least once"),
    ("@fn.service(timeout='0 seconds')\nasync def a() -> int: ...", "no time to do anything"),
    ("@fn.service()\nclass a: ...", "A service must be a function, not type"),
    ("fn.service()(len)", "must be a function, not builtin_function_or_method"),
    ("Function('A.b', owner='x')", "has a full stop"),
    ("Function('', owner='x')", "is empty"),
    ("Function('A', owner='x ')", "the owner of a function 'x ' begins or ends with a blank"),
    ("role('a\\nb')", "control character"),
    ("@process(owner=fn, key='x')\nasync def a(x: int) -> int: ...", "the same for every instance"),
    ("@process(owner=fn, key_forever=True)\nasync def a(x: int) -> int: ...", "key_forever=True without a key"),
    ("@process(owner=fn, title='{x')\nasync def a(x: int) -> int: ...", "cannot be read"),
    ("@process(owner=fn, title='{x[0]}')\nasync def a(x: int) -> int: ...", "A place names an input"),
    ("@process(owner=fn, title='{x.__class__}')\nasync def a(x: int) -> int: ...", "A place names an input"),
    ("@process(owner=fn, title='{x!r}')\nasync def a(x: int) -> int: ...", "A place names an input"),
]


@pytest.mark.parametrize(("source", "told"), AT_ONCE)
def test_what_can_be_seen_at_once_is_refused_by_the_decorator(source: str, told: str) -> None:
    with pytest.raises(NotDeclarable, match=told) as caught:
        declared(source)
    assert "made.py:" in str(caught.value) or source.startswith("role")


AT_LOAD = [
    ("@fn.task()\nasync def a(x: 'Nope') -> int: ...", "The type `Nope` .* does not exist at run time"),
    ("@fn.task()\nasync def a() -> 'Nope': ...", "The type `Nope` .* does not exist at run time"),
    ("@fn.task()\nasync def a(x: object) -> int: ...", "field `x`, .* use `pydantic.JsonValue`"),
    ("@fn.service()\ndef a() -> Any: ...", "the result of made.a .*JsonValue"),
    ("@fn.task(form=object)\nasync def a(x: object) -> int: ...", "the answer to made.a .*JsonValue"),
    ("@fn.task(form=Approved)\nasync def a(x: Declined) -> int: ...", "`x` is not of the type that form=… names"),
    ("@fn.task()\nasync def a(x: int = None) -> int: ...", "the default of `x` does not fit its type"),
    (
        "@process(owner=fn, title='{y}')\nasync def a(x: int) -> int: ...",
        "names `y`, which is not an input. There are: x",
    ),
    (
        "@process(owner=fn, key='{x.y}')\nasync def a(x: Approved) -> int: ...",
        "Approved has no `y`. It has: .*conditions",
    ),
    ("@process(owner=fn, title='{x.y}')\nasync def a(x: Approved | None) -> int: ...", "Approved has no `y`"),
    (
        "@dataclass(eq=False)\nclass E(Exception):\n  x: object\n@fn.service(raises=[E])\ndef a() -> int: ...",
        "error E.*Json",
    ),
]


@pytest.mark.parametrize(("source", "told"), AT_LOAD)
def test_what_the_types_show_is_refused_when_the_application_is_loaded(source: str, told: str) -> None:
    module = declared(source)
    with pytest.raises(AuthorError, match=told) as caught:
        Registry.of([module])
    assert "made.py:" in str(caught.value)


def test_a_type_imported_for_the_type_checker_only_is_told_with_the_remedy() -> None:
    own = Function("Own", owner="o")

    @own.task()
    async def estimate() -> "OnlyForTheChecker": ...

    with pytest.raises(
        NotDeclarable, match=r"`OnlyForTheChecker` .* imported under `if TYPE_CHECKING:`, import it as usual"
    ):
        estimate.check()


def test_everything_that_cannot_work_is_told_in_one_error() -> None:
    module = declared("@fn.task()\nasync def a(x: 'Nope') -> int: ...\n@fn.task()\nasync def b(x: object) -> int: ...")
    with pytest.raises(AuthorError, match=r"^2 declarations cannot work:\n  - made\.a .*\n  - made\.b"):
        Registry.of([module])


def test_two_functions_or_processes_of_one_name_are_refused_with_both_places() -> None:
    one, two = (
        declared("@process(owner=fn)\nasync def a() -> int: ..."),
        declared("@process(owner=fn)\nasync def a() -> int: ..."),
    )
    with pytest.raises(AuthorError, match=r"two processes named 'a'; the other is at made\.a \(made\.py:2\)") as caught:
        Registry.of([one, two])
    assert "two functions named 'Fn'" in str(caught.value)


def test_former_names_lead_to_the_present_operation_and_may_not_be_taken() -> None:
    registry = Registry.of([sys.modules[desk.__name__]])
    assert registry.find_operation("Law.judge") is desk.advise
    assert registry.find_operation("Legal affairs.judge") is desk.advise
    assert registry.find_operation("Law.advise") is desk.advise
    assert registry.find_operation("Law.other") is None
    assert registry.find_process("handle") is desk.handle
    taken = declared("@fn.task(was=('b',))\nasync def a() -> int: ...\n@fn.task()\nasync def b() -> int: ...")
    with pytest.raises(AuthorError, match=r"was names 'Fn\.b', which is also"):
        Registry.of([taken])


def test_an_application_is_known_by_its_names() -> None:
    registry = Registry.of([sys.modules[desk.__name__]])
    assert set(registry.functions) == {"Front desk", "Legal affairs"}
    assert registry.operations["Front desk.pay"] is desk.pay
    assert registry.processes["handle"] is desk.handle


def test_an_operation_says_what_its_performer_is_told() -> None:
    task = desk.register
    assert isinstance(task, Task)
    assert (task.id, task.title) == ("Front desk.register", "Register the application")
    assert desk.look.title == "Look"
    assert task.instructions == "Check that the form is complete, and note the file number."
    assert task.by == role("Front desk")
    assert task.due is not None
    assert task.due.length == timedelta(days=1)
    assert task.effort is not None
    assert (task.effort.length_us, task.effort.working) == (20 * MINUTE_US, True)
    assert desk.look.due is None
    assert task.__name__ == "register"


def test_a_service_says_how_it_is_attempted() -> None:
    service = desk.pay
    assert isinstance(service, Service)
    assert (service.attempts, service.timeout.length_us, service.is_async) == (3, 30 * SECOND_US, True)
    assert desk.count.is_async is False
    assert [service.backoff.delay_us(attempt) for attempt in (1, 2, 3)] == [2 * SECOND_US, 4 * SECOND_US, 8 * SECOND_US]
    assert service.backoff.delay_us(1_000) == HOUR_US
    assert Backoff(service.timeout, factor=1.0).delay_us(9) == 30 * SECOND_US


def test_who_performs_a_task_may_be_said() -> None:
    @team.task(by=role("Lawyers"))
    async def judge() -> bool: ...

    assert str(judge.by) == "Lawyers"


class Grade(Enum):
    GOOD = "good"


@dataclass
class Person:
    name: str
    grade: Grade = Grade.GOOD
    boss: "Person | None" = None
    tags: list[str] = field(default_factory=list)

    @property
    def shout(self) -> str:
        return self.name.upper()


def titled(title: str | None, **options: Any) -> Process[Any, Any]:
    @process(owner=team, title=title, **options)
    async def hire(person: Person, days: int = 3) -> None:
        """Take somebody on."""

    hire.check()
    return hire


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("{person.name}: {days} days", "Ann: 3 days"),
        ("{person.shout} {person.grade} {{x}} {days:03}", "ANN good {x} 003"),
        ("{person.boss.name}", "Take somebody on"),
        (None, "Take somebody on"),
        ("{person.name} " + "x" * 300, "Ann " + "x" * 195 + "…"),
    ],
)
def test_the_title_of_an_instance_is_made_from_its_inputs(title: str | None, told: str) -> None:
    assert titled(title).title_for({"person": Person("Ann"), "days": 3}) == told


def test_a_title_stays_on_one_line() -> None:
    assert titled("{person.name}").title_for({"person": Person("Ann\n\tLee\0 x"), "days": 3}) == "Ann Lee x"


def test_a_key_is_normalised_and_refused_if_it_cannot_be_one() -> None:
    hire = titled(None, key="{person.name}")
    assert hire.key_for({"person": Person("Zoe\u0308"), "days": 3}) == "Zoë"
    for name in ("", " Ann", "a\nb", "x" * 201):
        with pytest.raises(InvalidValue, match="business key"):
            hire.key_for({"person": Person(name), "days": 3})
    assert titled(None).key_for({"person": Person("Ann"), "days": 3}) is None


def test_a_process_says_what_it_is() -> None:
    assert (desk.handle.name, desk.handle.label) == ("handle", "Receipt of an application")
    assert desk.paying.label == "Paying"
    assert desk.handle.owner is desk.desk
    assert [f.path for f in desk.handle.inputs.fields()] == ["application"]


def test_the_digest_of_an_input_depends_on_the_key_of_its_instance() -> None:
    assert len(input_digest(b"k" * 32, b"{}")) == 16
    assert input_digest(b"k" * 32, b"{}") != input_digest(b"l" * 32, b"{}")


def test_a_decorator_leaves_an_operation_that_knows_its_author_s_function() -> None:
    body: Callable[..., Any] = desk.pay.body
    assert isinstance(desk.pay, Operation)
    assert body.__name__ == "pay"
    assert desk.pay.declared.where.startswith("tests.language.desk.pay (tests/language/desk.py:")
    assert Application.__name__ in str(desk.register.inputs.schema())


def test_a_type_that_cannot_cross_is_refused_in_words_for_authors() -> None:
    class Door:
        pass

    @dataclass(frozen=True)
    class House:
        door: Door

    with pytest.raises(NotDeclarable, match=r"nothing says how a value of .*Door is written down") as refused:
        ValueCodec(House)
    assert "pydantic-core" not in str(refused.value)
    assert "arbitrary" not in str(refused.value)
