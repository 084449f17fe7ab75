"""What every command has in common: the options for whom, where and how, the errors, the exit status.

Heavy rooms are imported inside functions: `procession --help` must not wait for them.
"""

import contextlib
import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from procession.cli.parsers import choice, refuse_unreadable, said
from procession.errors import InternalError, ProcessionError

if TYPE_CHECKING:
    from procession.api.orders import Given
    from procession.services.application import Application
    from procession.services.commands import Command

LOOKING, WORKING, REPAIRING, RUNNING = "Look", "Work", "Repair", "Run"


class Format(StrEnum):
    """How a command answers: for people, or as one JSON document."""

    TEXT = "text"
    JSON = "json"


AppOption = Annotated[
    Path | None,
    typer.Option(
        "--app", metavar="FOLDER", envvar="PROCESSION_APP", help="The application's folder (default: here or above)."
    ),
]
FormatOption = Annotated[
    Format,
    choice("--format", Format, "For people, or one JSON document on standard output."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
ActorOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        envvar="PROCESSION_AS",
        parser=said,
        help="Who gives the command (default: your login name).",
    ),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded with the command.")
]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_READING = {
    "app": inspect.Parameter("app", _KEYWORD, default=None, annotation=AppOption),
    "format": inspect.Parameter("format", _KEYWORD, default=Format.TEXT, annotation=FormatOption),
    "debug": inspect.Parameter("debug", _KEYWORD, default=False, annotation=DebugOption),
}
_ACTING = {
    "actor": inspect.Parameter("actor", _KEYWORD, default=None, annotation=ActorOption),
    "reason": inspect.Parameter("reason", _KEYWORD, default=None, annotation=ReasonOption),
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a command was called: where, by whom, why, and how it is to answer."""

    folder: Path | None
    format: Format
    debug: bool
    actor: str
    reason: str | None
    out: TextIO
    """Standard output, wherever `print` goes meanwhile."""

    @property
    def wants_json(self) -> bool:
        """Whether the answer is one JSON document."""
        return self.format is Format.JSON

    @property
    def may_ask(self) -> bool:
        """Whether there is a person at a terminal to ask."""
        return not self.wants_json and sys.stdin.isatty() and sys.stdout.isatty()

    def application(self) -> "Application":
        """The application that is meant. Raises `NoApplication`, `BadSettings`."""
        from procession.services.application import find_application, open_application

        return find_application(Path.cwd()) if self.folder is None else open_application(self.folder)

    def give(self, application: "Application", command: "Command", *, client_id: str | None = None) -> "Given":
        """Have a command carried out, under an identifier of its own where none is given, so that it is never done twice."""
        from uuid import uuid4

        from procession.api.orders import give
        from procession.services.commands import Order

        return give(application, Order(command, self.actor, self.reason, client_id=client_id or str(uuid4())))

    def answer(self, document: object, in_words: Callable[[], None]) -> None:
        """Give the answer: as JSON where that is wanted, else in words."""
        if self.wants_json:
            print_document(document, self.out)
        else:
            in_words()


Body = Callable[..., int | None]


def command(
    app: typer.Typer, name: str, *, example: str, panel: str, acts: bool = False, without: Collection[str] = ()
) -> Callable[[Body], Body]:
    """Makes a function a command. It gets an `Invocation` first, then its own parameters, and may return an exit status.

    A command that `acts` takes --as and --reason; `without` names those of the common options that it does not take. One
    that it declares itself says there what it is for.
    """

    def declare(body: Body) -> Body:
        own = [*inspect.signature(body).parameters.values()][1:]
        own = [parameter.replace(kind=_KEYWORD) for parameter in own]
        left_out = {*without, *(parameter.name for parameter in own)}
        offered = {**_READING, **(_ACTING if acts else {})}
        common = {name: parameter for name, parameter in offered.items() if name not in left_out}

        @functools.wraps(body)
        def run(**given: Any) -> None:
            for name, value in given.items():
                refuse_unreadable(name.upper(), value)
            status = _guarded(body, _invocation(given, common), given)
            if status:
                raise typer.Exit(status)

        parameters = [*own, *common.values()]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        text = _in_paragraphs(inspect.getdoc(body) or "")
        app.command(name, help=text, epilog=f"Example: {example}", rich_help_panel=panel)(run)
        return body

    return declare


def _in_paragraphs(docstring: str) -> str:
    """Each paragraph on one line: where a source breaks its lines is nothing to a terminal."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", docstring)


def _invocation(given: dict[str, Any], common: dict[str, Any]) -> Invocation:
    values = {name: given.pop(name) for name in common}
    return Invocation(
        folder=values["app"],
        format=values.get("format", Format.TEXT),
        debug=values.get("debug", given.get("debug", False)),
        actor=values.get("actor") or login_name(),
        reason=values.get("reason"),
        out=sys.stdout,
    )


def login_name() -> str:
    """The name of whoever is logged in."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _guarded(body: Body, invocation: Invocation, given: dict[str, Any]) -> int:
    # What authors' modules print while they are imported does not belong into a JSON document.
    elsewhere = contextlib.redirect_stdout(sys.stderr) if invocation.wants_json else contextlib.nullcontext()
    try:
        with elsewhere:
            return body(invocation, **given) or 0
    except ProcessionError as error:
        _tell(error, invocation)
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:
        raise
    except Exception as error:
        internal = InternalError(
            f"Procession made a mistake: {type(error).__name__}: {error}.",
            remedy="Please report it, with what --debug shows. What was acknowledged before is not lost.",
        )
        _tell(internal, invocation)
    return 1


def _tell(error: ProcessionError, invocation: Invocation) -> None:
    if invocation.debug:
        traceback.print_exc()
    if invocation.wants_json:
        from procession.api.protocol import describe_error

        print_document({"error": describe_error(error)}, invocation.out)
    else:
        from procession.cli.output import print_error

        print_error(error)


def print_document(document: object, out: TextIO) -> None:
    """The one JSON document of a command."""
    import json

    from procession.cli.output import to_json

    print(json.dumps(to_json(document), indent=2, ensure_ascii=False), file=out, flush=True)
