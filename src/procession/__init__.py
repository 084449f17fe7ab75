"""Procession: business processes as code. A process is a typed `async def`, and it runs durably.

    from procession import Function, process

    team = Function("Team", owner="ann@acme.example")

    @team.task(effort="5 minutes", due="2 days")
    async def approve(days: int, reason: str) -> bool:
        \"\"\"May your colleague take this leave?\"\"\"
        ...

    @process(owner=team, title="{days} days: {reason}")
    async def leave(days: int, reason: str) -> str:
        return "enjoy" if await approve(days, reason) else "let us talk"

`Function` is a business function: it owns operations, which people (`task`) or programs (`service`) perform. `process`
declares what may be started as an instance. Where the instance awaits an operation it waits, for minutes or for months,
through every restart, and goes on at that line. What it hands over is typed and checked, in both directions.

Everything an author writes often is here; `procession.control` has what is rare, `procession.people` says who may do
what, `procession.errors` has every error.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procession.errors import AnswerRefused, ProcessFailed
    from procession.kernel import Call
    from procession.language.combinators import first, together
    from procession.language.control import Elapsed, after, attribute, deadline, now, until
    from procession.language.functions import Function
    from procession.language.groups import each
    from procession.language.messages import publish, receive
    from procession.language.picking import pick
    from procession.language.process import process
    from procession.language.undoing import compensate

__all__ = [
    "AnswerRefused",
    "Call",
    "Elapsed",
    "Function",
    "ProcessFailed",
    "after",
    "attribute",
    "compensate",
    "deadline",
    "each",
    "first",
    "now",
    "pick",
    "process",
    "publish",
    "receive",
    "together",
    "until",
]

_HOMES = {
    "AnswerRefused": "procession.errors",
    "ProcessFailed": "procession.errors",
    "Call": "procession.kernel",
    "first": "procession.language.combinators",
    "together": "procession.language.combinators",
    "Elapsed": "procession.language.control",
    "after": "procession.language.control",
    "attribute": "procession.language.control",
    "compensate": "procession.language.undoing",
    "deadline": "procession.language.control",
    "now": "procession.language.control",
    "until": "procession.language.control",
    "Function": "procession.language.functions",
    "each": "procession.language.groups",
    "pick": "procession.language.picking",
    "publish": "procession.language.messages",
    "receive": "procession.language.messages",
    "process": "procession.language.process",
}


def __getattr__(name: str) -> object:
    # Loaded when first named: every command imports this package, and few of them need pydantic.
    if name not in _HOMES:
        raise AttributeError(f"procession has no `{name}`")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
