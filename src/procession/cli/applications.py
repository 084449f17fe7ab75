"""`procession new`: a folder with an application that runs."""

from pathlib import Path
from typing import Annotated

import typer

from procession.cli.command import RUNNING, Invocation, command
from procession.cli.output import say


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "new", example="procession new leave", panel=RUNNING)(new)


def new(
    invocation: Invocation,
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="The folder to make; its last part names the application.")
    ],
) -> None:
    """Make a new application: settings, two people, one process, and the type checker's settings."""
    from procession.services.scaffold import make_application

    made = make_application(invocation.folder / name if invocation.folder is not None else name)

    def in_words() -> None:
        say(f"Made {made.folder}: {', '.join(made.files)}.")
        say()
        say("Next:")
        say(f"  cd {name}")
        say('  procession start leave days=3 reason="a trip" --as ann')
        say("  procession work list --as bob")
        say("  procession work complete 1 answer=yes --as bob")
        say("  procession show leave-1")

    invocation.answer(made, in_words)
