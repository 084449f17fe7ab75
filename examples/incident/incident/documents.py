"""What is handed on while an incident is handled, and the messages that come and go meanwhile."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad it is."""

    CRITICAL = "critical"
    NORMAL = "normal"


@dataclass(frozen=True)
class Incident:
    """A service does not do what it should; `part_of` names an incident that it turned out to be a part of."""

    number: str
    service: str
    symptom: str
    customers: tuple[str, ...]
    severity: Severity = Severity.NORMAL
    part_of: str | None = None


@dataclass(frozen=True)
class Repaired:
    """It runs again."""

    cause: str


@dataclass(frozen=True)
class Report:
    """How it went: who was in charge, what it was, who was told, how often the customer said that it was not over."""

    leader: str
    cause: str
    told: tuple[str, ...]
    reopened: int


# --- messages ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affected:
    """From the service desk, for an incident: another customer has called."""

    customer: str


@dataclass(frozen=True)
class Recovered:
    """From the monitoring, for an incident: the checks that raised it are green again. Kept for no other on the same service."""

    since: str


@dataclass(frozen=True)
class Confirmed:
    """From the customers' portal, for an incident: the customer has clicked on "solved", or on "not solved"."""

    is_solved: bool


@dataclass(frozen=True)
class Solved:
    """From an incident, for those that are a part of it."""

    cause: str
