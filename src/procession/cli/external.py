"""`procession external …`: work for programs outside, which fetch it, keep it and hand in what came of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import WORKING, Invocation, command
from procession.cli.output import local_near, say, value_lines
from procession.cli.parsers import said, whole_number

if TYPE_CHECKING:
    from datetime import tzinfo

TokenOption = Annotated[str, typer.Option("--token", help="The token that came with the call.")]
LeaseOption = Annotated[
    str | None, typer.Option("--lease", metavar="TIME", help="For how long (default: the operation's lease).")
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    external = typer.Typer(help="Work for programs outside: fetch it, keep it, complete it.", no_args_is_help=True)
    fetching = 'procession external fetch scan --worker scanner-1 --lease "5 minutes"'
    beating = "procession external heartbeat --token file-1:1:1"
    command(external, "fetch", example=fetching, panel=WORKING, acts=True)(fetch)
    command(external, "heartbeat", example=beating, panel=WORKING, acts=True)(heartbeat)
    command(
        external,
        "complete",
        example="procession external complete --token file-1:1:1 --result 12",
        panel=WORKING,
        acts=True,
    )(complete)
    command(
        external,
        "fail",
        example='procession external fail --token file-1:1:1 --error "paper jam"',
        panel=WORKING,
        acts=True,
    )(fail)
    app.add_typer(external, name="external", rich_help_panel=WORKING)


def fetch(
    invocation: Invocation,
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="Its name, or Function.name.")],
    worker: Annotated[
        str, typer.Option("--worker", metavar="NAME", parser=said, help="Who fetches: a name for the program.")
    ],
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", parser=whole_number(1), help="So many calls at most.")
    ] = 1,
    lease: LeaseOption = None,
    client_id: Annotated[
        str | None, typer.Option("--id", help="Its identifier: fetched again with it, the same calls are given.")
    ] = None,
) -> None:
    """Take what waits, the oldest first. Each call is this worker's until its lease is over."""
    from procession.services.commands import FetchExternal

    application = invocation.application()
    answer = invocation.give(application, FetchExternal(operation, worker, limit, lease), client_id=client_id).answer
    invocation.answer(answer, lambda: _show(answer["calls"], application.zone))


def _show(calls: list[dict[str, object]], zone: "tzinfo") -> None:
    from datetime import UTC, datetime

    if not calls:
        say("Nothing waits for this worker.")
    for call in calls:
        until = datetime.fromisoformat(str(call["lease_until"]))
        say(
            f"{call['token']}  call {call['call']} of {call['instance']}, until {local_near(until, zone, now=datetime.now(UTC))}",
            "bold",
        )
        for line in value_lines(call["input"], "  "):
            say(line)


def heartbeat(invocation: Invocation, token: TokenOption, lease: LeaseOption = None) -> None:
    """Renew a lease: the work goes on."""
    from datetime import UTC, datetime

    from procession.services.commands import HeartbeatExternal

    application = invocation.application()
    answer = invocation.give(application, HeartbeatExternal(token, lease)).answer
    until = datetime.fromisoformat(str(answer["lease_until"]))
    invocation.answer(
        answer, lambda: say(f"{token} is yours until {local_near(until, application.zone, now=datetime.now(UTC))}.")
    )


def complete(
    invocation: Invocation,
    token: TokenOption,
    result: Annotated[str, typer.Option("--result", metavar="JSON|@FILE|-", help="What came of it, as JSON.")],
) -> None:
    """Hand in the result. Given again, for instance after a lost answer, it changes nothing."""
    from procession.cli.inputs import read_json
    from procession.services.commands import CompleteExternal

    content = read_json(result, "--result")
    answer = invocation.give(invocation.application(), CompleteExternal(token, content)).answer
    invocation.answer(answer, lambda: say(f"{token} is completed{' already' if answer['repeated'] else ''}."))


def fail(
    invocation: Invocation,
    token: TokenOption,
    error: Annotated[str, typer.Option("--error", metavar="TEXT", parser=said, help="What went wrong.")],
    declared: Annotated[
        str | None,
        typer.Option(
            "--declared", metavar="CLASS", help="An error that the operation declares: then it is the answer."
        ),
    ] = None,
) -> None:
    """Give a call back that could not be done: it is handed out again, or needs attention. A declared error ends it."""
    from procession.services.commands import FailExternal

    answer = invocation.give(invocation.application(), FailExternal(token, error, declared)).answer
    told = "has ended with that error" if answer["ended"] else "is given back"
    invocation.answer(answer, lambda: say(f"{token} {told}."))
