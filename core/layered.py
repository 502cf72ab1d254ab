"""A mapping that can be forked in O(1): writes go to a layer of their own until they are settled into the base."""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Layered(Generic[K, V]):
    """A dict with unsettled writes on top. `None` among the writes means removed.

    Forks share the base, and start with what is unsettled in what they were forked from: what has a fork must not be
    written any more, and only one of several forks may be settled. Settling one settles what it was forked from.
    """

    __slots__ = ("_above", "_base", "_below", "_own", "_size")

    def __init__(self, base: dict[K, V] | None = None) -> None:
        self._base: dict[K, V] = {} if base is None else base
        self._own: dict[K, V | None] = {}
        """Its own writes: what its forks must know as long as they are not settled."""
        self._below: list[dict[K, V | None]] = []
        """The writes of what it was forked from, oldest first; emptied when those are settled."""
        self._above: dict[K, V | None] = {}
        """All of these in one, so that a look-up asks here and then the base. May still hold what has been settled."""
        self._size = len(self._base)

    def fork(self) -> "Layered[K, V]":
        """A copy to write on; costs as much as is unsettled. What has been settled meanwhile is left out."""
        other: Layered[K, V] = Layered.__new__(Layered)
        other._base, other._size, other._own = self._base, self._size, {}
        other._below, other._above = [], {}
        if self._above:
            for layer in (*self._below, self._own):
                if layer:
                    other._below.append(layer)
                    other._above |= layer
        return other

    def detach(self) -> "Layered[K, V]":
        """An independent settled copy: O(n), safe to read in another thread."""
        merged = {**self._base, **self._above}
        return Layered({key: value for key, value in merged.items() if value is not None})

    def settle(self) -> None:
        """Write what is unsettled, here and below, into the base that every fork shares: O(number of it)."""
        if not self._above:
            return
        base = self._base
        for key, value in self._above.items():
            if value is None:
                base.pop(key, None)
            else:
                base[key] = value
        for layer in self._below:
            layer.clear()
        self._own.clear()
        self._below, self._above = [], {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value: Any = self._above.get(key, _ABSENT)
        return self._base.get(key) if value is _ABSENT else value

    def put(self, key: K, value: V) -> V | None:
        """Set a key and give what it was before."""
        before = self.get(key)
        if before is None:
            self._size += 1
        self._own[key] = self._above[key] = value
        return before

    def remove(self, key: K) -> None:
        """Forget a key; absent keys are fine."""
        if self.get(key) is not None:
            self._size -= 1
            self._own[key] = self._above[key] = None

    def values(self) -> Iterator[V]:
        """All values: those of the base first, in the order they came."""
        above = self._above
        if not above:
            yield from self._base.values()
            return
        yield from (value for key, value in self._base.items() if key not in above)
        yield from (value for value in above.values() if value is not None)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None
