"""`procession schedule …`: recurring starts."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import RUNNING, Invocation, command
from procession.cli.output import local, say, table

if TYPE_CHECKING:
    from datetime import tzinfo

    from procession.services.schedules import ScheduleList

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The schedule's name; `procession schedule list` has it.")
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    schedule = typer.Typer(
        help="Recurring starts: what the schedule tables in procession.toml name.", no_args_is_help=True
    )
    command(schedule, "list", example="procession schedule list", panel=RUNNING)(list_all)
    command(
        schedule,
        "pause",
        example='procession schedule pause weekly-report --reason "nobody reads it in August"',
        panel=RUNNING,
        acts=True,
    )(pause)
    command(schedule, "resume", example="procession schedule resume weekly-report", panel=RUNNING, acts=True)(resume)
    app.add_typer(schedule, name="schedule", rich_help_panel=RUNNING)


def list_all(invocation: Invocation) -> None:
    """List the schedules: what each starts, when next, and what its last time came to."""
    from procession.engine.clock import SystemClock
    from procession.services.schedules import list_schedules

    application = invocation.application()
    found = list_schedules(application, SystemClock())
    invocation.answer(found, lambda: _show(found, application.zone))


def _show(found: "ScheduleList", zone: "tzinfo") -> None:
    if not found.schedules:
        say("No schedules. One is a [[schedule]] in procession.toml, with name, process and when.")
        return
    rows = []
    for each in found.schedules:
        following = f"paused by {each.paused_by}" if each.paused else ", ".join(local(at, zone) for at in each.next)
        last = f"{local(each.last, zone)} {each.last_instance or each.last_refused}" if each.last else ""
        rows.append((each.schedule, each.process, f"{each.when} ({each.time_zone})", following, last))
    table(("schedule", "starts", "when", "next", "last"), rows)


def pause(invocation: Invocation, name: NameArgument) -> None:
    """Start nothing by this schedule until it is resumed; times that pass meanwhile are let go."""
    from procession.services.commands import PauseSchedule

    answer = invocation.give(invocation.application(), PauseSchedule(name)).answer
    invocation.answer(answer, lambda: say(f"{name} is paused."))


def resume(invocation: Invocation, name: NameArgument) -> None:
    """Go on with a schedule, at its next time."""
    from procession.services.commands import ResumeSchedule

    application = invocation.application()
    given = invocation.give(application, ResumeSchedule(name))

    def in_words() -> None:
        from datetime import datetime

        at = given.answer["next"]
        say(f"{name} goes on{f' at {local(datetime.fromisoformat(str(at)), application.zone)}' if at else ''}.")
        if not given.engine_runs:
            say("No engine runs, so nothing is started by itself: `procession serve`.", "yellow")

    invocation.answer(given.answer, in_words)
