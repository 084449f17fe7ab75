"""`procession start`, `list`, `show`, `retry`, `suspend`, `resume`, `cancel`: instances of processes."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from procession.cli.bulk import first_halted, one_or_many
from procession.cli.command import LOOKING, REPAIRING, WORKING, Invocation, command
from procession.cli.output import indented, local, plural, say, state_cell, table, tell_of_hold
from procession.cli.parsers import whole_number
from procession.errors import ProcessionError

if TYPE_CHECKING:
    from procession.services.application import Application
    from procession.services.commands import Command
    from procession.services.records import InstanceList

InstanceArgument = Annotated[
    str, typer.Argument(metavar="INSTANCE", help="Its name (leave-17), its UUID, or process:business key.")
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "start", example='procession start leave days=3 reason="a trip" --as ann', panel=WORKING, acts=True)(
        start
    )
    command(app, "list", example="procession list --process leave --state running", panel=LOOKING)(list_instances)
    command(app, "show", example="procession show leave-17 -v", panel=LOOKING)(show)
    command(
        app, "retry", example='procession retry leave-17 --reason "mail server is back"', panel=REPAIRING, acts=True
    )(one_or_many("retry")(retry))
    command(
        app, "suspend", example='procession suspend leave-17 --reason "until the audit"', panel=REPAIRING, acts=True
    )(one_or_many("suspend")(suspend))
    command(app, "resume", example="procession resume leave-17", panel=REPAIRING, acts=True)(
        one_or_many("resume")(resume)
    )
    command(app, "cancel", example='procession cancel leave-17 --reason "entered twice"', panel=REPAIRING, acts=True)(
        one_or_many("cancel")(cancel)
    )


def start(
    invocation: Invocation,
    process: Annotated[str, typer.Argument(metavar="PROCESS", help="The name of the process.")],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Its inputs, read by their types.")
    ] = None,
    json_input: Annotated[
        str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="All inputs as one JSON object.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The business key; a second start with it gives the same instance.")
    ] = None,
) -> None:
    """Start an instance of a process. In a terminal, inputs that are not given are asked for."""
    from procession.cli.inputs import read_json
    from procession.services.commands import StartInstance

    if values and json_input is not None:
        raise typer.BadParameter("give the inputs as field=value or with --input, not both", param_hint="--input")
    application = invocation.application()
    with telling_of_older_source(application):
        if json_input is not None:
            content = read_json(json_input, "--input")
        else:
            content = _inputs_from(invocation, application, process, values or [])
        given = invocation.give(application, StartInstance(process, content, key))
    answer = given.answer
    instance = str(answer["instance"])
    waiting = waiting_after(application, instance, engine_runs=given.engine_runs)
    note = _engine_note(application)

    def in_words() -> None:
        verb = "is there already" if answer["repeated"] else "started"
        say(f"{instance} {verb}: {answer['title']} ({answer['state']})")
        tell_of_halt(answer)
        tell_of_waiting(waiting)
        tell_of_engine(note)

    invocation.answer({**answer, "waiting": waiting, "engine_note": note}, in_words)


@contextlib.contextmanager
def telling_of_older_source(application: "Application") -> Iterator[None]:
    """Where something is not known, say so if the engine that runs has another source than is on disk, and why."""
    from procession.services.reading import Reading

    try:
        yield
    except ProcessionError as error:
        if error.code in ("no-such-process", "no-such-message"):
            with Reading(application) as reading:
                error.remedy = f"{error.remedy} {reading.why_unknown}".strip()
        raise


def _engine_note(application: "Application") -> str:
    from procession.services.reading import Reading

    with Reading(application) as reading:
        return reading.engine_note


def tell_of_engine(note: str) -> None:
    """Say so where the engine that runs has not taken the source on disk."""
    if note:
        say(note, "yellow")


def _inputs_from(invocation: Invocation, application: "Application", process: str, values: list[str]) -> str:
    """Inputs as JSON: from `field=value`, or asked for one by one."""
    from procession.cli.asking import Asking
    from procession.cli.inputs import assign
    from procession.services.reading import Reading

    with Reading(application) as reading:
        fields = reading.inputs_of(process)
    if values or not fields or not invocation.may_ask:
        return assign(fields, values, application.zone, whole="input")
    return Asking(application.zone).ask(fields)


def list_instances(
    invocation: Invocation,
    process: Annotated[str | None, typer.Option("--process", help="Only of this process.")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", help="Only in this state: running, cancelling, completed, failed, cancelled, halted, suspended."
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Only with this text in title, name or business key.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help='Only started since: a date, a time, or an age such as "3 days".')
    ] = None,
    children_of: Annotated[
        str | None, typer.Option("--children-of", metavar="INSTANCE", help="Only the children of this instance.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", parser=whole_number(1, 10_000), help="At most so many.")
    ] = 50,
) -> None:
    """List instances, newest first."""
    from procession.kernel import InstanceState
    from procession.services.reading import Reading, Wanted

    application = invocation.application()
    known = [each for each in InstanceState if each is not InstanceState.NEW]
    for given in state or []:
        if given not in known:
            raise typer.BadParameter(f"{given!r} is none of {', '.join(known)}", param_hint="--state")
    states = tuple(InstanceState(each) for each in state or [])
    moment = None if since is None else read_since(since, application.zone)
    with Reading(application) as reading:
        found = reading.instances(Wanted(process, states, text, moment, limit, children_of))

    def in_words() -> None:
        _show_list(found, application.zone)
        for pause in found.pauses:
            tell_of_hold(pause, application.zone)
        tell_of_engine(found.engine_note)

    invocation.answer(found, in_words)


def read_since(text: str, zone: tzinfo) -> datetime:
    """A date, a time, or an age, as a moment."""
    from procession.calendars.durations import Duration, DurationUnclear

    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - Duration.parse(text).require_calendar_time().length
    except DurationUnclear:
        example = 'a date such as 2026-03-01, a time such as "2026-03-01 14:30", or an age such as "3 days"'
        raise typer.BadParameter(f"{text!r} is none of these: {example}", param_hint="--since") from None


def _show_list(found: "InstanceList", zone: tzinfo) -> None:
    if not found.instances:
        say("No instances.")
        return
    has_children = any(row.parent for row in found.instances)
    table(
        ("instance", "title", "state", "started", "by", "ended", "key", *(("child of",) if has_children else ())),
        [
            (
                row.instance,
                row.title,
                state_cell(row.state),
                local(row.started, zone),
                row.initiator,
                local(row.ended, zone),
                row.business_key or "",
                *((row.parent or "",) if has_children else ()),
            )
            for row in found.instances
        ],
    )
    if found.more:
        say("There are more: see --limit and the filters.", "dim")


def show(
    invocation: Invocation,
    instance: InstanceArgument,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="With input and the variables of each line.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="With everything that happened, in order.")] = False,
) -> None:
    """Show an instance: the business call stack of each branch that waits, whom it waits for, its items, its halt."""
    from procession.cli.call_stack import show_instance
    from procession.services.reading import Reading

    application = invocation.application()
    with Reading(application) as reading:
        detail = reading.instance(instance, with_variables=verbose, with_history=history)

    def in_words() -> None:
        show_instance(detail, application.zone, verbose=verbose)
        tell_of_engine(detail.engine_note)

    invocation.answer(detail, in_words)


def retry(
    invocation: Invocation,
    instance: InstanceArgument,
    call: Annotated[
        int | None,
        typer.Option(
            "--call",
            metavar="NUMBER",
            parser=whole_number(),
            help="A service call that needs attention: attempt it again.",
        ),
    ] = None,
) -> int:
    """Go on with a halted instance on the present source; or, with --call, attempt a service call again.

    The exit status is 1 where the instance halts again.
    """
    from procession.services.commands import RetryCall, RetryInstance

    answer = repair(invocation, RetryInstance(instance) if call is None else RetryCall(instance, call))
    return 1 if answer.get("halted") else 0


def cancel(
    invocation: Invocation,
    instance: InstanceArgument,
    force: Annotated[
        bool, typer.Option("--force", help="End it at once: all it asked for is withdrawn, none of its code runs.")
    ] = False,
) -> None:
    """Cancel an instance: its code is told and cleans up, what has to be undone is undone, then it has ended."""
    from procession.services.commands import CancelInstance

    repair(invocation, CancelInstance(instance, force))


def suspend(
    invocation: Invocation,
    instance: InstanceArgument,
    timers: Annotated[
        str, typer.Option("--timers", help="run: what is due meanwhile is applied on resume; stop: all is due later.")
    ] = "run",
) -> None:
    """Have an instance stand still until it is resumed: its items refuse, what comes for it waits."""
    from procession.services.commands import SuspendInstance

    if timers not in ("run", "stop"):
        raise typer.BadParameter("say run or stop", param_hint="--timers")
    repair(invocation, SuspendInstance(instance, timers))


def resume(invocation: Invocation, instance: InstanceArgument) -> None:
    """Have a suspended instance go on, with what came for it meanwhile."""
    from procession.services.commands import ResumeInstance

    repair(invocation, ResumeInstance(instance))


def repair(invocation: Invocation, order: "Command") -> dict[str, Any]:
    """Give a repair, tell what came of it, and give that."""
    application = invocation.application()
    given = invocation.give(application, order)
    answer = given.answer
    waiting = waiting_after(application, str(answer["instance"]), engine_runs=given.engine_runs)

    def in_words() -> None:
        if answer.get("operation"):
            say(f"Call {answer['call']} of {answer['instance']}, {answer['operation']}, is being attempted again.")
        elif answer.get("settled"):
            say(f"What call {answer['skipped']} of {answer['instance']} did not undo is settled.")
        else:
            say(f"{answer['instance']} is {answer['state']}.")
        tell_of_halt(answer)
        tell_of_waiting(waiting)

    invocation.answer({**answer, "waiting": waiting}, in_words)
    return answer


def tell_of_halt(answer: dict[str, object]) -> None:
    """Say so if the instance stands still after what was done."""
    if answer.get("halted"):
        say(f"{answer['instance']} halted: {indented(str(answer['halted']))}", "bold red")
        say(f"See `procession show {answer['instance']}`.")


def tell_of_halts(halts: dict[str, str]) -> None:
    """Say which instances stand still after what was done for several."""
    for name, why in first_halted(halts):
        tell_of_halt({"instance": name, "halted": why})


def waiting_after(application: "Application", instance: str, *, engine_runs: bool) -> dict[str, int]:
    """What waits for an engine that is not there: service calls and timers of the instance."""
    from procession.services.reading import Reading

    if engine_runs:
        return {"service_calls": 0, "timers": 0}
    with Reading(application) as reading:
        services, timers = reading.service_waits(instance)
    return {"service_calls": services, "timers": timers}


def tell_of_waiting(waiting: dict[str, int]) -> None:
    """Say what waits for an engine."""
    parts = [
        plural(number, name)
        for number, name in ((waiting["service_calls"], "service call"), (waiting["timers"], "timer"))
    ]
    told = " and ".join(part for part in parts if not part.startswith("0 "))
    if told:
        say(f"{told} wait{'s' if sum(waiting.values()) == 1 else ''} for an engine: `procession serve`.", "yellow")
