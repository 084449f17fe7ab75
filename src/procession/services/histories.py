"""The history of one instance as a file: written from the store, and replayed on the present source, as a test.

The file has everything that a replay needs: what was handed over, and the secret that chance and digests depend on. It
holds what the instance holds, so it is kept as carefully.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from procession.engine.present_names import in_present_names
from procession.errors import AuthorError, PerformerError, StoreDamaged
from procession.kernel import Divergence, Event, HaltInstance
from procession.language.registry import Registry
from procession.services.application import Application, find_application
from procession.services.desk import no_instance
from procession.services.guarding import replayed
from procession.services.naming import find_instance
from procession.store import EventRow, InstanceRow, open_readers
from procession.store.event_rows import ErasedPayload, decode_event

FORMAT = 1
_TEXTS = ("process", "instance", "uuid", "title", "state")


class HistoryDiffers(AuthorError):
    """A recorded history does not replay on the present source; the text says what differs first."""

    code = "history-differs"


class NotAHistory(PerformerError):
    """A file is not what `procession export history` writes."""

    code = "not-a-history"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One fact as it was recorded. `payload` is None where there is none, or where it was erased."""

    kind: str
    format: int
    header: bytes
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class RecordedHistory:
    """The history of one instance of a process; `secret` is what its chance and its digests depend on."""

    process: str
    instance: str
    uuid: str
    title: str
    state: str
    secret: bytes
    events: tuple[RecordedEvent, ...]

    def to_json(self) -> dict[str, object]:
        """The document that is written."""
        return {
            "format": FORMAT,
            "process": self.process,
            "instance": self.instance,
            "uuid": self.uuid,
            "title": self.title,
            "state": self.state,
            "secret": self.secret.hex(),
            "events": [
                {
                    "kind": event.kind,
                    "format": event.format,
                    "header": json.loads(event.header),
                    "payload": None if event.payload is None else event.payload.decode(),
                }
                for event in self.events
            ],
        }


@dataclass(frozen=True, slots=True)
class HistoryWritten:
    """A history that was written to a file."""

    instance: str
    events: int
    file: str


def export_history(application: Application, reference: str) -> RecordedHistory:
    """The history of an instance. Raises `NoSuchInstance`, and `ErasedPayload` where its values were erased."""
    row, history = None, list[EventRow]()
    if application.store.exists():
        with open_readers(application.store) as readers, readers.snapshot() as view:
            row = find_instance(view, reference, application.load_registry)
            history = [] if row is None else view.history(row.id)
    if row is None:
        raise no_instance(reference)
    return history_of_row(row, history)


def history_of_row(row: InstanceRow, history: Iterable[EventRow]) -> RecordedHistory:
    """The history of an instance whose rows these are. Raises `ErasedPayload`."""
    events = tuple(RecordedEvent(each.kind, each.format, each.header, each.payload) for each in history)
    if row.secret is None:
        raise ErasedPayload(
            f"The values of {row.name} were erased, so its history cannot be replayed any more.",
            subject=row.name,
            remedy="Export the history of another instance.",
        )
    for event in events:
        decode_event(event)  # raises for what could not be read back either
    return RecordedHistory(row.process, row.name, str(UUID(bytes=row.uuid)), row.title, row.state, row.secret, events)


def read_history(path: Path) -> RecordedHistory:
    """The history in a file. Raises `NotAHistory`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise _not_a_history(path, f"it has format {document['format']!r}, and this version reads {FORMAT}")
        events = tuple(_read_event(each) for each in document["events"])
        process, instance, uuid, title, state = (str(document[name]) for name in _TEXTS)
        return RecordedHistory(process, instance, uuid, title, state, bytes.fromhex(document["secret"]), events)
    except OSError as error:
        raise _not_a_history(path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_a_history(path, f"{type(error).__name__}: {error}") from error


def _read_event(each: dict[str, Any]) -> RecordedEvent:
    payload = each["payload"]
    header = json.dumps(each["header"], ensure_ascii=False, separators=(",", ":")).encode()
    return RecordedEvent(str(each["kind"]), int(each["format"]), header, None if payload is None else payload.encode())


def replay_history(history: RecordedHistory, registry: Registry | None, *, near: Path) -> None:
    """Replay it on the present source. Raises `HistoryDiffers` with the first difference.

    Without a registry it is that of the application in whose folder `near` is, or else of the working directory.
    """
    if registry is None:
        registry = _application_at(near).load_registry()
    process = registry.find_process(history.process)
    if process is None:
        raise _differs(history, f"The application has no process {history.process!r} any more.")
    events = [in_present_names(event, registry) for event in _decoded(history)]
    try:
        with replayed(process.program(history.secret), history.secret, events, name=history.instance):
            pass
    except Divergence as divergence:
        raise _differs(history, divergence.message) from divergence
    except HaltInstance as halt:
        raise _differs(history, halt.message) from halt


def _application_at(near: Path) -> Application:
    from procession.services.application import NoApplication

    try:
        return find_application(near.absolute().parent)
    except NoApplication:
        return find_application(Path.cwd())


def _decoded(history: RecordedHistory) -> list[Event]:
    """The events, from where the instance last began anew: what was before then need not replay any more."""
    begins = max((place for place, event in enumerate(history.events) if event.kind == "Renewed"), default=0)
    try:
        return [decode_event(event) for event in history.events[begins:]]
    except StoreDamaged as error:
        raise NotAHistory(
            f"The history of {history.instance}: {error.message}",
            subject=history.instance,
            remedy="Export it anew with `procession export history`.",
        ) from error


def _differs(history: RecordedHistory, what: str) -> HistoryDiffers:
    return HistoryDiffers(
        f"{history.instance} does not replay on the present source: {what}",
        subject=history.instance,
        remedy="Instances that have come as far would halt. Undo that change for them, or export the history anew if it is meant.",
    )


def _not_a_history(path: Path, why: str) -> NotAHistory:
    return NotAHistory(
        f"{path} is not a history: {why}.",
        subject=str(path),
        remedy="Write one with `procession export history NAME --output FILE`.",
    )
