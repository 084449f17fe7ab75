"""`procession message`: sending one from outside, and listing those that nobody has taken."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import WORKING, Invocation, command
from procession.cli.instances import tell_of_halts, telling_of_older_source
from procession.cli.output import local, plural, say, table

if TYPE_CHECKING:
    from datetime import tzinfo

    from procession.services.application import Application
    from procession.services.records import MessageList

LIST = "list"


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "message", example="procession message Payment --key 4711 amount=20", panel=WORKING, acts=True)(
        message
    )


def message(
    invocation: Invocation,
    name: Annotated[
        str, typer.Argument(metavar="CLASS|list", help="The class of the message; or `list`: those that are kept.")
    ],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Its fields, read by their types.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="For whom it is: the key that they wait for.")] = None,
    json_input: Annotated[
        str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="The whole message as one JSON object.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="How long it is kept where nobody takes it.")] = "30 days",
    client_id: Annotated[
        str | None, typer.Option("--id", help="Its identifier: sent again with it, it is not sent twice.")
    ] = None,
) -> None:
    """Send a message to every instance that waits for its class and key; else the first that asks takes it."""
    from procession.cli.inputs import read_json
    from procession.services.commands import SendMessage

    application = invocation.application()
    if name == LIST:
        _list(invocation, application)
        return
    if key is None:
        raise typer.BadParameter("a message needs the key that its receiver waits for", param_hint="--key")
    if values and json_input is not None:
        raise typer.BadParameter("give the message as field=value or with --input, not both", param_hint="--input")
    with telling_of_older_source(application):
        content = read_json(json_input, "--input") if json_input is not None else _from(application, name, values or [])
        given = invocation.give(application, SendMessage(name, key, content, expires), client_id=client_id)
    answer = given.answer

    def in_words() -> None:
        awaited = int(answer["awaited"])
        again = " before; it is not sent again" if answer["repeated"] else ""
        say(f"Message {name} with key {answer['key']} sent{again}.")
        if awaited:
            say(f"{plural(awaited, 'instance')} waited for it.")
            tell_of_halts(answer["halts"])
        else:
            say(f"Nobody waits for it: the first that asks takes it. It is kept for {expires}.", "yellow")

    invocation.answer(answer, in_words)


def _from(application: "Application", name: str, values: list[str]) -> str:
    from procession.cli.inputs import assign
    from procession.services.reading import Reading

    with Reading(application) as reading:
        fields = reading.fields_of_message(name)
    return assign(fields, values, application.zone, whole="input")


def _list(invocation: Invocation, application: "Application") -> None:
    from procession.services.reading import Reading

    with Reading(application) as reading:
        found = reading.kept_messages()
    invocation.answer(found, lambda: _show(found, application.zone))


def _show(found: "MessageList", zone: "tzinfo") -> None:
    if not found.messages:
        say("No message is kept: each was taken, or expired.")
        return
    table(
        ("class", "key", "from", "since", "expires"),
        [
            (each.type, each.key, each.sent_by, local(each.published, zone), local(each.expires, zone))
            for each in found.messages
        ],
    )
    if found.has_more:
        say("There are more.")
