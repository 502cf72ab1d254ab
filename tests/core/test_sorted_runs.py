"""Sorted in steps is sorted."""

from hypothesis import given
from hypothesis import strategies as st

from core.sorted_runs import SortedRuns


@given(st.lists(st.lists(st.tuples(st.text(max_size=3), st.integers()))))
def test_the_runs_together_are_in_order(runs: list[list[tuple[str, int]]]) -> None:
    sorting, steps = SortedRuns[tuple[str, int]](), 0
    for run in runs:
        sorting.add(run)
    while sorting.merge():
        steps += 1
    assert sorting.result() == sorted(thing for run in runs for thing in run)
    assert steps <= 2 * len(runs)
