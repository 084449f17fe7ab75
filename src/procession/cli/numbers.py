"""Numbers on a command line, refused in words of ours: `work complete abc` says what stands there instead of a number."""

from collections.abc import Callable

import typer


def whole_number(least: int = 0, most: int = 10**18) -> Callable[[str], int]:
    """Reads a whole number within these bounds, for `parser=` of an argument or option."""

    def read(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a whole number") from None
        if not least <= number <= most:
            bounds = f"from {least:,} to {most:,}" if most < 10**18 else f"of at least {least}"
            raise typer.BadParameter(f"{text} is not a number {bounds}")
        return number

    return read
