"""The page about what `--format json` prints: written from the records that commands answer with."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from procession.services import (
    attention,
    backups,
    configuration,
    demo,
    event_log,
    foreseeing,
    health,
    histories,
    limiting,
    records,
    scaffold,
    schedules,
    scopes,
)

READ = {
    "procession list": records.InstanceList,
    "procession show": records.InstanceDetail,
    "procession work list": records.Worklist,
    "procession work show": records.ItemDetail,
    "procession work withdraw --dry-run": foreseeing.Foreseen,
    "procession doctor": health.HealthReport,
    "procession message list": records.MessageList,
    "procession attention": attention.CaseList,
    "procession export history --output": histories.HistoryWritten,
    "procession backup": backups.BackupMade,
    "procession restore": backups.StoreRestored,
    "procession config show": configuration.Configuration,
    "procession limit": limiting.LimitList,
    "procession schedule list": schedules.ScheduleList,
    "procession pause list": scopes.PauseList,
    "procession new": scaffold.NewApplication,
    "procession demo": demo.DemoSummary,
}
LISTED = {"procession export log": event_log.LogRow}

_WAITING = {"waiting": "`service_calls` and `timers` of the instance that wait for an engine; 0 where one runs"}
_HALTED = {"halted": "text: why the instance halted by this; null where it did not"}
_ITEM = {
    "item": "number",
    "title": "text",
    "state": "text: of the item",
    "version": "number: grows with each change",
    "holder": "text or null",
    "instance": "text: its name",
    "instance_state": "text",
    **_HALTED,
    **_WAITING,
}
_REPAIR = {"instance": "text: its name", "state": "text", **_HALTED, **_WAITING}
ACTED = {
    "procession start": {
        "instance": "text: its name",
        "uuid": "text",
        "title": "text",
        "state": "text",
        "repeated": "yes or no: whether the instance was there already",
        **_HALTED,
        **_WAITING,
        "engine_note": "text: that the engine that runs has not taken the source on disk; empty where it has",
    },
    "procession work claim, start, save-draft, complete, put-back": {
        **_ITEM,
        "next_item": "number or null: the next item for whoever gave the command",
    },
    "procession work withdraw": _ITEM,
    "procession retry, complete-call, fail-call, suspend, resume, cancel": _REPAIR,
    "procession skip": {
        **_REPAIR,
        "skipped": "number: the call",
        "settled": "yes or no: whether it was one that could not undo what it should",
    },
    "procession pause, unpause": {
        "scope": "text: process, operation or system",
        "name": "text",
        "paused": "yes or no",
        "instances": "number: those that stand still, or go on, by it",
        "repeated": "yes or no: whether this very order was given before",
    },
    "procession suspend, resume, cancel, retry, skip of many": {
        "verb": "text",
        "bulk": "number: what `--undo` takes",
        "number": "number: how many were chosen",
        "done": "number",
        "refused": "list of texts",
        "halted": "list of texts: the names of those that halted by it",
        "left": "number: not done, since it was stopped",
    },
    "procession suspend, resume, cancel, retry, skip of many --dry-run": {
        "verb": "text",
        "number": "number: how many would be chosen",
        "first": "list of texts: the first ten of them",
    },
    "procession limit NAME": {"name": "text", "at_once": "number or null", "per_minute": "number or null"},
    "procession group add, close": {
        "instance": "text: its name",
        "group": "text: its name",
        "state": "text: of the instance",
        **_HALTED,
    },
    "procession external fetch": {
        "operation": "text: its identity",
        "calls": "list of objects: `token`, `instance`, `call`, `input` (by name), `lease_until` (time), `attempt`, `due` (time or null)",
        "repeated": "yes or no: whether these were given before, under the same identifier",
    },
    "procession external heartbeat": {"token": "text", "lease_until": "time"},
    "procession external complete, fail": {
        "instance": "text: its name",
        "token": "text",
        "ended": "yes or no: whether the call has ended; one that was given back has not",
        "repeated": "yes or no: whether this was handed in before",
        **_HALTED,
    },
    "procession message": {
        "type": "text: the class",
        "key": "text",
        "awaited": "number: how many instances waited for it",
        "repeated": "yes or no: whether it was sent before, under the same identifier",
        "halts": "the instances that halted by it, each with why",
    },
    "procession schedule pause, resume": {
        "schedule": "text: its name",
        "paused": "yes or no",
        "next": "text or null: when it starts something next",
    },
    "procession retry --call": {
        **_REPAIR,
        "call": "number: of the call that is attempted again",
        "operation": "text: its operation; empty where it has ended meanwhile",
    },
}


def documents_page() -> Iterator[str]:
    """Every document, then every record in them."""
    yield "# JSON documents"
    yield (
        "Written by `make docs` from the records that the commands answer with. With `--format json` a command prints one JSON "
        "document and nothing else; names in it stay. Times are ISO 8601 in UTC. Whatever else is printed meanwhile goes to "
        'standard error. A command that fails prints `{"error": {"code", "message", "subject", "remedy"}}`, with '
        "`problems` by field where values do not fit, and ends with status 1; [errors](errors.md) lists the codes."
    )
    yield (
        "`procession run` and `serve` print one object per line instead: `event` is `ready`, `happened`, `source` (of "
        "`run`: files changed) or `ending`."
    )
    yield "## What commands print"
    for command, record in READ.items():
        yield f"`{command}`: {_link(record)}"
    for command, record in LISTED.items():
        yield f"`{command}`: a list of {_link(record)}"
    for command, members in ACTED.items():
        yield f"### {command}"
        yield _table([(name, what) for name, what in members.items()])
    yield "## Records"
    found: dict[str, type] = {}
    for record in (*READ.values(), *LISTED.values()):
        _collect(record, found)
    for name in sorted(found):
        yield f"### {name}"
        yield inspect.getdoc(found[name]) or ""
        hints = typing.get_type_hints(found[name])
        yield _table([(field.name, _spoken(hints[field.name])) for field in dataclasses.fields(found[name])])


def _collect(record: Any, found: dict[str, type]) -> None:
    if dataclasses.is_dataclass(record) and isinstance(record, type) and record.__name__ not in found:
        found[record.__name__] = record
        for hint in typing.get_type_hints(record).values():
            _collect(hint, found)
    for inner in typing.get_args(record):
        _collect(inner, found)


def _spoken(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_spoken(each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"list of {_spoken(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is dict:
        return f"object: {_spoken(typing.get_args(hint)[1])} by name"
    if dataclasses.is_dataclass(hint):
        return _link(hint)
    names = {
        str: "text",
        int: "number",
        float: "number",
        bool: "yes or no",
        datetime: "time",
        object: "any JSON",
        type(None): "null",
    }
    return names[hint]


def _link(record: Any) -> str:
    return f"[{record.__name__}](#{record.__name__.lower()})"


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| `{name}` | {what} |" for name, what in rows)])
