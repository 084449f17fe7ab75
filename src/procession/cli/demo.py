"""`procession demo`: the receipt of environmental permits of a Dutch municipality, run through the real engine."""

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import RUNNING, Invocation, command
from procession.cli.output import console, heading, say, table
from procession.cli.parsers import whole_number
from procession.errors import OperatorError

if TYPE_CHECKING:
    from procession.services.demo import DemoSummary, Progress

_SHOWN_MISFITS = 10


class Choices(StrEnum):
    """How generated performers choose: by the shares of the recorded log, or all alike."""

    FITTED = "fitted"
    UNIFORM = "uniform"


class DemoInterrupted(OperatorError):
    """Ctrl+C while the demo ran."""

    code = "interrupted"


def declare(app: typer.Typer) -> None:
    """Adds the command of this file."""
    command(app, "demo", example="procession demo --generate 100", panel=RUNNING)(demo)


def demo(
    invocation: Invocation,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Follow this recorded log (CSV, or packed by gzip).")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Run every case of the log once, then end (needs --log; it is the default).")
    ] = False,
    generate: Annotated[
        int | None,
        typer.Option("--generate", metavar="N", parser=whole_number(1), help="Run N generated cases (default: 200)."),
    ] = None,
    choices: Annotated[
        Choices, typer.Option("--choices", help="How generated performers choose among offers and answers.")
    ] = Choices.FITTED,
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", parser=whole_number(), help="Repeat a run by its seed.")
    ] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder of the last demo, and make one beside it.")
    ] = False,
) -> int:
    """Run a real process of a municipality with 27 activities, and leave it to try by hand."""
    import asyncio

    from procession.services.demo import DemoOptions, run_demo

    if once and log is None:
        raise typer.BadParameter("it runs the cases of a log: name one with --log FILE", param_hint="--once")
    if choices is Choices.UNIFORM and generate is None:
        raise typer.BadParameter("uniform is for generated cases: say how many, --generate N", param_hint="--choices")
    options = DemoOptions(log, generate, choices is Choices.UNIFORM, seed, keep, invocation.folder)
    try:
        with _progress(invocation) as progress:
            summary = asyncio.run(run_demo(options, progress))
    except KeyboardInterrupt:
        raise DemoInterrupted(
            "The demo was interrupted.",
            remedy="What was acknowledged until then is in the store; the next demo starts anew.",
        ) from None
    invocation.answer(summary, lambda: _in_words(summary))
    return 1 if summary.lost or summary.doubled else 0


@contextlib.contextmanager
def _progress(invocation: Invocation) -> "Iterator[Progress]":
    terminal = console(error=True)
    if invocation.wants_json or not terminal.is_terminal:
        yield lambda what, done, total: None
        return
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    bars: dict[str, TaskID] = {}
    with Bars(console=terminal, transient=True) as shown:

        def progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what, total=total)
            if done % 50 == 0 or done == total:
                shown.update(bars[what], completed=done)

        yield progress


def _in_words(summary: "DemoSummary") -> None:
    heading("The receipt of environmental permits")
    rows: list[tuple[str, str]] = [
        ("cases", f"{summary.cases} ({summary.open_cases} still open)"),
        ("completions", f"{summary.completions} ({summary.lost} lost, {summary.doubled} doubled)"),
    ]
    if summary.fit is not None and summary.last_third_fit is not None:
        rows += [
            (
                "cases that fit",
                f"{summary.fitting_cases} ({summary.fit:.1%}; last third by date {summary.last_third_fit:.1%})",
            ),
            ("histories equal to the log", f"{summary.exact_cases} of {summary.fitting_cases}"),
        ]
    rows += [("specificity", f"{summary.specificity:.2f}")]
    rows += [
        (f"lead time, {name}", f"{seconds / 86_400:.1f} days") for name, seconds in summary.lead_time_seconds.items()
    ]
    rows += [("run in", f"{summary.seconds:.1f} seconds, {summary.hand_offs_per_second:,.0f} hand-offs a second")]
    table(("", ""), rows)
    for misfit in summary.misfits[:_SHOWN_MISFITS]:
        say(f"{misfit.case} does not fit at event {misfit.event}: {misfit.activity}")
    if len(summary.misfits) > _SHOWN_MISFITS:
        say(f"… and {len(summary.misfits) - _SHOWN_MISFITS} more")
    say()
    say(f"It is all in {summary.app}. Try next:")
    for line in _three_commands(summary):
        say(f"  {line}")


def _three_commands(summary: "DemoSummary") -> tuple[str, str, str]:
    program, app = _program(), shlex.quote(summary.app)
    return (
        f"{program} list --state running --app {app}",
        f"{program} work list --all --app {app}",
        f"{program} show {summary.open_instance or f'receive_application-{summary.cases}'} --app {app}",
    )


def _program() -> str:
    """How the person at this terminal calls Procession: by its name where that is this one, else by its path."""
    this = Path(sys.argv[0]).absolute()
    found = shutil.which("procession")
    if found is not None and Path(found).resolve() == this.resolve():
        return "procession"
    if os.access(this, os.X_OK):
        return shlex.quote(str(this))
    return f"{shlex.quote(sys.executable)} -m procession.cli.main"
