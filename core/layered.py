"""A mapping that can be forked in O(1): writes go to a layer of their own until they are settled into the base."""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Layered(Generic[K, V]):
    """A dict with one layer of unsettled writes on top. `None` in the layer means removed.

    Forks share the base and the layers of what they were forked from: what has a fork must not be written any more, and
    only one of several forks may be settled. Settling one settles what it was forked from.
    """

    __slots__ = ("_base", "_layers", "_size")

    def __init__(self, base: dict[K, V] | None = None) -> None:
        self._base: dict[K, V] = {} if base is None else base
        self._layers: list[dict[K, V | None]] = [{}]
        """Its own first, then those below; settled ones are empty."""
        self._size = len(self._base)

    def fork(self) -> "Layered[K, V]":
        """A copy to write on: O(1), however much is unsettled. Layers below that have been settled are left out."""
        other: Layered[K, V] = Layered.__new__(Layered)
        other._base, other._size = self._base, self._size
        other._layers = [{}, *[layer for layer in self._layers if layer]]
        return other

    def detach(self) -> "Layered[K, V]":
        """An independent settled copy: O(n), safe to read in another thread."""
        merged = {**self._base, **self._unsettled()}
        return Layered({key: value for key, value in merged.items() if value is not None})

    def settle(self) -> None:
        """Write what is unsettled, here and in layers below, into the base that every fork shares: O(number of it)."""
        for layer in reversed(self._layers):
            for key, value in layer.items():
                if value is None:
                    self._base.pop(key, None)
                else:
                    self._base[key] = value
            layer.clear()
        del self._layers[1:]

    def get(self, key: K) -> V | None:
        """The value, or None."""
        for layer in self._layers:
            if layer:
                value: Any = layer.get(key, _ABSENT)
                if value is not _ABSENT:
                    return value  # type: ignore[no-any-return]
        return self._base.get(key)

    def put(self, key: K, value: V) -> V | None:
        """Set a key in the layer and give what it was before."""
        before = self.get(key)
        if before is None:
            self._size += 1
        self._layers[0][key] = value
        return before

    def remove(self, key: K) -> None:
        """Forget a key; absent keys are fine."""
        if self.get(key) is not None:
            self._size -= 1
            self._layers[0][key] = None

    def values(self) -> Iterator[V]:
        """All values: those of the base first, in the order they came."""
        above = self._unsettled()
        if not above:
            yield from self._base.values()
            return
        yield from (value for key, value in self._base.items() if key not in above)
        yield from (value for value in above.values() if value is not None)

    def _unsettled(self) -> dict[K, V | None]:
        merged: dict[K, V | None] = {}
        for layer in reversed(self._layers):
            merged |= layer
        return merged

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None
