"""The event log of an application: one row per completed call, in the order in which they were committed."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.attention import registry_if_it_loads
from procession.services.naming import names_of_process
from procession.services.records import maybe_moment, moment
from procession.store import LogEntry, Readers, open_readers

PAGE = 500


@dataclass(frozen=True, slots=True)
class LogRow:
    """One completed call. `started` is None for a call that was never started (a service, or one completed by hand)."""

    instance: str
    business_key: str | None
    operation: str
    title: str
    function: str
    requested: datetime
    started: datetime | None
    completed: datetime
    performer: str | None


def read_log(application: Application, *, process: str | None = None) -> Iterator[LogRow]:
    """The rows, page by page, each page a snapshot of its own: an export of millions holds up nobody.

    Raises `NoSuchProcess`, before there is any row.
    """
    registry = registry_if_it_loads(application)  # without one, titles of services are their names
    readers = open_readers(application.store) if application.store.exists() else None
    try:
        with readers.snapshot() if readers is not None else nullcontext() as view:
            processes = None if process is None else names_of_process(process, registry, view)
    except BaseException:
        if readers is not None:
            readers.close()
        raise
    return iter(()) if readers is None else _rows(readers, registry, processes)


def _rows(readers: Readers, registry: Registry | None, processes: tuple[str, ...] | None) -> Iterator[LogRow]:
    try:
        after = 0
        while True:
            with readers.snapshot() as view:
                page = view.log.completed(after=after, limit=PAGE)
            for entry in page:
                if processes is None or entry.process in processes:
                    yield _row(entry, registry)
            if len(page) < PAGE:
                return
            after = page[-1].position
    finally:
        readers.close()


def _row(entry: LogEntry, registry: Registry | None) -> LogRow:
    operation = registry.find_operation(entry.operation) if registry is not None and entry.kind == "service" else None
    return LogRow(
        instance=entry.instance,
        business_key=entry.business_key,
        operation=entry.operation,
        title=operation.title if operation is not None else entry.title,
        function=entry.function,
        requested=moment(entry.requested_us),
        started=maybe_moment(entry.started_us),
        completed=moment(entry.completed_us),
        performer=entry.performer,
    )
