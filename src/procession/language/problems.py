"""What is wrong with a value, field by field, in sentences that a performer or an author can act on."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ValidationError

from procession.errors import InvalidValue, PayloadTooLarge
from procession.language.strict_json import DIGITS_LIMIT, PAYLOAD_LIMIT_BYTES, Fault, join, too_large

CHOICE = "|"
"""How the label of a member of a union begins in the place that pydantic tells."""
_SHOWN = 60
_LARGEST_INTEGER = 10**DIGITS_LIMIT


def from_validation(error: ValidationError, where: str) -> InvalidValue:
    """pydantic's findings as one error with a sentence for each field."""
    return invalid(where, _problems(error.errors(include_url=False)))


def from_fault(fault: Fault, where: str) -> InvalidValue:
    """A fault in the JSON itself as an error."""
    return invalid(where, {fault.path: fault.sentence})


def oversized(size: int, where: str) -> PayloadTooLarge:
    """The error for a value over the limit of a payload."""
    return PayloadTooLarge(
        f"{where} {too_large(size)}.",
        problems={"": too_large(size)},
        subject=where,
        remedy=f"Hand over less than {PAYLOAD_LIMIT_BYTES:,} bytes, and keep the rest where it can be fetched.",
    )


def invalid(where: str, problems: Mapping[str, str]) -> InvalidValue:
    """The error for a value with these problems by field path."""
    told = "; ".join(f"{path or 'the value'} {sentence}" for path, sentence in problems.items())
    return InvalidValue(f"{where} does not fit its type: {told}.", problems=dict(problems), subject=where)


def first_difference(one: object, other: object, path: str = "") -> str:
    """The path at which two values as JSON differ first."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts: Iterable[tuple[str | int, object, object]] = ((key, one[key], other[key]) for key in one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = ((place, *both) for place, both in enumerate(zip(one, other, strict=True)))
    else:
        return path
    return next((first_difference(a, b, join(path, key)) for key, a, b in parts if a != b), path)


def _problems(findings: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for finding in findings:
        path = ""
        for part in finding["loc"]:
            if not str(part).startswith(CHOICE):
                path = join(path, "key" if part == "[key]" else part)
        sentence = _sentence(finding)
        found[path] = f"{found[path]}, or {sentence}" if path in found and sentence not in found[path] else sentence
    return found


def _sentence(finding: Mapping[str, Any]) -> str:
    kind, value, context = finding["type"], finding.get("input"), finding.get("ctx", {})
    match kind:
        case "missing" | "missing_argument":
            return "is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return "is not a field here"
        case "json_invalid":
            return f"is not JSON: {context.get('error', 'it cannot be read')}"
        case "timezone_aware":
            return "is a moment without a time zone: nobody can say when that is"
        case "less_than" | "greater_than" if abs(_limit(context)) == _LARGEST_INTEGER:
            return f"is a number of more than {DIGITS_LIMIT} digits"
        case "literal" | "moment" | "number" | "subclass" | "tag" | "twice" | "union":
            return str(finding["msg"])
        case "recursion_loop":
            return "holds itself, which cannot be written down"
        case "dataclass_type" | "dataclass_exact_type" | "model_type" | "model_attributes_type":
            return f"should be a {context.get('class_name', 'value of its class')}, not {_shown(value)}"
        case "value_error" | "assertion_error":
            return str(context.get("error", finding["msg"]))
        case _:
            pass
    said = str(finding["msg"])
    said = said.removeprefix("Input ") if said.startswith("Input ") else said[:1].lower() + said[1:]
    return f"{said}, not {_shown(value)}"


def _limit(context: Mapping[str, Any]) -> int:
    limit = context.get("lt", context.get("gt", 0))
    return limit if isinstance(limit, int) else 0


def _shown(value: object) -> str:
    """A value in an error: scalars as they are, anything larger by its type (its text may hold anything)."""
    if value is None or isinstance(value, bool | int | float | str):
        shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
        return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"a {type(value).__name__}"
