"""The life of a work item, as one table.

Names are those of the Workflow Patterns (Russell, van der Aalst, ter Hofstede, Edmond, 2005: "Workflow Resource
Patterns") and WS-HumanTask. The documentation draws its picture from `LIFE_CYCLE`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from procession.errors import PerformerError


class ItemState(StrEnum):
    """Where a work item stands."""

    OFFERED = "offered"
    ALLOCATED = "allocated"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class ItemEvent(StrEnum):
    """What happened to a work item."""

    OFFERED = "offered"
    CLAIMED = "claimed"
    STARTED = "started"
    DRAFT_SAVED = "draft saved"
    BODY_FAILED = "body failed"
    PUT_BACK = "put back"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class ItemEnded(PerformerError):
    """The work item has ended: it was completed, failed or withdrawn, and nothing more can be done to it."""

    code = "item-ended"


class NotPossibleNow(PerformerError):
    """The life cycle of a work item does not allow this step in its present state."""

    code = "not-possible-now"


_OPEN_ENDINGS = {
    ItemEvent.COMPLETED: ItemState.COMPLETED,
    ItemEvent.FAILED: ItemState.FAILED,
    ItemEvent.WITHDRAWN: ItemState.WITHDRAWN,
}

LIFE_CYCLE: Mapping[ItemState, Mapping[ItemEvent, ItemState]] = MappingProxyType(
    {
        ItemState.OFFERED: {
            ItemEvent.CLAIMED: ItemState.ALLOCATED,
            ItemEvent.STARTED: ItemState.STARTED,
            **_OPEN_ENDINGS,
        },
        ItemState.ALLOCATED: {
            ItemEvent.STARTED: ItemState.STARTED,
            ItemEvent.DRAFT_SAVED: ItemState.ALLOCATED,
            ItemEvent.BODY_FAILED: ItemState.ALLOCATED,
            ItemEvent.PUT_BACK: ItemState.OFFERED,
            **_OPEN_ENDINGS,
        },
        ItemState.STARTED: {
            ItemEvent.DRAFT_SAVED: ItemState.STARTED,
            ItemEvent.BODY_FAILED: ItemState.STARTED,
            ItemEvent.PUT_BACK: ItemState.OFFERED,
            **_OPEN_ENDINGS,
        },
        ItemState.COMPLETED: {},
        ItemState.FAILED: {},
        ItemState.WITHDRAWN: {},
    }
)

ENDED = frozenset(state for state, following in LIFE_CYCLE.items() if not following)


def next_state(state: ItemState, event: ItemEvent) -> ItemState:
    """The state after `event`. Raises `ItemEnded` or `NotPossibleNow` where the table has no such step."""
    following = LIFE_CYCLE[state]
    if event in following:
        return following[event]
    if not following:
        raise ItemEnded(
            f"The work item is already {state}.",
            remedy="Nothing was changed. See `procession work list` for what is open.",
        )
    possible = ", ".join(sorted(following))
    raise NotPossibleNow(
        f"A work item that is {state} cannot be {event}.",
        remedy=f"From here it can be: {possible}. Nothing was changed.",
    )
