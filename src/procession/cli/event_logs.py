"""`procession export`: the event log for other programs, and one history for a test."""

import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from procession.cli.command import LOOKING, Invocation, command
from procession.cli.output import plural, say, to_json
from procession.cli.parsers import choice

COLUMNS = (
    "instance",
    "business_key",
    "operation",
    "title",
    "function",
    "requested",
    "started",
    "completed",
    "performer",
)


class LogFormat(StrEnum):
    """As what an event log is written."""

    CSV = "csv"
    JSON = "json"


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    export = typer.Typer(help="Write what happened for other programs.", no_args_is_help=True)
    example = "procession export log --format csv --output log.csv"
    command(export, "log", example=example, panel=LOOKING, without=("format",))(export_log)
    example = "procession export history leave-17 --output tests/leave-17.json"
    command(export, "history", example=example, panel=LOOKING)(export_history)
    app.add_typer(export, name="export", rich_help_panel=LOOKING)


def export_log(
    invocation: Invocation,
    log_format: Annotated[
        LogFormat,
        choice("--format", LogFormat, "A table, or one JSON list."),
    ] = LogFormat.CSV,
    process: Annotated[str | None, typer.Option("--process", help="Only of this process.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The file to write (default: print).")
    ] = None,
) -> None:
    """Write the event log: one row per completed call, in the order of their completion."""
    from procession.services.event_log import read_log

    application = invocation.application()
    with contextlib.redirect_stdout(sys.stderr):
        rows = map(to_json, read_log(application, process=process))
    with _target(invocation, output) as target:
        if log_format is LogFormat.CSV:
            _write_csv(rows, target)
        else:
            _write_json(rows, target)


def export_history(
    invocation: Invocation,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The instance: leave-17, a UUID, or process:business key.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The file to write (default: print).")
    ] = None,
) -> None:
    """Write the history of an instance, to be replayed by a test: `world.replay("FILE")`.

    It holds everything that was handed over, and the secret that chance depends on: keep it as you keep the store.
    """
    from procession.services.histories import HistoryWritten
    from procession.services.histories import export_history as read_history

    application = invocation.application()
    with contextlib.redirect_stdout(sys.stderr):
        history = read_history(application, name)
    with _target(invocation, output) as target:
        json.dump(history.to_json(), target, ensure_ascii=False, indent=1)
        target.write("\n")
    if output is not None:
        written = HistoryWritten(history.instance, len(history.events), str(output))
        invocation.answer(
            written, lambda: say(f"{written.instance}: {plural(written.events, 'event')} written to {written.file}")
        )


@contextlib.contextmanager
def _target(invocation: Invocation, output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield invocation.out
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from None


def _write_csv(rows: Iterable[object], target: TextIO) -> None:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        assert isinstance(row, dict)
        writer.writerow(["" if row[column] is None else _safe(str(row[column])) for column in COLUMNS])


def _write_json(rows: Iterable[object], target: TextIO) -> None:
    """One list, written row by row: an export of millions needs no memory."""
    separator = "[\n"
    for row in rows:
        target.write(separator + json.dumps(row, ensure_ascii=False))
        separator = ",\n"
    target.write("[]\n" if separator == "[\n" else "\n]\n")


def _safe(text: str) -> str:
    """A value that a spreadsheet would take for a formula gets an apostrophe before it."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
