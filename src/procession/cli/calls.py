"""`procession complete-call` and `fail-call`: an operator ends a call by hand."""

from typing import Annotated

import typer

from procession.cli.command import REPAIRING, Invocation, command
from procession.cli.instances import InstanceArgument, repair
from procession.cli.parsers import said, whole_number

CallArgument = Annotated[
    int,
    typer.Argument(metavar="CALL", parser=whole_number(), help="The call's number; `procession show INSTANCE` has it."),
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(
        app,
        "complete-call",
        example='procession complete-call order-3 2 --value \'"R-17"\' --reason "booked by telephone"',
        panel=REPAIRING,
        acts=True,
    )(complete_call)
    command(
        app,
        "fail-call",
        example='procession fail-call order-3 2 --message "the supplier is gone"',
        panel=REPAIRING,
        acts=True,
    )(fail_call)


def complete_call(
    invocation: Invocation,
    instance: InstanceArgument,
    call: CallArgument,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="The result, read by its type.")
    ] = None,
    value: Annotated[str | None, typer.Option("--value", metavar="JSON|@FILE|-", help="The result as JSON.")] = None,
) -> None:
    """End an open call by hand, with a result: the process goes on as if it had been done."""
    from procession.cli.inputs import assign, read_json
    from procession.services.commands import CompleteCall
    from procession.services.reading import Reading

    if bool(values) == (value is not None):
        raise typer.BadParameter("give the result as field=value or with --value", param_hint="--value")
    if value is not None:
        content = read_json(value, "--value")
    else:
        application = invocation.application()
        with Reading(application) as reading:
            fields = reading.result_of_call(instance, call)
        content = assign(fields, values or [], application.zone, whole="result")
    repair(invocation, CompleteCall(instance, call, content))


def fail_call(
    invocation: Invocation,
    instance: InstanceArgument,
    call: CallArgument,
    message: Annotated[
        str, typer.Option("--message", parser=said, help="What went wrong; the process sees it in OperationFailed.")
    ],
) -> None:
    """End an open call by hand, as failed: the process sees OperationFailed."""
    from procession.services.commands import FailCall

    repair(invocation, FailCall(instance, call, message))
