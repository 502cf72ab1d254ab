"""Ranks stay short and in order whatever people do to one column."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ranking import LONGEST, WINDOW, Place, between, bottom, index_of, insert_at


class Column:
    """A column that only `insert_at` writes, checked against a plain list."""

    def __init__(self, size: int = 0) -> None:
        self.places: list[Place] = []
        self.expected: list[UUID] = []
        self.spreads = 0
        for _ in range(size):
            self.drop(len(self.places))

    def drop(self, index: int) -> None:
        task_id = UUID(int=len(self.expected) + 1)
        rank, ranks = insert_at(self.places, index)
        self.spreads += bool(ranks)
        self.places = sorted([*((ranks.get(other, old), other) for old, other in self.places), (rank, task_id)])
        self.expected.insert(index, task_id)

    def check(self) -> None:
        ranks = [rank for rank, _ in self.places]
        assert [task_id for _, task_id in self.places] == self.expected
        assert len(set(ranks)) == len(ranks)
        assert max(map(len, ranks), default=0) <= LONGEST


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("always on top", lambda size, turn: 0),
        ("always at the bottom", lambda size, turn: size),
        ("always below the first", lambda size, turn: min(1, size)),
        ("always above the last", lambda size, turn: max(size - 1, 0)),
        ("always into the same place", lambda size, turn: size // 2),
        ("zigzag into one gap", lambda size, turn: size // 2 + turn % 2 if size else 0),
        ("two gaps in turn", lambda size, turn: (size // 3, size - size // 3)[turn % 2]),
    ],
)
def test_the_worst_habits_keep_keys_short_and_ordered(name: str, where: Callable[[int, int], int]) -> None:
    column = Column()
    for turn in range(700):
        column.drop(where(len(column.places), turn))
    column.check()


def test_a_gap_that_closes_is_opened_by_moving_at_most_a_window_of_neighbours() -> None:
    column = Column(size=1000)
    for turn in range(400):
        before = {task_id: rank for rank, task_id in column.places}
        column.drop(500 + turn % 2)
        moved = [task_id for rank, task_id in column.places if before.get(task_id, rank) != rank]
        assert len(moved) <= 2 * WINDOW
    assert 0 < column.spreads < 40
    column.check()


def test_equal_ranks_are_spread_apart_as_soon_as_something_falls_between_them() -> None:
    twins = [("a0", UUID(int=1)), ("a0", UUID(int=2)), ("a1", UUID(int=3))]
    rank, ranks = insert_at(twins, 1)
    order = sorted([*((ranks.get(task_id, old), task_id) for old, task_id in twins), (rank, UUID(int=9))])
    assert [task_id.int for _, task_id in order] == [1, 9, 2, 3]


def test_a_whole_column_of_equal_ranks_is_spread_by_widening_the_window() -> None:
    same = [("a0", UUID(int=number)) for number in range(1, 3 * WINDOW)]
    rank, ranks = insert_at(same, WINDOW)
    order = sorted([*((ranks.get(task_id, old), task_id) for old, task_id in same), (rank, UUID(int=9999))])
    assert [task_id.int for _, task_id in order] == [*range(1, WINDOW + 1), 9999, *range(WINDOW + 1, 3 * WINDOW)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_any_series_of_drops_keeps_the_order(drops: list[float]) -> None:
    column = Column()
    for share in drops:
        column.drop(round(share * len(column.places)))
    column.check()


def test_the_bottom_is_below_everything_and_the_first_needs_no_neighbour() -> None:
    column = [("a0", UUID(int=1)), ("a0V", UUID(int=2))]
    assert bottom(column) > column[-1][0]
    assert bottom([]) == between(None, None)
    assert column[0][0] < between("a0", "a0V") < "a0V"


def test_a_place_that_is_not_in_the_column_is_an_error() -> None:
    column = [("a0", UUID(int=1))]
    assert index_of(column, ("a0", UUID(int=1))) == 0
    for place in (("a0", UUID(int=2)), ("Zz", UUID(int=1))):
        with pytest.raises(ValueError, match="not in this column"):
            index_of(column, place)
