"""How many attempts may run at once, and begin in a minute: per service, and per outside system that several services call.

Attempts that must wait for their turn begin in the order in which they came due, whichever instance they belong to.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from procession.engine.contract import View
from procession.language.operations import Service

MINUTE_US = 60_000_000

AnyService = Service[..., object]


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts at once, and so many begun in any minute; None where there is no limit."""

    at_once: int | None = None
    per_minute: int | None = None


def names_of(service: AnyService) -> tuple[str, ...]:
    """The names under which a service is limited: its own, and that of its system."""
    return (service.id,) if service.system is None else (service.id, service.system)


class Limits:
    """The limits in force, by the name of a service or a system; they may be changed while attempts run."""

    def __init__(self, limits: Mapping[str, Limit] | None = None) -> None:
        self.in_force: Mapping[str, Limit] = limits or {}
        self.paused: frozenset[str] = frozenset()
        """Services and systems that a person has paused: no attempt at them begins."""
        self.left_behind: Callable[[], Mapping[str, int]] = dict
        """How many attempts at each service were given up and have not ended: they count until they do."""
        self._begun: dict[str, deque[int]] = {}

    def holds(self, service: AnyService) -> bool:
        """Whether attempts at this service may have to wait for their turn."""
        if not self.in_force and not self.paused:
            return False
        return any(name in self.in_force or name in self.paused for name in names_of(service))

    def turns(self, view: View, find: Callable[[str], AnyService | None]) -> "Turns":
        """Who may begin now."""
        running: Counter[str] = Counter()
        if self.in_force:
            given_up = Counter(self.left_behind()).elements()
            for operation in (*(row.operation for row in view.running_service_calls()), *given_up):
                service = find(operation)
                running.update(names_of(service) if service is not None else ())
        return Turns(self, running, view.now_us)

    def free_after_us(self, name: str, now_us: int) -> int | None:
        """When the next attempt may begin by the limit of a minute; None where it may begin now."""
        limit = self.in_force.get(name)
        begun = self._begun.get(name)
        if limit is None or limit.per_minute is None or begun is None:
            return None
        while begun and begun[0] <= now_us - MINUTE_US:
            begun.popleft()
        return None if len(begun) < limit.per_minute else begun[-limit.per_minute] + MINUTE_US

    def note(self, name: str, now_us: int) -> None:
        """An attempt begins. One that is not carried out after all counts too: better too few in a minute than too many."""
        if name in self.in_force and self.in_force[name].per_minute is not None:
            self._begun.setdefault(name, deque()).append(now_us)


@dataclass(slots=True)
class Turns:
    """Whose turn it is, in one decision."""

    limits: Limits
    running: Counter[str]
    now_us: int
    held: set[str] = field(default_factory=set)
    """Services that have to wait."""
    free_us: int | None = None
    """When one of them may go on, where only the limit of a minute holds it."""

    def take(self, service: AnyService) -> bool:
        """Whether an attempt at this service may begin; then it counts."""
        if not self.limits.holds(service):
            return True
        names = names_of(service)
        if not self.limits.paused.isdisjoint(names):
            self.held.add(service.id)
            return False
        for name in names:
            limit = self.limits.in_force.get(name)
            if limit is not None and limit.at_once is not None and self.running[name] >= limit.at_once:
                self.held.add(service.id)
                return False
        waits = [us for us in (self.limits.free_after_us(name, self.now_us) for name in names) if us is not None]
        if waits:
            self.held.add(service.id)
            self.free_us = max(waits) if self.free_us is None else min(self.free_us, max(waits))
            return False
        for name in names:
            self.running[name] += 1
            self.limits.note(name, self.now_us)
        return True
