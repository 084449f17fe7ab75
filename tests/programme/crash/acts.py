"""What services of the reference processes do: each asks the outside system, under the key of its call."""

from __future__ import annotations

from procession.language.attempt import attempt
from tests.programme.crash.world import present


def act(operation: str, step: str, *, fails: int = 0) -> str:
    """Have something done outside; the outside system is down for the first so many attempts at this step."""
    made = present().attempt(operation, step, attempt().idempotency_key)
    if made <= fails:
        raise ConnectionError(f"{operation} is down")
    return f"{operation}: {step}"
