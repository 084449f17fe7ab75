"""Reads a recorded log of the receipt phase: one row per completed activity, as published by the municipality.

Source of the format: J. Buijs, "Receipt phase of an environmental permit application process (WABO)", CoSeLoG project,
4TU.ResearchData, 2014, doi 10.4121/uuid:a07386a5-7be3-4367-9535-70bc9e77dbe6, as CSV.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from procession.errors import InvalidValue, OperatorError
from procession.language.names import normal_name

NEEDED_COLUMNS = ("case", "activity", "completed", "group", "resource", "channel", "department", "responsible")
_SHOWN_PROBLEMS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogNotReadable(OperatorError):
    """A recorded log is missing, is not CSV, lacks columns, or has rows that cannot be what they should be."""

    code = "log-not-readable"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Somebody completed an activity. `group` is data: groups overlap and are often empty."""

    activity: str
    at_us: int
    performer: str
    group: str


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """One recorded application, its events in order. `closed` where the municipality closed it."""

    case: str
    started_us: int
    closed: bool
    channel: str
    department: str
    responsible: str
    events: tuple[RecordedEvent, ...]

    @property
    def activities(self) -> tuple[str, ...]:
        """The names of what was done, in order."""
        return tuple(event.activity for event in self.events)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: an event, and what its row says about the case."""

    event: RecordedEvent
    case_started_us: int | None
    closed: bool
    channel: str
    department: str
    responsible: str


def read_log(path: Path) -> tuple[RecordedCase, ...]:
    """The cases of a log (CSV, or CSV packed by gzip), by start. Raises `LogNotReadable` with the lines at fault."""
    rows: dict[str, list[_Row]] = {}
    problems: list[str] = []
    reader = csv.DictReader(io.StringIO(_text_of(path), newline=""), strict=True)
    try:
        _check_columns(path, reader.fieldnames or ())
        for row in reader:
            try:
                rows.setdefault(_name(row, "case"), []).append(_row_of(row))
            except ValueError as error:
                problems.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        raise _not_readable(path, f"is no CSV: line {reader.line_num}: {error}", "Correct the file.") from error
    if problems:
        more = f", and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        raise _not_readable(path, f"has {len(problems)} broken rows ({shown}{more})", "Correct or remove them.")
    if not rows:
        raise _not_readable(path, "has no rows", "Name a log with at least one event.")
    return tuple(sorted((_case_of(name, found) for name, found in rows.items()), key=lambda case: case.started_us))


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    if missing:
        raise _not_readable(
            path,
            f"has no column {', '.join(missing)}",
            f"A log has one row per event, with {', '.join(NEEDED_COLUMNS)}.",
        )


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise _not_readable(path, f"is no CSV in UTF-8, or not whole: {error}", "Fetch it again.") from error
    except OSError as error:
        raise _not_readable(
            path, f"cannot be read: {error.strerror or error}", "Name a log with --log FILE."
        ) from error


def _not_readable(path: Path, fault: str, remedy: str) -> LogNotReadable:
    return LogNotReadable(f"The log {path} {fault}.", subject=str(path), remedy=f"{remedy} Nothing was run.")


def _row_of(row: dict[str, str]) -> _Row:
    """Raises `ValueError` with what is wrong with it."""
    if None in row or None in row.values():
        raise ValueError("it has not as many fields as there are columns")
    started = (row.get("case_started") or "").strip()
    return _Row(
        event=RecordedEvent(
            activity=_given(row, "activity"),
            at_us=_moment_us(_given(row, "completed")),
            performer=_name(row, "resource"),
            group=row["group"],
        ),
        case_started_us=_moment_us(started) if started else None,
        closed=bool((row.get("case_ended") or "").strip()),
        channel=row["channel"].strip(),
        department=row["department"].strip(),
        responsible=row["responsible"].strip(),
    )


def _case_of(name: str, rows: Iterable[_Row]) -> RecordedCase:
    ordered = sorted(rows, key=lambda row: row.event.at_us)  # stable: equal times keep the order of the file
    first = ordered[0]
    first_us = first.event.at_us
    return RecordedCase(
        case=name,
        started_us=first_us if first.case_started_us is None else min(first_us, first.case_started_us),
        closed=first.closed,
        channel=first.channel,
        department=first.department,
        responsible=first.responsible,
        events=tuple(row.event for row in ordered),
    )


def _given(row: dict[str, str], column: str) -> str:
    value = (row.get(column) or "").strip()
    if not value:
        raise ValueError(f"{column} is empty")
    return value


def _name(row: dict[str, str], column: str) -> str:
    try:
        return normal_name(_given(row, column), what=column)
    except InvalidValue as error:
        raise ValueError(error.message.rstrip(".")) from None


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date and time") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    if not _EPOCH <= moment <= datetime.now(UTC):
        raise ValueError(f"{text!r} is before 1970 or not yet over")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
