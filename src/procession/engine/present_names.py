"""Histories in the names that operations have today: `was=` moves no instance."""

from dataclasses import replace

from procession.kernel import CallRequested, Event
from procession.language.process import OTHER_INSTANCES
from procession.language.registry import Registry


def in_present_names(event: Event, registry: Registry) -> Event:
    """An event of a history; an operation or process that was named otherwise then has its present name in it."""
    if isinstance(event, CallRequested) and event.kind in OTHER_INSTANCES:
        process = registry.find_process(event.operation)
        return event if process is None or process.name == event.operation else replace(event, operation=process.name)
    if isinstance(event, CallRequested) and (present := registry.former_names.get(event.operation)):
        return replace(event, operation=present)
    return event
