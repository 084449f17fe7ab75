"""The command `procession`: one subcommand per use case, each in the file of its noun."""

from typing import Annotated

import typer

from procession.cli import (
    applications,
    attention,
    backups,
    calls,
    configuration,
    demo,
    engines,
    event_logs,
    external,
    groups,
    instances,
    limits,
    messages,
    pauses,
    schedules,
    work,
)

app = typer.Typer(
    name="procession",
    help="Business processes as code: start instances, do their work, see where they are, repair them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for noun in (
    applications,
    demo,
    engines,
    attention,
    backups,
    instances,
    work,
    messages,
    external,
    groups,
    calls,
    event_logs,
    configuration,
    pauses,
    schedules,
    limits,
):
    noun.declare(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"procession {version('procession')}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Business processes as code: start instances, do their work, see where they are, repair them."""


def main() -> None:
    """Run the command that was typed."""
    app()


if __name__ == "__main__":
    main()
