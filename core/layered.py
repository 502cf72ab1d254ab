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

    __slots__ = ("_base", "_below", "_layer", "_size")

    def __init__(self, base: dict[K, V] | None = None) -> None:
        self._base: dict[K, V] = {} if base is None else base
        self._below: tuple[dict[K, V | None], ...] = ()
        self._layer: dict[K, V | None] = {}
        self._size = len(self._base)

    def fork(self) -> "Layered[K, V]":
        """A copy to write on: O(1), however much is unsettled. Layers below that have been settled are left out."""
        other: Layered[K, V] = Layered.__new__(Layered)
        other._base, other._layer, other._size = self._base, {}, self._size
        if self._layer:
            other._below = (self._layer, *(layer for layer in self._below if layer))
        else:
            other._below = self._below and tuple(layer for layer in self._below if layer)
        return other

    def detach(self) -> "Layered[K, V]":
        """An independent settled copy: O(n), safe to read in another thread."""
        merged: dict[K, V | None] = {**self._base}
        for layer in reversed(self._below):
            merged |= layer
        merged |= self._layer
        return Layered({key: value for key, value in merged.items() if value is not None})

    def settle(self) -> None:
        """Write what is unsettled, here and in layers below, into the base that every fork shares: O(number of it)."""
        for layer in (*reversed(self._below), self._layer):
            for key, value in layer.items():
                if value is None:
                    self._base.pop(key, None)
                else:
                    self._base[key] = value
            layer.clear()
        self._below = ()

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value: Any
        if self._layer:
            value = self._layer.get(key, _ABSENT)
            if value is not _ABSENT:
                return value  # type: ignore[no-any-return]
        for layer in self._below:
            if layer:
                value = layer.get(key, _ABSENT)
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
        layers = [layer for layer in (self._layer, *self._below) if layer]
        if not layers:
            yield from self._base.values()
            return
        above: dict[K, V | None] = {}
        for layer in reversed(layers):
            above |= layer
        for key, value in self._base.items():
            if key not in above:
                yield value
        yield from (value for value in above.values() if value is not None)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None
