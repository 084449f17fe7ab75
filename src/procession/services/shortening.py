"""Long call stacks made short: a line that calls itself a thousand times is told as Python tells it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_ALIKE = 3
MOST_SHOWN = 60


def shortened(items: Sequence[T], alike: Callable[[T], object] = lambda item: item) -> list[T | str]:
    """The items, with a text in place of those that say nothing new: more of the same, or the middle of very many."""
    shown: list[T | str] = []
    run = 0
    for number, item in enumerate(items):
        is_same = number > 0 and alike(items[number - 1]) == alike(item)
        run = run + 1 if is_same else 1
        if run <= MOST_ALIKE:
            shown.append(item)
        elif run == MOST_ALIKE + 1:
            shown.append("")
        if run > MOST_ALIKE:
            more = run - MOST_ALIKE
            shown[-1] = f"[the previous line repeated {more} more time{'s' if more != 1 else ''}]"
    if len(shown) > MOST_SHOWN:
        half = MOST_SHOWN // 2
        shown[half:-half] = [f"[… {len(shown) - MOST_SHOWN} lines …]"]
    return shown
