"""A mapping that can be forked in O(1): writes go to a layer of their own until they are settled into the base."""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Layered(Generic[K, V]):
    """A dict with one layer of unsettled writes on top. `None` in the layer means removed.

    `fork()` shares the base, so only one fork at a time may be settled, and the original must not be written meanwhile.
    """

    __slots__ = ("_base", "_layer", "_size")

    def __init__(self, base: dict[K, V] | None = None) -> None:
        self._base: dict[K, V] = {} if base is None else base
        self._layer: dict[K, V | None] = {}
        self._size = len(self._base)

    def fork(self) -> "Layered[K, V]":
        """A copy to write on: O(size of the unsettled layer), which is zero for a settled mapping."""
        other: Layered[K, V] = Layered.__new__(Layered)
        other._base, other._layer, other._size = self._base, dict(self._layer), self._size
        return other

    def detach(self) -> "Layered[K, V]":
        """An independent settled copy: O(n), safe to read in another thread."""
        merged = {**self._base, **self._layer}
        return Layered({key: value for key, value in merged.items() if value is not None})

    def settle(self) -> None:
        """Write the layer into the base, which every fork shares: O(number of unsettled writes)."""
        for key, value in self._layer.items():
            if value is None:
                self._base.pop(key, None)
            else:
                self._base[key] = value
        self._layer.clear()

    def get(self, key: K) -> V | None:
        """The value, or None."""
        if self._layer:
            value: Any = self._layer.get(key, _ABSENT)
            if value is not _ABSENT:
                return value  # type: ignore[no-any-return]
        return self._base.get(key)

    def put(self, key: K, value: V) -> V | None:
        """Set a key in the layer and give what it was before."""
        before = self.get(key)
        if before is None:
            self._size += 1
        self._layer[key] = value
        return before

    def remove(self, key: K) -> None:
        """Forget a key; absent keys are fine."""
        if self.get(key) is not None:
            self._size -= 1
            self._layer[key] = None

    def values(self) -> Iterator[V]:
        """All values: those of the base first, in the order they came."""
        if not self._layer:
            yield from self._base.values()
            return
        for key, value in self._base.items():
            if key not in self._layer:
                yield value
        yield from (value for value in self._layer.values() if value is not None)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None
