"""Titles and keys from the inputs of a process: "{application.applicant}: {days} days"."""

import string
import typing
from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any

from procession.errors import AuthorError, NotDeclarable
from procession.language.codec import Parameter
from procession.language.failures import message_of

LONGEST_TITLE = 200


class NotFilledIn(AuthorError):
    """A title or a business key cannot be made of these inputs: a format does not fit, or the code behind a field raised."""

    code = "not-filled-in"


class Template:
    """A text with places for inputs and their fields. What it names is checked when the process is loaded."""

    def __init__(self, text: str, *, option: str, where: str) -> None:
        self.text = text
        self._place = f"{where}: {option}={text!r}"
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise self._fault(f"cannot be read ({error})", "Write a brace that is meant twice: {{ or }}.") from None
        self._parts = tuple(
            (literal, self._path(name, conversion), spec or "") for literal, name, spec, conversion in parts
        )

    def _path(self, name: str | None, conversion: str | None) -> tuple[str, ...]:
        if name is None:
            return ()
        path = tuple(name.split("."))
        if conversion or not all(part.isidentifier() and not part.startswith("_") for part in path):
            raise self._fault(
                f"has the place {{{name}}}", "A place names an input, or a field of one: {application.address}."
            )
        return path

    def _fault(self, wrong: str, remedy: str) -> NotDeclarable:
        return NotDeclarable(f"{self._place} {wrong}.", subject=self._place, remedy=remedy)

    @property
    def names_something(self) -> bool:
        """Whether the text depends on the inputs at all."""
        return any(path for _, path, _ in self._parts)

    def check(self, parameters: tuple[Parameter, ...]) -> None:
        """Raises `NotDeclarable` for a place that names no input, or no field of it."""
        types = {parameter.name: parameter.annotation for parameter in parameters}
        for _, path, _ in self._parts:
            if path and path[0] not in types:
                raise self._fault(
                    f"names `{path[0]}`, which is not an input", f"There are: {', '.join(types) or 'none'}."
                )
            if path:
                self._check_fields(types[path[0]], path)

    def _check_fields(self, annotation: Any, path: tuple[str, ...]) -> None:
        for position, name in enumerate(path[1:], start=1):
            known: dict[str, Any] = {}
            for cls in _classes_in(annotation):
                found = _members_of(cls)
                if name not in found:
                    fields = ", ".join(n for n in found if not n.startswith("_"))
                    wrong = f"names `{'.'.join(path[: position + 1])}`, and {cls.__name__} has no `{name}`"
                    raise self._fault(wrong, f"It has: {fields}.")
                known[name] = found[name]
            annotation = known.get(name, Any)

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text for these inputs. Raises `NotFilledIn` where the author's code, or the format, does not give one."""
        try:
            return self._filled(values)
        except Exception as error:
            raise NotFilledIn(
                f"{self._place} cannot be filled in: {type(error).__name__}: {message_of(error)}.",
                subject=self._place,
                remedy="Correct it, or what it names.",
            ) from error

    def _filled(self, values: Mapping[str, Any]) -> str:
        filled: list[str] = []
        for literal, path, spec in self._parts:
            filled.append(literal)
            if path:
                value: Any = values[path[0]]
                for name in path[1:]:
                    value = None if value is None else getattr(value, name)
                filled.append(_told(value, spec))
        return "".join(filled)


def title_text(text: str) -> str:
    """A text as the title of an instance: on one line, of reasonable length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


def _told(value: Any, spec: str) -> str:
    if value is None:
        return ""
    if isinstance(value, Enum):
        value = value.value
    return format(value, spec)


def _classes_in(annotation: Any) -> list[type]:
    """The classes that a value of this type may have; without those about which nothing can be said."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _classes_in(typing.get_args(annotation)[0])
    if origin in (typing.Union, UnionType):
        return [cls for member in typing.get_args(annotation) for cls in _classes_in(member)]
    if isinstance(origin, type):
        return [origin]
    return [annotation] if isinstance(annotation, type) and annotation is not type(None) else []


def _members_of(cls: type) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    return {**dict.fromkeys(dir(cls), Any), **hints}
