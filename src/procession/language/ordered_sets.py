"""Sets that iterate in the order in which their elements arrived.

A plain set of texts iterates in another order in every run of Python, so a process that loops over one would not replay
(the commands it makes would come in another order). The sets that a hand-off gives to process code are these: real
`set`s and `frozenset`s, equal to plain ones, whose order is the sorted order in which they crossed.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class OrderedFrozenSet(frozenset[T]):
    """A frozenset that iterates in the order of the elements it was made from."""

    __slots__ = ("_order",)
    _order: tuple[T, ...]

    def __new__(cls, elements: Iterable[T] = ()) -> "OrderedFrozenSet[T]":
        order = tuple(dict.fromkeys(elements))
        made = super().__new__(cls, order)
        made._order = order
        return made

    def __iter__(self) -> Iterator[T]:
        return iter(self._order)

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedFrozenSet, (self._order,)

    def __repr__(self) -> str:
        return f"frozenset({{{', '.join(map(repr, self._order))}}})" if self._order else "frozenset()"

    def copy(self) -> "OrderedFrozenSet[T]":
        return self

    def __or__(self, other: AbstractSet[S]) -> "OrderedFrozenSet[T | S]":
        return OrderedFrozenSet((*self, *other))

    def __ror__(self, other: AbstractSet[S]) -> "OrderedFrozenSet[T | S]":  # type: ignore[misc]
        return OrderedFrozenSet((*other, *self))

    def __and__(self, other: AbstractSet[object]) -> "OrderedFrozenSet[T]":
        return OrderedFrozenSet(x for x in self if x in other)

    __rand__ = __and__

    def __sub__(self, other: AbstractSet[object]) -> "OrderedFrozenSet[T]":
        return OrderedFrozenSet(x for x in self if x not in other)

    def __xor__(self, other: AbstractSet[S]) -> "OrderedFrozenSet[T | S]":
        return (self - other) | OrderedFrozenSet(x for x in other if x not in self)

    __rxor__ = __xor__

    def union(self, *others: Iterable[S]) -> "OrderedFrozenSet[T | S]":
        return OrderedFrozenSet((*self, *(x for other in others for x in other)))

    def intersection(self, *others: Iterable[object]) -> "OrderedFrozenSet[T]":
        kept = frozenset(self).intersection(*others)
        return OrderedFrozenSet(x for x in self if x in kept)

    def difference(self, *others: Iterable[object]) -> "OrderedFrozenSet[T]":
        kept = frozenset(self).difference(*others)
        return OrderedFrozenSet(x for x in self if x in kept)

    def symmetric_difference(self, other: Iterable[S]) -> "OrderedFrozenSet[T | S]":
        return self ^ OrderedFrozenSet(other)


class OrderedSet(set[T]):
    """A set that iterates in the order in which its elements were first added."""

    # Elements in order of their first adding. What was removed may still stand here: the set itself says what is in it.
    _order: dict[T, None]

    def __init__(self, elements: Iterable[T] = ()) -> None:
        self._order = dict.fromkeys(elements)
        super().__init__(self._order)

    def __iter__(self) -> Iterator[T]:
        return (x for x in self._order if x in self)

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedSet, (tuple(self),)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}" if self else "set()"

    def copy(self) -> "OrderedSet[T]":
        return OrderedSet(self)

    def add(self, element: T, /) -> None:
        if element not in self:
            self._order.pop(element, None)
            self._order[element] = None
            super().add(element)

    def update(self, *others: Iterable[T]) -> None:
        for other in others:
            for element in other:
                self.add(element)

    def pop(self) -> T:
        for element in self:
            super().discard(element)
            return element
        raise KeyError("pop from an empty set")

    def symmetric_difference_update(self, other: Iterable[T], /) -> None:
        for element in dict.fromkeys(other):
            self.discard(element) if element in self else self.add(element)

    def __ior__(self, other: AbstractSet[T]) -> "OrderedSet[T]":  # type: ignore[override, misc]
        self.update(other)
        return self

    def __ixor__(self, other: AbstractSet[T]) -> "OrderedSet[T]":  # type: ignore[override, misc]
        self.symmetric_difference_update(other)
        return self

    def __or__(self, other: AbstractSet[S]) -> "OrderedSet[T | S]":
        return OrderedSet((*self, *other))

    def __ror__(self, other: AbstractSet[S]) -> "OrderedSet[T | S]":  # type: ignore[misc]
        return OrderedSet((*other, *self))

    def __and__(self, other: AbstractSet[object]) -> "OrderedSet[T]":
        return OrderedSet(x for x in self if x in other)

    __rand__ = __and__

    def __sub__(self, other: AbstractSet[object]) -> "OrderedSet[T]":
        return OrderedSet(x for x in self if x not in other)

    def __xor__(self, other: AbstractSet[S]) -> "OrderedSet[T | S]":
        return (self - other) | OrderedSet(x for x in other if x not in self)

    __rxor__ = __xor__

    def union(self, *others: Iterable[S]) -> "OrderedSet[T | S]":
        return OrderedSet((*self, *(x for other in others for x in other)))

    def intersection(self, *others: Iterable[object]) -> "OrderedSet[T]":
        kept = frozenset(self).intersection(*others)
        return OrderedSet(x for x in self if x in kept)

    def difference(self, *others: Iterable[object]) -> "OrderedSet[T]":
        kept = frozenset(self).difference(*others)
        return OrderedSet(x for x in self if x in kept)

    def symmetric_difference(self, other: Iterable[S]) -> "OrderedSet[T | S]":
        return self ^ OrderedSet(other)
