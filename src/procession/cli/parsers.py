"""What is typed on a command line, read for `parser=` of an argument or option; what cannot be meant is refused in words of ours."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import typer

LARGEST = 10**18
Choice = TypeVar("Choice", bound=StrEnum)


def whole_number(least: int = 0, most: int = LARGEST) -> Callable[[str], int]:
    """Reads a whole number within these bounds: `work complete abc` says what stands there instead of a number."""

    def read(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a whole number") from None
        if least <= number <= most:
            return number
        if number > most == LARGEST:
            raise typer.BadParameter(f"{text} is too large a number")
        bounds = f"from {least:,} to {most:,}" if most < LARGEST else f"of at least {least}"
        raise typer.BadParameter(f"{text} is not a number {bounds}")

    return read


def one_of(kind: type[Choice]) -> Callable[[str], Choice]:
    """Reads one of these words."""

    def read(text: str) -> Choice:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is none of {', '.join(kind)}") from None

    return read


def choice(flag: str, kind: type[StrEnum], told: str) -> Any:
    """An option that takes one of these words, which its help lists: "text|json"."""
    return typer.Option(flag, metavar="|".join(kind), parser=one_of(kind), help=told)


def said(text: str) -> str:
    """Reads a text that somebody is to understand: one with nothing in it says nothing."""
    if not text.strip():
        raise typer.BadParameter("it is empty")
    return text


def refuse_unreadable(name: str, given: object) -> None:
    """Refuses what was typed in bytes that are no UTF-8, which Python hands over in halves of surrogate pairs."""
    for text in given if isinstance(given, list | tuple) else (given,):
        if isinstance(text, str) and not text.isascii() and text != text.encode("utf-8", "replace").decode():
            raise typer.BadParameter(f"{text!r} is not UTF-8 text", param_hint=name)
