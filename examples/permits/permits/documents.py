"""The documents of a file: what one function hands to the next, and what each form asks.

Every answer names the `group` that gave it. Groups overlap in practice and are often left empty, so they are recorded
as they are and decide nothing.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Application:
    """An application for an environmental permit, as it came in."""

    case: str
    channel: str
    department: str
    responsible: str


# --- the confirmation of receipt ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Admitted:
    """The application is taken into procedure; this is the letter that confirms its receipt."""

    confirmation: str
    group: str


@dataclass(frozen=True)
class DealtWithElsewhere:
    """The application does not enter this procedure: a duplicate, another authority's, or taken back at once."""

    reason: str
    group: str


class Finding(Enum):
    """What a check of the confirmation of receipt finds."""

    CORRECT = "correct"
    MISTAKES = "mistakes"
    NO_LONGER_DUE = "no longer due"


@dataclass(frozen=True)
class ConfirmationCheck:
    """Somebody else read the confirmation of receipt."""

    finding: Finding
    remarks: str
    group: str


class Ruling(Enum):
    """What the authorised official says about the confirmation of receipt."""

    ESTABLISHED = "established"
    OBJECTIONS = "objections"
    NOT_ISSUED = "not issued"


@dataclass(frozen=True)
class ConfirmationRuling:
    """The authorised official decided on the confirmation of receipt."""

    ruling: Ruling
    remarks: str
    group: str


@dataclass(frozen=True)
class Draft:
    """The text of a letter, notice or report, written or adjusted."""

    text: str
    group: str


@dataclass(frozen=True)
class Established:
    """The authorised official put a name under it."""

    group: str


@dataclass(frozen=True)
class Sent:
    """It was printed and went out."""

    group: str


# --- advice on stopping the term ---------------------------------------------------------------------------------


class AdviceNeed(Enum):
    """Can we judge by ourselves whether the statutory term must be stopped?"""

    NONE = "the file speaks for itself"
    WANTED = "advice is wanted"
    MOOT = "the question no longer arises"


@dataclass(frozen=True)
class Necessity:
    """Whether advice is needed before the municipality decides to stop the term, and on what."""

    need: AdviceNeed
    question: str
    group: str


@dataclass(frozen=True)
class InternalAdvice:
    """What a colleague thinks, from one aspect of the law."""

    text: str
    others_concerned: bool
    group: str


@dataclass(frozen=True)
class ExternalRequest:
    """A request for advice went to the outside parties."""

    text: str
    colleagues_concerned: bool
    group: str


@dataclass(frozen=True)
class ExternalAdvice:
    """What an outside party answered."""

    text: str
    group: str


Advice = InternalAdvice | ExternalAdvice


# --- what follows from it ----------------------------------------------------------------------------------------


class Stop(Enum):
    """Must the statutory term be stopped?"""

    NO = "the term runs on"
    NO_PERMIT_NEEDED = "no permit is needed"
    YES = "the term must be stopped"


@dataclass(frozen=True)
class StopIndication:
    """Whether there is reason to stop the statutory term."""

    stop: Stop
    group: str


@dataclass(frozen=True)
class PermitNeeded:
    """Writing the notice showed that a permit is needed after all."""

    reason: str
    group: str


@dataclass(frozen=True)
class TextCheck:
    """Somebody else read the notice or the report."""

    correct: bool
    remarks: str
    group: str


class Outcome(Enum):
    """How the receipt phase ended."""

    NOT_IN_PROCEDURE = "not in procedure"
    IN_PROCEDURE = "in procedure"
    NO_PERMIT_NEEDED = "no permit needed"
    TERM_STOPPED = "term stopped"
    CLOSED = "closed"


@dataclass(frozen=True)
class ReceiptPhase:
    """The end of the receipt phase, for the phase that decides on the permit."""

    outcome: Outcome
    confirmed: bool
    advice: tuple[Advice, ...]
