"""What instances have to do with each other: whose child one is, its own children and theirs, and those it waits for."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from procession.services.holding import Holding
from procession.services.records import ChildShown, Wait, moment
from procession.store import InstanceRow, View

MOST_SHOWN = 200


def parent_of(view: View, row: InstanceRow) -> str | None:
    """The name of the instance whose child this one is."""
    parent = view.instances.find(row.parent) if row.parent is not None else None
    return None if parent is None else parent.name


def ancestors_of(view: View, row: InstanceRow) -> Iterator[InstanceRow]:
    """The instance whose child this one is, that one's, and so on."""
    while row.parent is not None and (parent := view.instances.find(row.parent)) is not None:
        yield parent
        row = parent


def tree_of(view: View, row: InstanceRow) -> tuple[ChildShown, ...]:
    """Its children, each followed by its own: the open ones all, of those that have ended the first so many."""
    found: list[ChildShown] = []

    def take(parent: InstanceRow, depth: int) -> None:
        for child in view.instances.children(parent.id, limit=MOST_SHOWN):
            if len(found) >= MOST_SHOWN:
                return
            assert child.parent_call is not None
            found.append(
                ChildShown(child.name, child.title, child.state, parent.name, child.parent_call, depth, _halt_of(child))
            )
            take(child, depth + 1)

    take(row, 1)
    return tuple(found)


def waits_for_children(
    view: View,
    row: InstanceRow,
    *,
    requested: Mapping[int, Mapping[str, Any]],
    since: Mapping[int, datetime],
    holding: Holding,
) -> Iterator[Wait]:
    """Its children that have not ended, also those whose calls it has withdrawn; and those that have not begun yet."""
    begun = set()
    for child in view.instances.children(row.id, open_only=True, limit=MOST_SHOWN):
        call = child.parent_call or 0
        begun.add(call)
        yield Wait(
            call=call,
            kind="child",
            operation=child.process,
            title=child.title,
            state=child.state if call in requested else f"{child.state}, no longer wanted",
            since=since.get(call, moment(child.started_us)),
            due=None,
            is_overdue=False,
            instance=child.name,
            halt=_halt_of(child),
            suspension=holding.suspension_of(child),
        )
    for call, header in requested.items():
        if header.get("call_kind") in ("child", "start") and call not in begun:
            process = str(header.get("operation"))
            yield Wait(call, "child", process, process, "beginning", since[call], None, is_overdue=False)


def _halt_of(row: InstanceRow) -> str | None:
    return str(json.loads(row.halt)["message"]) if row.halt is not None and row.state == "halted" else None
