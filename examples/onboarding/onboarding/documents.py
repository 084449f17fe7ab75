"""What is handed on while somebody joins, and what each form asks."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Hire:
    """Somebody who has signed a contract: `systems` are what they need access to, `courses` what they have to learn."""

    number: str
    name: str
    team: str
    first_day: date
    systems: tuple[str, ...] = ()
    courses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """An account in the company's directory."""

    login: str


@dataclass(frozen=True)
class Laptop:
    """The machine that somebody is handed on the first day."""

    serial_number: str
    on_loan: bool = False


@dataclass(frozen=True)
class BankDetails:
    """Where the salary goes."""

    iban: str
    tax_number: str


@dataclass(frozen=True)
class Seat:
    """Where somebody finds their desk, and the badge that opens the doors to it."""

    room: str
    badge: str


@dataclass(frozen=True)
class Talk:
    """What came of a talk about the first weeks."""

    goes_well: bool
    agreed: str


@dataclass(frozen=True)
class Confirmed:
    """The probation is over, and both sides want to go on."""

    praise: str


@dataclass(frozen=True)
class Extended:
    """It is too early to tell: one month more."""

    why: str


@dataclass(frozen=True)
class Ended:
    """It does not work, and ends with the probation."""

    why: str


Verdict = Confirmed | Extended | Ended


@dataclass(frozen=True)
class Onboarded:
    """How it went."""

    stays: bool
    login: str
    courses_done: int
    talks: tuple[Talk, ...]
