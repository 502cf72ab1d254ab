"""A mapping that can be forked in O(1): writes go to a layer of their own until they are merged into the base."""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Layered(Generic[K, V]):
    """A dict with layers of writes on top that are not merged into it yet. `None` among the writes means removed.

    Forks share the base, and start with the unmerged writes of the mapping they were forked from. A mapping that has a
    fork must not be written any more, and only one of several forks may be merged. Merging a fork also merges the
    mappings below it.
    """

    __slots__ = ("_above", "_base", "_below", "_own", "_size")

    def __init__(self, base: dict[K, V] | None = None) -> None:
        self._base: dict[K, V] = {} if base is None else base
        self._own: dict[K, V | None] = {}
        """Its own writes: what its forks must know until these are merged."""
        self._below: list[dict[K, V | None]] = []
        """The unmerged writes of the mappings it was forked from, oldest first; a merge of one of them empties it."""
        self._above: dict[K, V | None] = {}
        """All of these in one, so that a look-up asks here and then the base. May still hold what has been merged."""
        self._size = len(self._base)

    def fork(self) -> "Layered[K, V]":
        """A copy to write on; costs O(unmerged writes). Layers that were merged since are left out."""
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
        """An independent copy without layers: O(n), safe to read in another thread."""
        return Layered(self.as_dict())

    def as_dict(self) -> dict[K, V]:
        """An independent copy as a plain dictionary: O(n)."""
        if not self._above:
            return self._base.copy()
        merged = {**self._base, **self._above}
        return {key: value for key, value in merged.items() if value is not None}

    def merge(self) -> None:
        """Write the unmerged writes, here and below, into the base that every fork shares: O(number of writes)."""
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
        """Set a key and return its former value, or None."""
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
        """All values: those of the base first, in the order of insertion."""
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
