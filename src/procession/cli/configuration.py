"""`procession config …`: what an application is set up with."""

import json
from typing import TYPE_CHECKING

import typer

from procession.cli.command import LOOKING, Invocation, command
from procession.cli.output import say, table

if TYPE_CHECKING:
    from procession.services.configuration import Configuration


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    config = typer.Typer(help="What the application is set up with.", no_args_is_help=True)
    command(config, "show", example="procession config show", panel=LOOKING)(show)
    app.add_typer(config, name="config", rich_help_panel=LOOKING)


def show(invocation: Invocation) -> None:
    """Show every setting with its value and where it came from: a line of procession.toml, the environment, or the default."""
    from procession.services.configuration import configuration_of

    found = configuration_of(invocation.application())
    invocation.answer(found, lambda: _show(found))


def _show(found: "Configuration") -> None:
    say(f"{found.application}: {found.file}", "bold")
    rows = [(each.name, _spoken(each.value), each.origin) for each in found.settings]
    rows += [(f"secret {each.name}", str(each.value or ""), each.origin) for each in found.secrets]
    rows += [(f"performs {each.name}", str(each.value), each.origin) for each in found.bindings]
    table(("setting", "value", "from"), rows)
    if found.note:
        say(found.note, "yellow")


def _spoken(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
