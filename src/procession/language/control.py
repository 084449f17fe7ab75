"""Time, chance and notes inside a process: stand-ins that give the same in every replay."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from random import Random
from typing import Any, NoReturn
from uuid import UUID

from procession import kernel
from procession.calendars.durations import Duration, DurationUnclear
from procession.errors import AuthorError, InvalidValue, OutsideProcess, PayloadTooLarge
from procession.kernel import TIMER_OPERATION, CallKind, Failure, HaltInstance, Terms
from procession.language.codec import ValueCodec
from procession.language.functions import Written
from procession.language.names import normal_name
from procession.language.picking import Arrival, arrival

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Elapsed:
    """What a timer gives when it is due: the alternative to an answer. `due` is the moment it was set to, in UTC."""

    due: datetime


def now() -> datetime:
    """The present moment of the instance, in UTC: the time of the event that is being applied. The same in replay."""
    _require_process("now()")
    return _moment(kernel.now_us())


def deadline(written: Written) -> asyncio.Timeout:
    """`async with deadline("3 days"):` ends its block with `TimeoutError` when the time has passed. Durable.

    What the block asked for and waits for then is withdrawn.
    """
    _require_process("deadline()")
    length_us = _calendar_time(written).length_us
    return asyncio.timeout(length_us / 1_000_000)


def after(written: Written) -> Coroutine[Arrival, Any, Elapsed]:
    """Waits this long, durably. Raises nothing; withdrawn if its branch is cancelled."""
    return kernel.to_be_awaited(_after(written), "after")


@arrival
async def _after(written: Written) -> Elapsed:
    _require_process("after()")
    return await _timer(_calendar_time(written).after(kernel.now_us()))


def until(moment: datetime) -> Coroutine[Arrival, Any, Elapsed]:
    """Waits for a moment, durably; one that has passed is due at once. A moment without a time zone is refused."""
    return kernel.to_be_awaited(_until(moment), "until")


@arrival
async def _until(moment: datetime) -> Elapsed:
    _require_process("until()")
    if moment.tzinfo is None:
        raise InvalidValue(
            f"until({moment.isoformat()}): a moment without a time zone: nobody can say when that is.",
            problems={"": "has no time zone"},
            subject="until",
            remedy="Give it one: datetime(…, tzinfo=ZoneInfo(…)).",
        )
    return await _timer((moment - _EPOCH) // _MICROSECOND)


async def _timer(due_us: int) -> Elapsed:
    elapsed = Elapsed(_moment(due_us))
    return await kernel.perform(
        CallKind.TIMER, TIMER_OPERATION, b"", decode=lambda _: elapsed, rebuild=_no_failure, terms=Terms(due_us)
    )


def _no_failure(failure: Failure) -> Exception:
    return RuntimeError(f"a timer failed: {failure.message}")


def _calendar_time(written: Written) -> Duration:
    try:
        return Duration.parse(written).require_calendar_time()
    except DurationUnclear as error:
        raise AuthorError(str(error), subject=str(written)) from None


def _moment(moment_us: int) -> datetime:
    return _EPOCH + moment_us * _MICROSECOND


def uuid4() -> UUID:
    """A random UUID that comes out the same in every replay of the instance."""
    _require_process("uuid4()")
    return kernel.uuid4()


class _InstanceRandom(Random):
    """The random numbers of the instance whose code is running: a `random.Random` that replays."""

    def __init__(self) -> None:
        super().__init__(0)

    def random(self) -> float:
        return _source().random()

    def getrandbits(self, k: int, /) -> int:
        return _source().getrandbits(k)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        # Python keeps every second number of a gauss in the object: this one is shared, the instance's own is not.
        return _source().gauss(mu, sigma)

    def seed(self, *_: Any, **__: Any) -> None:
        """The instance is the seed."""

    def getstate(self) -> NoReturn:
        raise AuthorError("The random numbers of an instance have no state to take away.", remedy="Draw them anew.")

    def setstate(self, state: Any) -> NoReturn:
        self.getstate()


def _source() -> Random:
    _require_process("random")
    return kernel.random()


random: Random = _InstanceRandom()
"""Random numbers, as from Python's `random`, that come out the same in every replay of the instance."""

AttributeValue = str | int | bool | float | Decimal | date | datetime | time | UUID | Enum | None
"""What an attribute may hold: one value to search by, no structure."""

_ATTRIBUTE_TYPES: tuple[type, ...] = (bool, str, int, float, Decimal, datetime, date, time, UUID)


def attribute(**values: AttributeValue) -> None:
    """Notes business data of the instance, to search it by: `attribute(customer="Dell", amount=order.amount)`.

    The last value of a name counts; None removes it. Raises `InvalidValue` for a value with structure.
    """
    _require_process("attribute()")
    members = ",".join(
        f"{_attribute_codec(str).encode(normal_name(name, what='attribute')).decode()}:{_attribute_json(name, value)}"
        for name, value in sorted(values.items())
    )
    kernel.set_attributes(f"{{{members}}}".encode())


@cache
def _attribute_codec(cls: type) -> ValueCodec[Any]:
    return ValueCodec(cls, where="the attribute")


def _attribute_json(name: str, value: AttributeValue) -> str:
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return "null"
    for cls in _ATTRIBUTE_TYPES:
        if isinstance(value, cls):
            try:
                return _attribute_codec(cls).encode(value).decode()
            except PayloadTooLarge as error:
                raise HaltInstance("payload-limit", f"The attribute {name}: {error}") from error
    raise InvalidValue(
        f"The attribute {name} is a {type(value).__name__}, and can hold one value only.",
        problems={name: f"is a {type(value).__name__}"},
        subject=name,
        remedy="Note the texts, numbers or dates in it, each under a name of its own.",
    )


def _require_process(what: str) -> None:
    if kernel.current() is None:
        raise OutsideProcess(
            f"{what} was used where no instance runs.",
            subject=what,
            remedy="Use it in a process; a service or a script takes Python's own.",
        )
