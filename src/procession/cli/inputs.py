"""Values from a command line: JSON (`--input JSON`, `@file`, `-` for standard input) or `field=value` read by the types."""

import json
import sys
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from procession.language.fields import Field


def read_json(given: str, option: str) -> str:
    """The JSON text that an option means. A file that cannot be read is a usage error."""
    if given == "-":
        try:
            return sys.stdin.read()
        except UnicodeDecodeError:
            raise typer.BadParameter("standard input is not UTF-8 text", param_hint=option) from None
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint=option) from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{path} is not UTF-8 text", param_hint=option) from None


def assign(fields: "tuple[Field, ...]", pairs: Sequence[str], zone: tzinfo, *, whole: str) -> str:
    """`field=value` pairs as JSON for these fields; `whole` names the value itself where it has no fields.

    Parts of something nested are `address.city=…`, of a list `lines.0.amount=…`; a value that begins with `{` or `[`
    is JSON. Raises `InvalidValue` for what is missing, unknown, given twice or not understood.
    """
    single = len(fields) == 1 and fields[0].path == ""
    given: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if single and (not separator or name in (whole, "result")):
            name, text = "", text if separator else pair
        elif single and name and (name[0].isalpha() or name[0] == "."):
            name = name.removeprefix(f"{whole}.")
        elif not separator or not name:
            raise typer.BadParameter(f"{pair!r} is not of the form field=value", param_hint="FIELD=VALUE")
        given.setdefault(name, []).append(text)
    assigning = _Assigning(given, zone, whole)
    value = assigning.value(fields[0], "") if single else assigning.members(fields, "")
    assigning.check(fields)
    return json.dumps(value, ensure_ascii=False)


class _Assigning:
    """Takes what was given field by field, and collects what is wrong with it."""

    def __init__(self, given: dict[str, list[str]], zone: tzinfo, whole: str) -> None:
        self._given = given
        self._zone = zone
        self._whole = whole
        self._taken: set[str] = set()
        self._problems: dict[str, str] = {}

    def members(self, fields: "tuple[Field, ...]", path: str) -> dict[str, object]:
        from procession.language.answers import LEFT_OUT

        found = {}
        for field in fields:
            name = field.path.rsplit(".", 1)[-1]
            value = self.value(field, f"{path}.{name}" if path else name)
            if value is not LEFT_OUT:
                found[name] = value
        return found

    def value(self, field: "Field", path: str) -> object:
        from procession.language.answers import LEFT_OUT
        from procession.language.fields import FieldKind

        if path in self._given:
            self._taken.add(path)
            return self._read(field, path, self._given[path])
        below = [name for name in self._given if name.startswith(f"{path}." if path else "")]
        if below and field.kind is FieldKind.NESTED:
            return self.members(field.fields, path)
        if below and field.kind is FieldKind.LIST and field.item is not None:
            start = len(path) + 1 if path else 0
            numbers = {name[start:].partition(".")[0] for name in below}
            return [self.value(field.item, f"{path}.{number}".lstrip(".")) for number in sorted(numbers, key=_number)]
        if below and field.kind is FieldKind.UNION:
            for alternative in field.alternatives:
                inner = f"{path}.{alternative.tag}".lstrip(".")
                if alternative.tag and any(f"{name}.".startswith(f"{inner}.") for name in below):
                    return {alternative.tag: self.value(alternative.field, inner)}
        if not field.required:
            return LEFT_OUT
        if not field.nullable:
            self._problems[path] = "is missing"
        return None

    def check(self, fields: "tuple[Field, ...]") -> None:
        from procession.language.filling_in import unfit

        unknown = sorted(self._given.keys() - self._taken)
        if unknown and self._problems.get("") == "is missing":
            del self._problems[""]  # it was given, by a name that it does not have
        for name in unknown:
            self._problems[name] = "is not a field here"
        if self._problems:
            raise unfit(fields, self._problems, whole=self._whole)

    def _read(self, field: "Field", path: str, texts: list[str]) -> object:
        from procession.language.fields import FieldKind
        from procession.language.strict_json import join

        try:
            if field.nullable and texts == [""]:
                return None
            if field.kind is FieldKind.LIST and field.item is not None and not _is_json(texts[-1]):
                return [self._one(field.item, join(path, 0), each) for each in texts]
            if len(texts) > 1:
                raise ValueError("is given twice")
            return self._one(field, path, texts[0])
        except ValueError as error:
            self._problems[path] = f"{error}"
            return None

    def _one(self, field: "Field", path: str, text: str) -> object:
        from procession.language.answers import NotUnderstood, read
        from procession.language.fields import FieldKind
        from procession.language.filling_in import form_of

        if field.kind not in (FieldKind.LIST, FieldKind.NESTED, FieldKind.UNION):
            return read(field, text, zone=self._zone)
        if _is_json(text):
            return json.loads(text)
        if field.kind is FieldKind.UNION:
            return self._of_union(field, path, text)
        if field.kind is FieldKind.NESTED:
            raise NotUnderstood(form_of(field, path, self._whole))
        return read(field, text, zone=self._zone)

    def _of_union(self, field: "Field", path: str, text: str) -> object:
        from procession.language.answers import NotUnderstood
        from procession.language.fields import FieldKind
        from procession.language.filling_in import given_as

        for alternative in field.alternatives:
            if alternative.tag and alternative.label == text and alternative.field.kind is FieldKind.NESTED:
                if any(each.required for each in alternative.field.fields):
                    raise NotUnderstood(
                        f"is {text} without its fields: give {' '.join(given_as(alternative, self._whole))}"
                    )
                return {alternative.tag: {}}
        for alternative in field.alternatives:
            try:
                value = self._one(alternative.field, path, text)
            except ValueError:
                continue
            return value if alternative.tag is None else {alternative.tag: value}
        raise NotUnderstood(f"{text!r} is none of {field.type_name}")


def _is_json(text: str) -> bool:
    """Whether what is given for something with parts is meant as JSON."""
    return text.startswith(("{", "[")) or text == "null"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 1_000_000
