"""What a declaring decorator takes: its slips are told with file and line, before Python tells them in its own way."""

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from types import FunctionType
from typing import Any, TypeVar, cast

from procession.errors import NotDeclarable
from procession.language.declarations import frame_of_caller, place_of, place_of_caller

D = TypeVar("D", bound=Callable[..., Any])


def with_options(decorator: D) -> D:
    """The same decorator, which names what is wrong with its use: parentheses left out, an option that there is not."""
    parameters = inspect.signature(decorator).parameters
    options = [each.name for each in parameters.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    required = [name for name in options if parameters[name].default is inspect.Parameter.empty]
    own = len(parameters) - len(options)

    @functools.wraps(decorator)
    def checked(*given: Any, **named: Any) -> Any:
        if len(given) > own or not named.keys() <= set(options) or not named.keys() >= set(required):
            raise _fault(_as_written(decorator.__name__, given[:own]), given[own:], named, options, required)
        return decorator(*given, **named)

    return cast(D, checked)


def _fault(
    written: str, misplaced: tuple[object, ...], named: Iterable[str], options: list[str], required: list[str]
) -> NotDeclarable:
    full = f"{written}({', '.join(f'{name}=…' for name in required)})"
    if misplaced and isinstance(misplaced[0], FunctionType):
        where = place_of(misplaced[0])
        return NotDeclarable(
            f"{where}: `{written}` stands without its parentheses.", subject=where, remedy=f"Write `{full}`."
        )
    where = place_of_caller()
    unknown = next((name for name in named if name not in options), None)
    if misplaced:
        wrong = f"`{written}` takes its options by name, not {misplaced[0]!r} alone."
    elif unknown is not None:
        meant = get_close_matches(unknown, options, 1)
        wrong = f"`{written}`: there is no option `{unknown}`{f': did you mean `{meant[0]}`?' if meant else '.'}"
    else:
        wrong = f"`{written}` needs {', '.join(f'{name}=…' for name in required if name not in named)}."
    return NotDeclarable(f"{where}: {wrong}", subject=where, remedy=f"Its options are {', '.join(options)}.")


def _as_written(name: str, owner: tuple[object, ...]) -> str:
    """The decorator as its author writes it: `@team.task`, with the name that the business function has there."""
    frame = frame_of_caller()
    if not owner or frame is None:
        return f"@{name}"
    known = {**frame.f_globals, **frame.f_locals}
    return f"@{next((each for each, value in known.items() if value is owner[0]), '…')}.{name}"
