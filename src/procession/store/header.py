"""Compact JSON for headers: they are hashed as bytes, so they are written the same way each time."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

__all__ = ["compact", "facts", "optional", "optional_text", "quoted"]


def compact(value: object) -> bytes:
    """JSON without blanks, keys sorted, ASCII only."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def optional(number: int | None) -> str:
    """A number or `null`, as JSON."""
    return "null" if number is None else str(number)


def optional_text(value: str | None) -> str:
    """A text or `null`, as JSON."""
    return "null" if value is None else quoted(value)


def facts(header: bytes) -> dict[str, Any]:
    """What a header says; nothing if it cannot be read any more, which the check of the chain reports."""
    try:
        found = json.loads(header)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
