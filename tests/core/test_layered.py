"""A layered mapping behaves like a dict, and a fork is invisible until it is merged."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.layered import Layered

keys = st.integers(0, 6)
Steps = list[tuple[int, int | None]]
Round = tuple[Steps, int]
writes = st.lists(st.tuples(keys, st.none() | st.integers(0, 3)), max_size=12)
rounds = st.lists(st.tuples(writes, st.booleans()), max_size=6)


def write(mapping: Layered[int, int], model: dict[int, int], steps: Steps) -> None:
    for key, value in steps:
        if value is None:
            mapping.remove(key)
            model.pop(key, None)
        else:
            assert mapping.put(key, value) == model.get(key)
            model[key] = value


def same(mapping: Layered[int, int], model: dict[int, int]) -> None:
    assert len(mapping) == len(model)
    assert sorted(mapping.values()) == sorted(model.values())
    for key in range(7):
        assert mapping.get(key) == model.get(key)
        assert (key in mapping) == (key in model)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.dictionaries(keys, st.integers(0, 3)), rounds)
def test_forks_and_merges_agree_with_a_plain_dict(base: dict[int, int], rounds: list[Round]) -> None:
    state, model = Layered(dict(base)), dict(base)
    for steps, keep in rounds:
        fork, copy = state.fork(), dict(model)
        write(fork, copy, steps)
        same(fork, copy)
        same(state, model)
        if keep:
            fork.merge()
            state, model = fork, copy
            same(state, model)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(keys, st.integers(0, 3)), writes, writes)
def test_a_fork_of_a_fork_starts_from_what_is_not_merged(base: dict[int, int], first: Steps, second: Steps) -> None:
    state, outer = Layered(dict(base)), dict(base)
    fork = state.fork()
    write(fork, outer, first)
    inner = dict(outer)
    deeper = fork.fork()
    write(deeper, inner, second)
    same(deeper, inner)
    same(fork, outer)
    same(state, base)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.dictionaries(keys, st.integers(0, 3)), st.lists(st.tuples(writes, st.integers(0, 3)), max_size=8))
def test_a_chain_of_forks_is_merged_from_below_while_it_grows(base: dict[int, int], rounds: list[Round]) -> None:
    """As the committer does it: the newest is written while older ones wait for their transactions to land."""
    chain = [(Layered(dict(base)), dict(base))]
    for steps, merges in rounds:
        fork, model = chain[-1][0].fork(), dict(chain[-1][1])
        write(fork, model, steps)
        chain.append((fork, model))
        for _ in range(min(merges, len(chain) - 1)):
            chain.pop(0)
            chain[0][0].merge()
        for mapping, expected in chain[-2:]:
            same(mapping, expected)
        same(chain[-1][0].detach(), chain[-1][1])
    chain[-1][0].merge()
    same(*chain[-1])
    same(chain[-1][0].fork(), chain[-1][1])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(keys, st.integers(0, 3)), writes, writes)
def test_a_detached_copy_no_longer_follows(base: dict[int, int], first: Steps, second: Steps) -> None:
    state, model = Layered(dict(base)), dict(base)
    write(state, model, first)
    copy, frozen = state.detach(), dict(model)
    write(state, model, second)
    state.merge()
    same(copy, frozen)
    same(state, model)


def test_a_new_mapping_is_empty() -> None:
    same(Layered(), {})
