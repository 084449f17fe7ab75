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
        str | None, typer.Argument(metavar="NAME", help="A service (Mail.send) or a system; none lists the limits.")
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
    """Limit attempts at a service, or at all services of an outside system, from now on; an engine that runs need not be stopped."""
    from procession.services.commands import SetLimit
    from procession.services.limiting import list_limits

    application = invocation.application()
    if name is None:
        if at_once or per_minute or lift or from_settings:
            raise typer.BadParameter("say which service or system", param_hint="NAME")
        found = list_limits(application)
        invocation.answer(found, lambda: _show(found))
        return
    if (at_once is not None or per_minute is not None) + lift + from_settings != 1:
        raise typer.BadParameter(
            "give --at-once, --per-minute or both; or --lift; or --from-settings", param_hint="NAME"
        )
    answer = invocation.give(application, SetLimit(name, at_once, per_minute, from_settings)).answer
    told = _spoken(answer["at_once"], answer["per_minute"])
    invocation.answer(answer, lambda: say(f"{name}: {told} from now on."))


def _show(found: "LimitList") -> None:
    if not found.limits:
        say("No limits.")
        return
    table(
        ("limit", "is", "from"),
        [(each.name, _spoken(each.at_once, each.per_minute), each.origin) for each in found.limits],
    )


def _spoken(at_once: object, per_minute: object) -> str:
    parts = [f"{at_once} at once"] if at_once is not None else []
    parts += [f"{per_minute} a minute"] if per_minute is not None else []
    return ", ".join(parts) or "no limit"
