"""What keeps calls from being done though nothing is wrong: pauses and limits, as one snapshot has them, for lists and pages."""

from functools import cached_property

from procession.engine.limits import names_of
from procession.engine.suspending import PAUSES, Scope, Suspension, find_pause, paused_process
from procession.errors import ProcessionError
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.limiting import KEPT, limits_on
from procession.services.records import LimitShown, PauseShown, SuspensionShown, moment
from procession.services.scopes import pause_shown, pauses_shown
from procession.store import InstanceRow, View


class Holding:
    """The pauses and limits in force. Without `registry` the application does not load: names are taken as they were kept."""

    def __init__(self, application: Application, view: View, registry: Registry | None) -> None:
        self._application = application
        self._view = view
        self._registry = registry

    @cached_property
    def _kept(self) -> dict[str, str]:
        return self._view.metas(PAUSES)

    @cached_property
    def pauses(self) -> tuple[PauseShown, ...]:
        """All pauses in force."""
        return pauses_shown(self._kept)

    def pause_at(self, operation: str) -> PauseShown | None:
        """The pause that holds calls of an operation: its own, or that of the outside system of its service."""
        if not self._kept:
            return None
        names = (operation,) if self._registry is None else self._registry.names_of_operation(operation)
        return self._find(Scope.OPERATION, names) or self._find(Scope.SYSTEM, self._systems(operation))

    def pause_of_process(self, process: str) -> PauseShown | None:
        """The pause of a process, by which it is not started and its instances stand still."""
        names = (process,) if self._registry is None else self._registry.names_of_process(process)
        return self._find(Scope.PROCESS, names)

    def _systems(self, operation: str) -> tuple[str, ...]:
        service = None if self._registry is None else self._registry.find_service(operation)
        return () if service is None else names_of(service)[1:]

    def _find(self, scope: Scope, names: tuple[str, ...]) -> PauseShown | None:
        pause = find_pause(self._kept.get, scope, names)
        return None if pause is None else pause_shown(pause)

    def limits_on(self, operation: str) -> tuple[LimitShown, ...]:
        """The limits by which attempts at a service may have to wait for their turn."""
        service = None if self._registry is None else self._registry.find_service(operation)
        if service is None or self._registry is None:
            return ()
        try:
            return limits_on(service, self._view.metas(KEPT), self._application.settings, self._registry)
        except ProcessionError:
            return ()  # the settings are wrong at the moment; what is open can be read all the same

    def suspension_of(self, row: InstanceRow) -> SuspensionShown | None:
        """Who has an instance stand still, and what has it go on."""
        suspension = Suspension.of(row)
        if suspension is None:
            return None
        names = (row.process,) if self._registry is None else self._registry.names_of_process(row.process)
        by_pause = next((name for name in names if suspension.reason == paused_process(name)), None)
        wide = None if by_pause is None else self.pause_of_process(row.process)
        command = f"procession resume {suspension.within or row.name}" if wide is None else wide.command
        reason = suspension.reason
        if wide is not None and wide.reason:
            reason = f"{reason}, {wide.reason}"
        timers = "stop" if suspension.stops_timers else "run"
        return SuspensionShown(moment(suspension.at_us), suspension.by, reason, timers, suspension.within, command)
