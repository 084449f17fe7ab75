"""The life of a work item: each cell of the table, legal and illegal."""

import pytest

from procession.errors import PerformerError
from procession.work.item import ENDED, LIFE_CYCLE, ItemEnded, ItemEvent, ItemState, NotPossibleNow, next_state

CELLS = [(state, event) for state in ItemState for event in ItemEvent]
LEGAL = {
    (ItemState.OFFERED, ItemEvent.CLAIMED): ItemState.ALLOCATED,
    (ItemState.OFFERED, ItemEvent.STARTED): ItemState.STARTED,
    (ItemState.ALLOCATED, ItemEvent.STARTED): ItemState.STARTED,
    (ItemState.ALLOCATED, ItemEvent.DRAFT_SAVED): ItemState.ALLOCATED,
    (ItemState.STARTED, ItemEvent.DRAFT_SAVED): ItemState.STARTED,
    (ItemState.ALLOCATED, ItemEvent.BODY_FAILED): ItemState.ALLOCATED,
    (ItemState.STARTED, ItemEvent.BODY_FAILED): ItemState.STARTED,
    (ItemState.ALLOCATED, ItemEvent.PUT_BACK): ItemState.OFFERED,
    (ItemState.STARTED, ItemEvent.PUT_BACK): ItemState.OFFERED,
} | {
    (state, event): ending
    for state in (ItemState.OFFERED, ItemState.ALLOCATED, ItemState.STARTED)
    for event, ending in (
        (ItemEvent.COMPLETED, ItemState.COMPLETED),
        (ItemEvent.FAILED, ItemState.FAILED),
        (ItemEvent.WITHDRAWN, ItemState.WITHDRAWN),
    )
}


@pytest.mark.parametrize(("state", "event"), CELLS, ids=lambda value: str(value).replace(" ", "-"))
def test_a_step_is_taken_where_the_life_cycle_has_it_and_refused_elsewhere(state: ItemState, event: ItemEvent) -> None:
    if (state, event) in LEGAL:
        assert next_state(state, event) is LEGAL[state, event]
        return
    with pytest.raises(PerformerError) as refusal:
        next_state(state, event)
    assert isinstance(refusal.value, ItemEnded if state in ENDED else NotPossibleNow)
    assert "Nothing was changed" in str(refusal.value)


def test_every_state_has_a_row_and_every_open_one_can_end() -> None:
    assert set(LIFE_CYCLE) == set(ItemState)
    assert {ItemState.COMPLETED, ItemState.FAILED, ItemState.WITHDRAWN} == ENDED
    assert all(set(following.values()) >= ENDED for state, following in LIFE_CYCLE.items() if state not in ENDED)
