"""Histories in the names that operations have today: `was=` moves no instance."""

from dataclasses import replace

from procession.kernel import CallRequested, Event, Renewed
from procession.language.process import OTHER_INSTANCES
from procession.language.registry import Registry


def _present(kind: str, operation: str, registry: Registry) -> str:
    if kind in OTHER_INSTANCES:
        process = registry.find_process(operation)
        return operation if process is None else process.name
    return registry.former_names.get(operation) or operation


def in_present_names(event: Event, registry: Registry) -> Event:
    """An event of a history; an operation or process that was named otherwise then has its present name in it."""
    if isinstance(event, Renewed):
        noted = (replace(each, operation=_present(each.kind, each.operation, registry)) for each in event.compensations)
        return replace(event, compensations=tuple(noted))
    if (
        isinstance(event, CallRequested)
        and (present := _present(event.kind, event.operation, registry)) != event.operation
    ):
        return replace(event, operation=present)
    return event
