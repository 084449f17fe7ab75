"""`procession serve`, `run`, `doctor`: the engine of an application, and its health."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import LOOKING, RUNNING, Format, Invocation, command
from procession.cli.output import age, heading, indented, local, plural, say, table, tell_of_hold, to_json
from procession.cli.parsers import choice
from procession.errors import StoreLocked

if TYPE_CHECKING:
    from procession.engine.turn import Notice
    from procession.services.application import Application
    from procession.services.following import SourceNews
    from procession.services.health import HealthReport


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "run", example="procession run --app leave", panel=RUNNING)(run)
    command(app, "serve", example="procession serve --app leave", panel=RUNNING)(serve)
    command(app, "doctor", example="procession doctor", panel=LOOKING, acts=True)(doctor)


class LogLevel(StrEnum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LogFormatOption = Annotated[
    Format,
    choice("--log-format", Format, "The log, on standard error: for people, or one JSON object a line."),
]
LogLevelOption = Annotated[
    LogLevel | None,
    choice("--log-level", LogLevel, "From which level on (default: warning; with --log-format json: info)."),
]
DebuggingOption = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Let `breakpoint()` or a debugger stop process code: nothing fences or watches it; show tracebacks.",
    ),
]


def run(
    invocation: Invocation,
    log_format: LogFormatOption = Format.TEXT,
    log_level: LogLevelOption = None,
    debug: DebuggingOption = False,
) -> None:
    """Run the engine and print what happens, until Ctrl+C; for developing.

    Services are called and timers fire while it runs; commands given meanwhile go to it. Source that is saved is taken at
    once, and running instances that do not fit it are named. With --debug process code may be stopped by `breakpoint()`
    or a debugger: nothing fences or watches it then.
    """
    _write_log(log_format, log_level)
    _serve(invocation, tells=True, is_for_debugging=debug)


def serve(invocation: Invocation, log_format: LogFormatOption = Format.TEXT, log_level: LogLevelOption = None) -> None:
    """Run the engine, until SIGINT (Ctrl+C) or SIGTERM; a second one ends it at once.

    With --format json its lines are JSON objects: one when it is ready, one when it ends. The log goes to standard error.
    """
    _write_log(log_format, log_level)
    _serve(invocation, tells=False, is_for_debugging=False)


def _write_log(log_format: Format, level: LogLevel | None) -> None:
    import logging

    from procession.api.log_lines import write_log

    as_json = log_format is Format.JSON
    chosen = level or (LogLevel.INFO if as_json else LogLevel.WARNING)
    write_log(sys.stderr, as_json=as_json, level=logging.getLevelNamesMapping()[chosen.upper()])


def _serve(invocation: Invocation, *, tells: bool, is_for_debugging: bool) -> None:
    from procession.api.serving import Served
    from procession.api.serving import serve as serve_until_signal

    application = invocation.application()

    def line(content: dict[str, object], words: str) -> None:
        if invocation.wants_json:
            print(json.dumps(to_json(content), ensure_ascii=False), file=invocation.out, flush=True)
        else:
            say(words)
            sys.stdout.flush()

    def ready(socket: Path) -> None:
        content = {"event": "ready", "application": application.name, "process": os.getpid(), "socket": str(socket)}
        line(content, f"{application.name}: the engine is ready (process {os.getpid()}). Ctrl+C ends it.")

    def happened(notice: "Notice") -> None:
        from procession.services.records import moment

        at = moment(notice.at_us)
        content = {"event": "happened", "at": at, "instance": notice.instance, "text": notice.text}
        line(content, f"{at.astimezone(application.zone):%H:%M:%S}  {notice.instance}  {indented(notice.text)}")
        if notice.halted is not None and not invocation.wants_json:
            _show_halt(application, notice.instance)

    def source_changed(news: "SourceNews") -> None:
        content = {"event": "source", **asdict(news), "is_taken": not news.problem}
        line(content, "\n".join(_news_in_words(news)))

    def ending() -> None:
        line(
            {"event": "ending"},
            "Ending: what is under way is finished first. Again Ctrl+C ends at once; nothing is lost.",
        )

    if is_for_debugging and not invocation.wants_json:
        say("For debugging: process code is neither fenced nor watched, and everybody waits while it stands still.")
        sys.stdout.flush()
    served = (
        Served(ready, ending, happened, source_changed, is_for_debugging=is_for_debugging)
        if tells
        else Served(ready, ending)
    )
    try:
        asyncio.run(serve_until_signal(application, served))
    except StoreLocked as locked:
        raise _runs_already(locked) from locked


def _show_halt(application: "Application", instance: str) -> None:
    """The business call stack and Python's own, where a process halts before the eyes of whoever develops it."""
    from procession.cli.call_stack import show_halt
    from procession.services.call_stacks import find_halt

    if (halt := find_halt(application, instance)) is not None:
        show_halt(halt, application.zone, verbose=True)
        say()
        sys.stdout.flush()


def _news_in_words(news: "SourceNews") -> Iterator[str]:
    at = datetime.now().astimezone()
    changed = f"{at:%H:%M:%S}  {', '.join(news.files)} changed"
    if news.problem:
        yield f"{changed}, and the engine goes on with what it has. {indented(news.problem)}"
        return
    yield f"{changed}: the engine runs it now."
    if news.running:
        of = f"{news.replayed} of {news.running}" if news.replayed < news.running else f"{news.running}"
        fit = news.replayed - len(news.behind)
        yield (
            f"  {plural(fit, 'running instance')} of {of} go on with it."
            if news.behind
            else (f"  {of} running {'instance goes' if news.running == 1 else 'instances go'} on with it.")
        )
    for each in news.behind:
        yield f"  {each.instance} does not fit it, and halts when it is to go on: {indented(each.why, '    ')}"


def _runs_already(locked: StoreLocked) -> StoreLocked:
    """Who starts an engine has what they want if one runs."""
    process = getattr(locked.holder, "pid", 0)
    who = f"An engine runs already (process {process})" if process else "An engine runs already"
    return StoreLocked(
        f"{who} on {locked.subject}.",
        holder=locked.holder,
        subject=locked.subject,
        remedy="There is nothing to do: commands go to it. To start another, end that one first.",
    )


AcceptClockOption = Annotated[
    bool, typer.Option("--accept-clock", help="Trust the machine's clock again after it jumped; then timers go on.")
]


def doctor(invocation: Invocation, accept_clock: AcceptClockOption = False) -> int:
    """Examine the application: everything that needs a person, with what to do. The exit status is 1 if there is anything."""
    from procession.services.health import examine

    application = invocation.application()
    if accept_clock:
        _accept_clock(invocation, application)
    with _busy(invocation, "Examining every row"):
        report = examine(application)
    invocation.answer(report, lambda: _show(report, application))
    return 0 if report.is_well else 1


def _accept_clock(invocation: Invocation, application: "Application") -> None:
    from procession.services.commands import AcceptClock

    invocation.give(application, AcceptClock())
    if not invocation.wants_json:
        say("The clock is accepted as it is.")


def _busy(invocation: Invocation, text: str) -> contextlib.AbstractContextManager[object]:
    """A sign of life on a terminal for what may take long."""
    if invocation.wants_json or not sys.stderr.isatty():
        return contextlib.nullcontext()
    from procession.cli.output import console

    return console(error=True).status(text)


def _show(report: "HealthReport", application: "Application") -> None:
    from datetime import UTC, datetime

    size = f"{report.store_bytes / 1_000_000:.1f} MB" + (
        f" and {report.log_bytes / 1_000_000:.1f} MB of log" if report.log_bytes else ""
    )
    say(f"{report.application}: {report.store} ({size}), SQLite {report.sqlite_version}", "bold")
    for defect in report.sqlite_defects:
        say(f"  {defect.title} {defect.why} {defect.source}", "" if not defect.touches_us else "red")
    if report.engine is not None:
        since = f"{local(report.engine.since, application.zone)} ({age(datetime.now(UTC) - report.engine.since)})"
        say(f"An engine runs: process {report.engine.process} since {since}")
        if report.engine.note:
            say(f"  {report.engine.note}", "yellow")
    else:
        say("No engine runs: service calls and timers wait for `procession serve`.")
    for what, counted in (
        ("instances", report.instances),
        ("open items", report.items),
        ("service calls", report.service_calls),
    ):
        states = ", ".join(f"{number} {state}" for state, number in sorted(counted.items())) or "none"
        say(f"  {what}: {states}")
    say(f"  {plural(report.timers, 'timer')}, {plural(report.events, 'event')}, {plural(report.requests, 'request')}")
    for pause in report.pauses:
        tell_of_hold(pause, application.zone, "  ")
    if report.replayed:
        say(f"  {plural(report.replayed, 'running instance')} replayed on the source on disk")
    if report.checks:
        heading("Checks")
        table(("", "what must hold", "verdict"), [(check.id, check.says, check.verdict) for check in report.checks])
    if report.is_well:
        heading("All is well.")
        return
    heading(plural(len(report.concerns), "thing") + (" needs" if len(report.concerns) == 1 else " need") + " a person:")
    for concern in report.concerns:
        say(f"- {indented(concern.message)}", "red")
        say(f"  {indented(concern.remedy)}")
