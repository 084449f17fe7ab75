"""`procession limit`: how many attempts at a service, or calls of an outside system, at once and in a minute."""

from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import RUNNING, Invocation, command
from procession.cli.output import say, table
from procession.cli.parsers import whole_number

if TYPE_CHECKING:
    from procession.services.limiting import LimitList


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "limit", example="procession limit Mail.send --at-once 4 --per-minute 60", panel=RUNNING, acts=True)(
        limit
    )


def limit(
    invocation: Invocation,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A service (Mail.send) or a system, alone to show its limit; none lists all.",
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option("--at-once", metavar="NUMBER", parser=whole_number(1), help="So many attempts at the same time."),
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option("--per-minute", metavar="NUMBER", parser=whole_number(1), help="So many begun in any minute."),
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="No limit at all.")] = False,
    from_settings: Annotated[bool, typer.Option("--from-settings", help="Again what procession.toml says.")] = False,
) -> None:
    """Limit attempts at a service, or at all services of an outside system, from now on; or show what the limit is.

    An engine that runs need not be stopped.
    """
    from procession.services.commands import SetLimit
    from procession.services.limiting import list_limits
    from procession.services.records import LimitShown

    application = invocation.application()
    changes = at_once is not None or per_minute is not None or lift or from_settings
    if name is None and changes:
        raise typer.BadParameter("say which service or system", param_hint="NAME")
    if name is None or not changes:
        found = list_limits(application, name)
        invocation.answer(found, lambda: _show(found, name))
        return
    if (at_once is not None or per_minute is not None) + lift + from_settings != 1:
        raise typer.BadParameter(
            "give --at-once, --per-minute or both; or --lift; or --from-settings", param_hint="NAME"
        )
    answer = invocation.give(application, SetLimit(name, at_once, per_minute, from_settings)).answer
    changed = LimitShown(name, answer["at_once"], answer["per_minute"], "")
    invocation.answer(answer, lambda: say(f"{name}: {changed.spoken} from now on."))


def _show(found: "LimitList", name: str | None) -> None:
    if not found.limits:
        say("No limits." if name is None else f"{name}: no limit.")
        return
    table(
        ("limit", "is", "from"),
        [(each.name, each.spoken, each.origin) for each in found.limits],
    )
