"""What a performer may do with a work item, and what it becomes: pure decisions, evaluated inside the writer's transaction."""

from dataclasses import dataclass
from typing import Protocol

from procession.errors import PerformerError
from procession.work.item import ENDED, ItemEnded, ItemEvent, ItemState, next_state
from procession.work.performers import Performer


class Held(PerformerError):
    """Somebody else has the work item; the message says who."""

    code = "held"


class NotOffered(PerformerError):
    """The work item is offered to a role that the performer does not hold."""

    code = "not-offered"


class ChangedMeanwhile(PerformerError):
    """The work item was changed since the performer looked at it."""

    code = "changed-meanwhile"


class ItemView(Protocol):
    """What the rules read of a work item."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def holder(self) -> str | None: ...
    @property
    def version(self) -> int: ...
    @property
    def performer(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class ItemChange:
    """What becomes of one work item: its events in order, the state after them, who holds it, and the draft if it changes.

    `draft` is None where the draft stays as it is; `drops_draft` says that it goes.
    """

    item: int
    events: tuple[ItemEvent, ...]
    state: ItemState
    holder: str | None
    draft: bytes | None = None
    drops_draft: bool = False


def claim(item: ItemView, performer: Performer, *, seen_version: int | None = None) -> ItemChange:
    """Take the item without starting it. Claiming what one already holds changes nothing but is not an error."""
    _check(item, performer, seen_version)
    if item.holder == performer.name:
        return ItemChange(item.id, (), ItemState(item.state), item.holder)
    return _change(item, (ItemEvent.CLAIMED,), performer.name)


def start(item: ItemView, performer: Performer, *, seen_version: int | None = None) -> ItemChange:
    """Begin work on the item, claiming it first where it is offered. Starting twice changes nothing."""
    _check(item, performer, seen_version)
    if item.state == ItemState.STARTED:
        return ItemChange(item.id, (), ItemState.STARTED, item.holder)
    return _change(item, (ItemEvent.STARTED,), performer.name)


def save_draft(
    item: ItemView, performer: Performer, draft: bytes, *, seen_version: int | None = None, body_failed: bool = False
) -> ItemChange:
    """Keep a half-filled answer, or one that the task's body failed on. An item that is only offered is claimed by this."""
    _check(item, performer, seen_version)
    claimed = () if item.holder else (ItemEvent.CLAIMED,)
    failed = (ItemEvent.BODY_FAILED,) if body_failed else ()
    return _change(item, (*claimed, ItemEvent.DRAFT_SAVED, *failed), performer.name, draft=draft)


def put_back(item: ItemView, performer: Performer, *, seen_version: int | None = None) -> ItemChange:
    """Give the item back to those it was offered to. The draft stays for whoever takes it next."""
    _check(item, performer, seen_version)
    return _change(item, (ItemEvent.PUT_BACK,), None)


def complete(item: ItemView, performer: Performer, *, seen_version: int | None = None) -> ItemChange:
    """Hand in the result; an item not yet started is started by this (so that who did it and when is always known)."""
    _check(item, performer, seen_version)
    started = item.state == ItemState.STARTED
    events = (ItemEvent.COMPLETED,) if started else (ItemEvent.STARTED, ItemEvent.COMPLETED)
    return _change(item, events, performer.name, drops_draft=True)


def withdraw(item: ItemView) -> ItemChange:
    """Take the item away from everybody: the process, or an operator, no longer wants it."""
    return _change(item, (ItemEvent.WITHDRAWN,), item.holder)


def fail(item: ItemView) -> ItemChange:
    """End the item as failed: an operator says that it cannot be done."""
    return _change(item, (ItemEvent.FAILED,), item.holder)


def settle(item: ItemView) -> ItemChange:
    """End the item as completed by an operator on behalf of whoever should have done it."""
    return _change(item, (ItemEvent.COMPLETED,), item.holder, drops_draft=True)


def _change(
    item: ItemView,
    events: tuple[ItemEvent, ...],
    holder: str | None,
    *,
    draft: bytes | None = None,
    drops_draft: bool = False,
) -> ItemChange:
    state = ItemState(item.state)
    for event in events:
        state = next_state(state, event)
    return ItemChange(item.id, events, state, holder, draft, drops_draft)


def _check(item: ItemView, performer: Performer, seen_version: int | None) -> None:
    _check_may_take(item, performer)  # first: who has it, or that it has ended, says more than that it has changed
    _check_version(item, seen_version)


def _check_version(item: ItemView, seen_version: int | None) -> None:
    if seen_version is not None and seen_version != item.version:
        raise ChangedMeanwhile(
            f"Work item {item.id} ({item.title}) was changed since you looked at it.",
            subject=str(item.id),
            remedy=f"Look again with `procession work show {item.id}`. Nothing was changed.",
        )


def check_is_open(item: ItemView) -> None:
    """Raises `ItemEnded`, which says by whom, for an item to which nothing more can be done."""
    state = ItemState(item.state)
    if state in ENDED:
        by = f" by {item.performer}" if item.performer else ""
        raise ItemEnded(
            f"Work item {item.id} ({item.title}) is already {state}{by}.",
            subject=str(item.id),
            remedy="Nothing was changed. See `procession work list` for what is open.",
        )


def _check_may_take(item: ItemView, performer: Performer) -> None:
    check_is_open(item)
    if item.holder is not None and item.holder != performer.name:
        raise Held(
            f"{item.holder} has work item {item.id} ({item.title}).",
            subject=str(item.id),
            remedy=f"Ask {item.holder} to put it back (`procession work put-back {item.id} --as {item.holder}`).",
        )
    if item.holder is None and item.role not in performer.roles:
        raise NotOffered(
            f"Work item {item.id} ({item.title}) is offered to the role {item.role!r}, which {performer.name} does not hold.",
            subject=str(item.id),
            remedy="Give the person the role in organisation.toml, or name somebody who holds it with --as.",
        )
