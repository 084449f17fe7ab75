"""`procession attention`: everything that waits for a person."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import LOOKING, Invocation, command
from procession.cli.instances import read_since
from procession.cli.output import indented, local, plural, say, tell_of_hold
from procession.cli.parsers import whole_number

if TYPE_CHECKING:
    from datetime import tzinfo

    from procession.services.attention import CaseList


def declare(app: typer.Typer) -> None:
    """Adds the command of this file."""
    command(app, "attention", example='procession attention --process leave --since "1 day"', panel=LOOKING)(attention)


def attention(
    invocation: Invocation,
    process: Annotated[str | None, typer.Option("--process", help="Only of this process.")] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", metavar="FUNCTION.OPERATION", help="Only at this operation.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help='Only what has waited since then: a date, a time, or an age such as "3 days".'),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", parser=whole_number(1, 10_000), help="At most so many.")
    ] = 50,
) -> None:
    """List what waits for a person, the longest waiting first: what halted, gave up, is late or stuck; with what to do next."""
    from procession.services.attention import CasesWanted, list_cases

    application = invocation.application()
    moment = None if since is None else read_since(since, application.zone)
    found = list_cases(application, CasesWanted(process, operation, moment, limit))
    invocation.answer(found, lambda: _show(found, application.zone))


def _show(found: "CaseList", zone: "tzinfo") -> None:
    if not found.cases:
        say("Nothing needs attention.")
    for case in found.cases:
        say(f"- {local(case.since, zone)}  {indented(case.message)}", "red")
        say(f"  {indented(case.remedy)}")
        say(f"  $ {case.command}", "bold")
    if found.cases:
        say()
        _say_number(found)
    for pause in found.pauses:
        tell_of_hold(pause, zone)
    if found.suspended:
        stand = "stands" if found.suspended == 1 else "stand"
        say(
            f"{plural(found.suspended, 'instance')} {stand} still by somebody's wish: `procession list --state suspended`.",
            "yellow",
        )


def _say_number(found: "CaseList") -> None:
    say(
        plural(len(found.cases), "case") + ("; there are more: see --limit and the filters." if found.more else "."),
        "dim",
    )
