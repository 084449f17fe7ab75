"""`procession pause`, `unpause` and `skip`: standing still wider than one instance, and going past one call."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.bulk import one_or_many
from procession.cli.command import REPAIRING, Invocation, command
from procession.cli.instances import InstanceArgument, repair
from procession.cli.output import local, plural, say, table
from procession.cli.parsers import whole_number

if TYPE_CHECKING:
    from datetime import tzinfo

    from procession.services.scopes import PauseList

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name: leave, Mail.send, mail.")]
TimersOption = Annotated[
    str, typer.Option("--timers", help="run: what is due meanwhile is applied at the end; stop: all is due later.")
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    pause = typer.Typer(help="Have a process, an operation or an outside system stand still.", no_args_is_help=True)
    unpause = typer.Typer(help="Have it go on.", no_args_is_help=True)
    examples = {"process": "leave", "operation": "Mail.send", "system": "mail"}
    bodies = {"process": _pause_process, "operation": _pause_operation, "system": _pause_system}
    goes_on = {"process": _unpause_process, "operation": _unpause_operation, "system": _unpause_system}
    for scope, name in examples.items():
        command(pause, scope, example=f"procession pause {scope} {name}", panel=REPAIRING, acts=True)(bodies[scope])
        command(unpause, scope, example=f"procession unpause {scope} {name}", panel=REPAIRING, acts=True)(
            goes_on[scope]
        )
    command(pause, "list", example="procession pause list", panel=REPAIRING)(list_all)
    app.add_typer(pause, name="pause", rich_help_panel=REPAIRING)
    app.add_typer(unpause, name="unpause", rich_help_panel=REPAIRING)
    command(
        app, "skip", example='procession skip leave-17 --call 4 --reason "paid in cash"', panel=REPAIRING, acts=True
    )(one_or_many("skip")(skip))


def _pause_process(invocation: Invocation, name: NameArgument, timers: TimersOption = "run") -> None:
    """Start no instance of a process, and have those there are stand still."""
    _pause(invocation, "process", name, timers)


def _pause_operation(invocation: Invocation, name: NameArgument, timers: TimersOption = "run") -> None:
    """Have nothing done at an operation: no item claimed, started or completed, no attempt begun. Timers run on."""
    _pause(invocation, "operation", name, timers)


def _pause_system(invocation: Invocation, name: NameArgument, timers: TimersOption = "run") -> None:
    """Begin no attempt at any service of an outside system. Timers run on."""
    _pause(invocation, "system", name, timers)


def _unpause_process(invocation: Invocation, name: NameArgument) -> None:
    """Have a paused process go on, with the instances that stood still for it."""
    _unpause(invocation, "process", name)


def _unpause_operation(invocation: Invocation, name: NameArgument) -> None:
    """Have a paused operation go on."""
    _unpause(invocation, "operation", name)


def _unpause_system(invocation: Invocation, name: NameArgument) -> None:
    """Have the services of a paused outside system go on."""
    _unpause(invocation, "system", name)


def _pause(invocation: Invocation, scope: str, name: str, timers: str) -> None:
    from procession.services.commands import Pause

    if timers not in ("run", "stop"):
        raise typer.BadParameter("say run or stop", param_hint="--timers")
    answer = invocation.give(invocation.application(), Pause(scope, name, timers)).answer

    def in_words() -> None:
        number = int(answer["instances"])
        still = f" {plural(number, 'instance')} stood still by it." if number else ""
        say(f"The {scope} {answer['name']} is paused.{still} Timers {'stand still' if timers == 'stop' else 'run on'}.")
        say(f'`procession unpause {scope} "{answer["name"]}"` has it go on.')

    invocation.answer(answer, in_words)


def _unpause(invocation: Invocation, scope: str, name: str) -> None:
    from procession.services.commands import Unpause

    answer = invocation.give(invocation.application(), Unpause(scope, name)).answer

    def in_words() -> None:
        number = int(answer["instances"])
        again = f", and so {'does' if number == 1 else 'do'} {plural(number, 'instance')}" if number else ""
        say(f"The {scope} {answer['name']} goes on{again}.")

    invocation.answer(answer, in_words)


def list_all(invocation: Invocation) -> None:
    """List what is paused: since when, by whom, why, and whether timers run on."""
    from procession.services.scopes import list_pauses

    application = invocation.application()
    found = list_pauses(application)
    invocation.answer(found, lambda: _show(found, application.zone))


def _show(found: "PauseList", zone: "tzinfo") -> None:
    if not found.pauses:
        say("Nothing is paused.")
        return
    table(
        ("paused", "name", "since", "by", "timers", "why"),
        [(each.scope, each.name, local(each.since, zone), each.by, each.timers, each.reason) for each in found.pauses],
    )


def skip(
    invocation: Invocation,
    instance: InstanceArgument,
    call: Annotated[
        int | None,
        typer.Option(
            "--call", metavar="NUMBER", parser=whole_number(), help="The call; `procession show` has its number."
        ),
    ] = None,
    value: Annotated[
        str, typer.Option("--value", metavar="JSON|@FILE|-", help="The result as JSON (default: nothing).")
    ] = "null",
) -> None:
    """Go past an open call, for a reason: it ends with the given result; a timer fires now.

    Of a call that could not undo what it should: say that you have seen to it, and it waits for nobody any more.
    """
    from procession.cli.inputs import read_json
    from procession.services.commands import SkipCall

    if call is None:
        raise typer.BadParameter("say which call of the instance", param_hint="--call")
    if not (invocation.reason or "").strip():
        raise typer.BadParameter("a call is skipped for a reason", param_hint="--reason")
    repair(invocation, SkipCall(instance, call, read_json(value, "--value")))
