"""Has applied what is due: what instances do to others, timers that fire, attempts at services that begin.

Everything due is one request. Where that fails, it is tried again one by one, so that whatever cannot be applied stands
alone: it is set aside until the next start and told, and everything else goes on.

What instances do to others goes first, so that no timer overtakes it. Only where they keep each other going, and perhaps
never end, do the timers of others that nothing is on its way to, and attempts, come in between.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence

from procession.engine.attempts import begin
from procession.engine.contract import Accepted, Decision, Request, ServiceChange, View
from procession.engine.limits import Limits
from procession.errors import AuthorError, InternalError, StoreDamaged
from procession.language.operations import Service
from procession.language.registry import Registry
from procession.store.deliveries import DeliveryRow
from procession.store.service_calls import ServiceCallRow

log = logging.getLogger("procession.engine")

ENGINE_ACTOR = "engine"
MOST_DUE_AT_ONCE = 64
LONG_CHAIN = 8
MOST_IN_A_ROW = 32

Submit = Callable[[Request], Coroutine[object, object, Accepted]]


class DueWork:
    """Applies what is due.

    `room` says how many attempts may begin at the moment, `limits` at which services, `tell` passes on what was set aside.
    """

    def __init__(
        self,
        registry: Registry,
        submit: Submit,
        *,
        runs_timers: bool,
        room: Callable[[], int],
        limits: Limits,
        tell: Callable[[str], None],
    ) -> None:
        self.registry = registry
        self._submit = submit
        self._runs_timers = runs_timers
        self._room = room
        self._tell = tell
        self._limits = limits
        self.held: frozenset[str] = frozenset()
        """Services whose due calls wait for their turn."""
        self.free_us: int | None = None
        """When one of them may go on by itself."""
        self._in_a_row = 0
        self.set_aside: set[int] = set()
        """Instances whose timers or services cannot be applied, by number."""
        self.not_delivered: dict[int, frozenset[int]] = {}
        """Deliveries that cannot be applied, with the instances concerned: nothing later overtakes them."""

    def take(self, registry: Registry) -> None:
        """Go on with this source; what could not be applied with the one before is tried with it."""
        self.registry = registry
        self.set_aside.clear()
        self.not_delivered.clear()

    async def apply(self) -> None:
        """Apply everything that is due now."""
        while await self._apply(MOST_DUE_AT_ONCE):
            pass

    async def _apply(self, most: int) -> bool:
        """Apply so many timers and calls; gives whether there are more."""
        tried: list[int] = []
        delivered: list[DeliveryRow] = []

        def decide(view: View) -> Decision:
            deliveries = self._deliveries(view, most)
            decision = self._decide(view, most, deliveries)
            delivered[:] = deliveries[: len(decision.delivers)]
            tried[:] = [*decision.fires, *(change.row.instance for change in decision.services)]
            return decision

        try:
            accepted = await self._submit(Request("due", ENGINE_ACTOR, decide, recorded=False))
            return bool(accepted.outcome["more"])
        except (InternalError, StoreDamaged, AuthorError) as error:
            if most > 1:
                return await self._apply_one_by_one()
            if delivered:
                self._leave(delivered[0], error)
                return True
            if not tried:
                raise
            self._set_aside(tried[0], error)
            return True

    async def _apply_one_by_one(self) -> bool:
        for _ in range(2 * MOST_DUE_AT_ONCE):
            if not await self._apply(1):
                return False
        return True

    def _set_aside(self, instance: int, error: Exception) -> None:
        if instance in self.set_aside:
            return
        self.set_aside.add(instance)
        log.error("What is due of instance %d cannot be applied, and is set aside: %s", instance, error)
        self._tell(f"what is due of instance {instance} cannot be applied: {error}")

    def _leave(self, delivery: DeliveryRow, error: Exception) -> None:
        concerned = frozenset(each for each in (delivery.origin, delivery.target) if each is not None)
        self.not_delivered[delivery.id] = concerned
        log.error("What instance %d does to another cannot be applied, and is set aside: %s", delivery.origin, error)
        self._tell(f"what instance {delivery.origin} does to another cannot be applied: {error}")

    def _deliveries(self, view: View, most: int) -> list[DeliveryRow]:
        """The next so many, in order, without those that cannot be applied and those that would overtake one."""
        concerned: set[int | None] = set().union(*self.not_delivered.values())
        found: list[DeliveryRow] = []
        after = 0
        while page := view.deliveries(after=after, limit=MOST_DUE_AT_ONCE):
            after = page[-1].id
            found += [row for row in page if row.origin not in concerned and row.target not in concerned]
            if len(found) >= most or not self.not_delivered:
                break
        return found[:most]

    def _decide(self, view: View, most: int, deliveries: Sequence[DeliveryRow]) -> Decision:
        """So many deliveries; where there are none, so many of the instances with due timers, and then of the due calls."""
        if deliveries and not self._is_turn_of_others(deliveries):
            return Decision(outcome={"more": True}, delivers=tuple(row.id for row in deliveries))

        def may_fire(instance: int) -> bool:
            return instance not in self.set_aside and not (deliveries and view.has_deliveries(instance))

        instances: list[int] = []
        if self._runs_timers:
            instances = view.instances_with_due_timers(limit=most, wanted=may_fire)
        room = min(self._room(), most)
        calls = []
        if room and not (most == 1 and instances):
            calls = self._whose_turn_it_is(view, room)
        return Decision(
            outcome={"more": bool(deliveries or instances) or (bool(calls) and len(calls) == room)},
            fires=tuple(instances),
            services=tuple(ServiceChange(begin(row, self._service(row.operation), view.now_us)) for row in calls),
        )

    def _is_turn_of_others(self, deliveries: Sequence[DeliveryRow]) -> bool:
        """Whether instances have kept each other going for so long that others come in between: it may never end."""
        if max(row.chain for row in deliveries) < LONG_CHAIN:
            self._in_a_row = 0
            return False
        self._in_a_row = (self._in_a_row + 1) % MOST_IN_A_ROW
        return self._in_a_row == 0

    def _whose_turn_it_is(self, view: View, room: int) -> list[ServiceCallRow]:
        """So many due calls, the longest due first; those whose service has reached its limit wait."""
        turns = self._limits.turns(view, self._service)
        chosen: dict[int, ServiceCallRow] = {}
        while len(chosen) < room:
            held = frozenset(turns.held)
            due = view.due_service_calls(limit=room + len(chosen) + len(self.set_aside), without=held)
            for row in due:
                if len(chosen) == room or row.id in chosen or row.instance in self.set_aside:
                    continue
                service = self._service(row.operation)
                if row.operation not in turns.held and (service is None or turns.take(service)):
                    chosen[row.id] = row
                else:
                    turns.held.add(row.operation)
            if turns.held == held:
                break
        self.held, self.free_us = frozenset(turns.held), turns.free_us
        return list(chosen.values())

    def _service(self, operation: str) -> Service[..., object] | None:
        return self.registry.find_service(operation)
