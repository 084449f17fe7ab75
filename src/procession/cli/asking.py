"""Asking in a terminal, field by field, from the types; what was answered so far survives an interruption as a draft."""

import json
from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from procession.cli.output import say

if TYPE_CHECKING:
    from procession.language.fields import Alternative, Field


class Asking:
    """Questions to one person. `so_far` is what they have answered, as JSON; what an earlier draft holds is offered."""

    def __init__(self, zone: tzinfo, draft: object = None) -> None:
        self._zone = zone
        self._draft = draft
        self._answers: dict[str, object] = {}

    def ask(self, fields: "tuple[Field, ...]") -> str:
        """All fields, asked in order: JSON. Raises `KeyboardInterrupt` or `EOFError` where the person breaks off."""
        from procession.language.answers import collect_value

        return json.dumps(collect_value(fields, self._answer), ensure_ascii=False)

    def so_far(self) -> str | None:
        """What was answered until now, as JSON that need not be valid yet; None if nothing was."""
        if not self._answers:
            return None
        whole: object = {}
        for path, value in self._answers.items():
            if not path:
                return json.dumps(value, ensure_ascii=False)
            _put(whole, path.split("."), value)
        return json.dumps(_lists(whole), ensure_ascii=False)

    def _answer(self, field: "Field", path: str) -> object:
        from procession.language.answers import NotUnderstood, read
        from procession.language.fields import FieldKind

        offered = self._offered(field, path)
        self._introduce(field)
        while True:
            typed = input(self._question(field, offered))
            if not typed.strip() and offered is not None:
                typed = offered
            try:
                answer = (
                    self._understood(field, typed)
                    if field.kind is FieldKind.NESTED
                    else read(field, typed, zone=self._zone)
                )
            except NotUnderstood as error:
                say(f"  {error}", "red")
                continue
            self._remember(field, path, answer)
            return answer

    def _understood(self, field: "Field", typed: str) -> object:
        """Whether something that may be left out follows."""
        from procession.language.answers import LEFT_OUT, read

        answer = read(field, typed, zone=self._zone)
        if answer is False:
            return None if field.nullable else LEFT_OUT
        return answer

    def _introduce(self, field: "Field") -> None:
        if field.help:
            say(f"  {field.help}", "dim")
        labels = [option.label for option in field.options] + [each.label for each in field.alternatives]
        for number, label in enumerate(labels, start=1):
            say(f"  {number}. {label}")

    def _question(self, field: "Field", offered: str | None) -> str:
        from procession.language.fields import FieldKind

        what = "number, or how it begins" if field.options or field.alternatives else field.type_name
        if field.kind is FieldKind.LIST:
            what = "how many"
        elif field.kind is FieldKind.NESTED:
            what = "yes or no"
        if not field.required or field.nullable:
            what += ", may be left out"
        return f"{field.label} ({what}){'' if offered is None else f' [{offered}]'}: "

    def _remember(self, field: "Field", path: str, answer: object) -> None:
        from procession.language.answers import LEFT_OUT
        from procession.language.fields import FieldKind

        structural = (FieldKind.UNION, FieldKind.LIST, FieldKind.NESTED)
        if answer is LEFT_OUT or (field.kind in structural and answer is not None):
            return
        self._answers[path] = answer

    def _offered(self, field: "Field", path: str) -> str | None:
        """What the draft holds for this field, as it would be typed; else its default."""
        from procession.language.fields import FieldKind

        found = _look_up(self._draft, path)
        if found is None:
            return _typed(field, field.default) if not field.required and field.default is not None else None
        match field.kind:
            case FieldKind.LIST:
                return str(len(found)) if isinstance(found, list) else None
            case FieldKind.NESTED:
                return "yes"
            case FieldKind.UNION:
                chosen = next((each for each in field.alternatives if _is_of(each, found)), None)
                return chosen.label if chosen is not None else None
            case _:
                return _typed(field, found)


def _is_of(alternative: "Alternative", value: object) -> bool:
    return alternative.tag is not None and isinstance(value, dict) and alternative.tag in value


def _typed(field: "Field", value: object) -> str | None:
    """A JSON value as a person would type it for this field; None where it does not fit any more."""
    from procession.language.fields import FieldKind

    if field.kind is FieldKind.CHOICE:
        return next((option.label for option in field.options if option.value == value), None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.kind is FieldKind.JSON or isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if field.kind in (FieldKind.DURATION, FieldKind.DATETIME):
        return None  # the recorded form is not what is typed
    return str(value)


def _look_up(draft: object, path: str) -> Any:
    found = draft
    for part in path.split(".") if path else ():
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _put(whole: Any, path: list[str], value: object) -> None:
    for part in path[:-1]:
        whole = whole.setdefault(part, {})
    whole[path[-1]] = value


def _lists(value: object) -> object:
    """Objects whose names are 0, 1, 2, … are the lists that they stand for."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return list(inner.values())
    return inner
