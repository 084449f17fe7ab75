"""`procession group …`: what is added to a group of an instance from outside."""

from typing import Annotated, Any

import typer

from procession.cli.command import WORKING, Invocation, command
from procession.cli.instances import tell_of_halt
from procession.cli.output import say

InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", help="Such as review-17.")]
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Its name in the process: each(…, name=…).")]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    group = typer.Typer(help="Groups that grow while they run: add to one, or close it.", no_args_is_help=True)
    adding = "procession group add review-1 documents floor-plan"
    command(group, "add", example=adding, panel=WORKING, acts=True)(add)
    command(group, "close", example="procession group close review-1 documents", panel=WORKING, acts=True)(close)
    app.add_typer(group, name="group", rich_help_panel=WORKING)


def add(
    invocation: Invocation,
    instance: InstanceArgument,
    group: GroupArgument,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="The item, read by its type.")
    ] = None,
    json_input: Annotated[str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="The item as JSON.")] = None,
) -> None:
    """Add an item to an open group: its work begins at once."""
    from procession.cli.inputs import assign, read_json
    from procession.services.commands import AddToGroup
    from procession.services.reading import Reading

    if values and json_input is not None:
        raise typer.BadParameter("give the item as field=value or with --input, not both", param_hint="--input")
    application = invocation.application()
    if json_input is not None:
        content = read_json(json_input, "--input")
    else:
        with Reading(application) as reading:
            fields = reading.fields_of_group(instance, group)
        content = assign(fields, values or [], application.zone, whole="input")
    answer = invocation.give(application, AddToGroup(instance, group, content)).answer
    _tell(invocation, answer, f"Added to the group {answer['group']} of {answer['instance']}.")


def close(invocation: Invocation, instance: InstanceArgument, group: GroupArgument) -> None:
    """Say that there is no more to come: the group is over when all of its work has ended."""
    from procession.services.commands import CloseGroup

    answer = invocation.give(invocation.application(), CloseGroup(instance, group)).answer
    _tell(invocation, answer, f"The group {answer['group']} of {answer['instance']} is closed.")


def _tell(invocation: Invocation, answer: dict[str, Any], done: str) -> None:
    def in_words() -> None:
        say(done)
        tell_of_halt(answer)

    invocation.answer(answer, in_words)
