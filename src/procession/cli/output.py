"""How things look: JSON for programs; tables, paragraphs and times in the application's zone for people."""

import dataclasses
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from procession.errors import ProcessionError

if TYPE_CHECKING:
    from rich.console import Console

    from procession.services.records import PauseShown, SuspensionShown

# Without a terminal there is no width to keep to, and nothing is cut off.
_NO_WIDTH = 10_000


def to_json(value: object) -> object:
    """A record, and what it is made of, as plain JSON; times as ISO 8601 in UTC."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(name): to_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    return value


@cache
def console(*, error: bool = False) -> "Console":
    """Where text goes. Colour only on a terminal; nothing in a value is taken for markup."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _NO_WIDTH
    return Console(stderr=error, width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """A line, or lines, for people."""
    console().print(clean(text), style=style or None)


def indented(text: str, by: str = "  ") -> str:
    """A text of several lines, those after the first set in below it."""
    return text.replace("\n", f"\n{by}")


def heading(text: str) -> None:
    """The head of a section."""
    say()
    say(text, "bold")


def print_error(error: ProcessionError) -> None:
    """An error as one paragraph: what is wrong, and what to do."""
    from rich.text import Text

    console(error=True).print(Text("error: ", "bold red") + Text(clean(str(error))))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under their columns; a cell may be a `(text, style)` pair."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        cells = [cell if isinstance(cell, tuple) else (str(cell), "") for cell in row]
        shown.add_row(*(Text(clean(text), style) for text, style in cells))
    target = console()
    with target.capture() as capture:
        target.print(shown)
    # The last column is padded to its width; nobody wants that behind a pipe.
    target.out("\n".join(line.rstrip() for line in capture.get().splitlines()))


def clean(text: str) -> str:
    """Text without control characters: a title must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) != "Cc" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def local(moment: datetime | None, zone: tzinfo) -> str:
    """A moment as people of the application's zone read it; nothing for none."""
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def local_near(moment: datetime | None, zone: tzinfo, *, now: datetime) -> str:
    """The same, to the second where it is less than two minutes from now: a minute says nothing there."""
    if moment is None or abs(moment - now) >= timedelta(minutes=2):
        return local(moment, zone)
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def tell_of_hold(held: "PauseShown | SuspensionShown", zone: tzinfo, indent: str = "") -> None:
    """What stands still, by whose wish and why, and what has it go on."""
    told = held.sentence(zone)
    say(f"{indent}{told[0].upper()}{told[1:]}. `{held.command}` has it go on.", "yellow")


def age(length: timedelta) -> str:
    """How long, in the largest unit that fits: "3 days", "20 minutes"."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' if number != 1 else ''}"
    return "less than a minute"


def plural(number: int, what: str) -> str:
    """ "1 instance", "3 instances"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def value_lines(value: object, indent: str = "") -> list[str]:
    """A JSON value as indented lines, names first: how inputs are shown."""
    if isinstance(value, dict) and value:
        lines = []
        for name, each in value.items():
            inner = value_lines(each, indent + "  ")
            if isinstance(each, dict | list) and each:
                lines += [f"{indent}{name}:", *inner]
            else:
                lines.append(f"{indent}{name}: {inner[0].strip()}")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for each in value:
            inner = value_lines(each, indent + "  ")
            lines += [f"{indent}- {inner[0].strip()}", *inner[1:]]
        return lines
    return [indent + _spoken(value)]


def _spoken(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case True:
            return "yes"
        case False:
            return "no"
        case {} | []:
            return "none"
        case _:
            return str(value)


STATE_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "halted": "bold red",
    "cancelling": "yellow",
    "suspended": "yellow",
    "paused": "yellow",
    "cancelled": "yellow",
    "attention": "bold red",
}


def state_cell(state: str) -> tuple[str, str]:
    """A state in its colour."""
    return state, STATE_STYLES.get(state, "")
