"""Snapshots of teams in Valkey: equal after the round trip, and a miss whenever anything is wrong."""

import asyncio
import logging
import threading
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from fractional_indexing import generate_n_keys_between
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from valkey.asyncio import Valkey

import db.snapshots
from core.events import Label, Member, TaskMoved, Team, TeamUpdated
from core.loading import SLICE_TASKS, TeamLoader, load_team
from core.permissions import ROLES
from core.task import PRIORITIES, STATUSES, Task
from core.team import TeamState, evolve
from db.signed import Signed
from db.snapshots import SnapshotCodec, UnusableSnapshot, ValkeySnapshots, _parts
from db.valkey import open_valkey
from tests.support.columns import default_columns, placed
from tests.support.signing import SIGNER
from tests.support.turns import most_in_one_turn

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
CODEC = SnapshotCodec()


def contents(state: TeamState) -> dict[str, Any]:
    """Everything a team's state consists of, comparable."""
    external = state.external.detach()._base
    return {
        "team": state.team,
        "place": (state.epoch, state.seq, state.top_number),
        "members": dict(state.members),
        "labels": dict(state.labels),
        "tasks": {task.id: task for task in state.tasks.values()},
        "columns": state.columns,
        "places": placed(state),
        "external": external,
    }


def a_team(team_id: UUID, seq: int = 1) -> Team:
    return Team(id=team_id, name="Team", key="ENG", created_by=team_id, created_at=NOW, updated_at=NOW, version=seq)


def a_state(tasks: int = 3, *, seq: int = 7, epoch: int = 1, team_id: UUID | None = None) -> TeamState:
    team_id = team_id or uuids.uuid7()
    ranks = generate_n_keys_between(None, None, tasks)
    rows = [
        Task(
            id=uuids.uuid7(),
            team_id=team_id,
            number=number + 1,
            key=f"ENG-{number + 1}",
            title=f"Do the thing number {number}",
            description="Some words about it. " * (number % 20),
            status=STATUSES[number % 4],
            rank=ranks[number],
            external_id=str(number),
            external_source="jira",
            created_by=team_id,
            created_at=NOW,
            updated_at=NOW,
            version=seq,
        )
        for number in range(tasks)
    ]
    return load_team(
        team=a_team(team_id, seq),
        seq=seq,
        epoch=epoch,
        top_number=tasks,
        members=[Member(user_id=team_id, role="owner", name="Ada", joined_at=NOW)],
        columns=default_columns(team_id).values(),
        labels=[Label(id=uuids.uuid7(), name="bug", color="#ff0000")],
        tasks=rows,
        archived_external={("jira", "old"): uuids.uuid7()},
    )


def signed(state: TeamState) -> Signed:
    """What comes out of a signature."""
    assert state.team is not None
    return Signed(state.epoch, state.seq, CODEC.encode(_parts(state, state.team.id)))


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ids = st.uuids()


@st.composite
def states(draw: st.DrawFn) -> TeamState:
    team_id = draw(ids)
    keys = draw(st.lists(st.tuples(words, words), unique=True, max_size=6))
    tasks = [
        Task(
            id=task_id,
            team_id=team_id,
            number=number + 1,
            key=f"K-{number + 1}",
            title=draw(words),
            description=draw(words),
            status=draw(st.sampled_from(STATUSES)),
            priority=draw(st.sampled_from(PRIORITIES)),
            assignee_id=draw(st.none() | ids),
            label_ids=tuple(draw(st.lists(ids, max_size=3))),
            due_at=draw(st.none() | moments),
            estimate=draw(st.none() | st.floats(0, 10_000)),
            parent_id=draw(st.none() | ids),
            blocked_by=tuple(draw(st.lists(ids, max_size=3))),
            rank=draw(st.text("abcXYZ019", min_size=1, max_size=6)),
            external_source=keys[number][0] if number < len(keys) else None,
            external_id=keys[number][1] if number < len(keys) else None,
            comment_count=draw(st.integers(0, 2**31)),
            created_by=draw(ids),
            created_at=draw(moments),
            updated_at=draw(moments),
            completed_at=draw(st.none() | moments),
            version=draw(st.integers(1, 2**53)),
        )
        for number, task_id in enumerate(draw(st.lists(ids, unique=True, max_size=5)))
    ]
    members = [
        Member(user_id=user, role=draw(st.sampled_from(ROLES)), name=draw(words), joined_at=draw(moments))
        for user in draw(st.lists(ids, unique=True, max_size=4))
    ]
    return load_team(
        team=structs.replace(a_team(team_id), name=draw(words)),
        seq=draw(st.integers(1, 2**53)),
        epoch=draw(st.integers(1, 2**31)),
        top_number=draw(st.integers(0, 2**53)),
        members=members,
        columns=default_columns(team_id).values(),
        labels=[
            Label(id=one, name=draw(words), color="#a0b1c2") for one in draw(st.lists(ids, unique=True, max_size=3))
        ],
        tasks=tasks,
        archived_external={key: draw(ids) for key in keys[len(tasks) :]},
    )


@given(states())
@settings(max_examples=150, deadline=None)
def test_any_state_is_the_same_after_the_round_trip(state: TeamState) -> None:
    assert state.team is not None
    assert contents(CODEC.decode(signed(state))) == contents(state)


def test_a_state_read_back_evolves_like_the_one_it_was_made_from() -> None:
    state = a_state(10)
    assert state.team is not None
    again = CODEC.decode(signed(state))
    task = next(iter(state.tasks.values()))
    moved = structs.replace(task, status="done", rank="zz", version=8)
    event = TaskMoved(team_id=task.team_id, seq=8, actor_id=task.created_by, at=NOW, task=moved)
    assert contents(evolve(again, event)) == contents(evolve(state, event))


@pytest.mark.anyio
@pytest.mark.parametrize("tasks", [1, 300])
async def test_no_changed_byte_goes_unnoticed(valkey_client: Valkey, tasks: int) -> None:
    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state(tasks)
    assert state.team is not None
    await snapshots.put(state)
    key = snapshots._key(state.team.id)
    good = await valkey_client.get(key)
    assert good is not None
    for at in [*range(100), *range(100, len(good), 1 + len(good) // 200)]:
        changed = bytearray(good)
        changed[at] ^= 1 << at % 8
        await valkey_client.set(key, bytes(changed))
        assert await snapshots.get(state.team.id) is None, f"byte {at}"
    await valkey_client.set(key, good)
    assert await snapshots.get(state.team.id) is not None


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_the_decoder_fail_otherwise(data: bytes) -> None:
    for body in (data, b"\0" + data, b"\1" + zlib.compress(data)):
        with pytest.raises(UnusableSnapshot):
            CODEC.decode(Signed(1, 1, body))


@pytest.mark.anyio
async def test_what_was_put_is_got(valkey_client: Valkey) -> None:
    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state(600)
    assert state.team is not None
    assert await snapshots.get(state.team.id) is None
    await snapshots.put(state)
    again = await snapshots.get(state.team.id)
    assert again is not None
    assert contents(again) == contents(state)
    (key,) = await valkey_client.keys("*")
    assert timedelta(days=6) < timedelta(seconds=await valkey_client.ttl(key)) <= timedelta(days=7)


@pytest.mark.anyio
async def test_the_further_state_stays(valkey_client: Valkey) -> None:
    snapshots, team_id = ValkeySnapshots(valkey_client, SIGNER), uuids.uuid7()
    places = [(1, 5), (1, 4), (1, 300), (1, 256), (2, 2), (1, 10_000), (2, 2**40), (2, 2**40 - 1)]
    furthest = (0, 0)
    for epoch, seq in places:
        await snapshots.put(a_state(1, seq=seq, epoch=epoch, team_id=team_id))
        furthest = max(furthest, (epoch, seq))
        stored = await snapshots.get(team_id)
        assert stored is not None
        assert (stored.epoch, stored.seq) == furthest


@pytest.mark.anyio
@pytest.mark.parametrize("poison", [b"", b"garbage", b"TFS1" + b"\xff" * 500, b"\0" * 100_000])
async def test_a_poisoned_value_is_a_miss_and_makes_room(valkey_client: Valkey, poison: bytes) -> None:
    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state()
    assert state.team is not None
    await snapshots.put(state)
    (key,) = await valkey_client.keys("*")
    await valkey_client.set(key, poison)
    assert await snapshots.get(state.team.id) is None
    await snapshots.put(state)
    assert await snapshots.get(state.team.id) is not None


@pytest.mark.anyio
async def test_another_teams_snapshot_under_this_teams_key_is_a_miss(valkey_client: Valkey) -> None:
    snapshots, mine, theirs = ValkeySnapshots(valkey_client, SIGNER), a_state(), a_state()
    assert mine.team is not None
    assert theirs.team is not None
    await snapshots.put(theirs)
    (key,) = await valkey_client.keys("*")
    await valkey_client.rename(key, key.replace(str(theirs.team.id).encode(), str(mine.team.id).encode()))
    assert await snapshots.get(mine.team.id) is None


@pytest.mark.anyio
async def test_a_key_of_another_type_is_a_miss_and_never_an_error(valkey_client: Valkey) -> None:
    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state()
    assert state.team is not None
    await valkey_client.execute_command("RPUSH", snapshots._key(state.team.id), b"x")
    assert await snapshots.get(state.team.id) is None
    await snapshots.put(state)


@pytest.mark.anyio
async def test_without_valkey_everything_is_a_miss_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with open_valkey("valkey://127.0.0.1:1/0") as nobody:
        snapshots, state = ValkeySnapshots(nobody, SIGNER), a_state()
        with caplog.at_level(logging.WARNING, "db.snapshots"):
            for _ in range(3):
                await snapshots.put(state)
                assert await snapshots.get(uuids.uuid7()) is None
    assert len(caplog.records) == 1


@pytest.mark.anyio
async def test_a_state_changed_while_it_is_stored_is_stored_as_it_was(valkey_client: Valkey) -> None:
    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state(2_000)
    assert state.team is not None
    before = contents(state.detach())
    storing = asyncio.ensure_future(snapshots.put(state))
    await asyncio.sleep(0)
    renamed = structs.replace(state.team, name="Renamed", version=8)
    evolve(state, TeamUpdated(team_id=state.team.id, seq=8, actor_id=state.team.id, at=NOW, team=renamed)).merge()
    await storing
    again = await snapshots.get(state.team.id)
    assert again is not None
    assert contents(again) == before


@pytest.mark.anyio
async def test_ten_thousand_tasks_are_stored_and_read_off_the_loop_a_few_at_a_time(
    valkey_client: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            threads.append(threading.current_thread())
            return method(*args)

        return noted

    snapshots, state = ValkeySnapshots(valkey_client, SIGNER), a_state(10_000)
    assert state.team is not None
    for name in ("_packed", "unpacked"):
        monkeypatch.setattr(db.snapshots, name, noting(getattr(db.snapshots, name)))
    loaded: list[Task] = []
    add = TeamLoader.add

    def counting(loader: TeamLoader, tasks: Iterable[Task]) -> None:
        loaded.extend(tasks)
        add(loader, tasks)

    monkeypatch.setattr(TeamLoader, "add", counting)
    await snapshots.put(state)
    reading = asyncio.ensure_future(snapshots.get(state.team.id))
    assert await most_in_one_turn(reading, lambda: len(loaded)) <= SLICE_TASKS
    again = reading.result()
    assert again is not None
    assert contents(again) == contents(state)
    assert len(threads) == 2
    assert threading.current_thread() not in threads
    assert await valkey_client.strlen(snapshots._key(state.team.id)) < 3_000_000
    frames = list(CODEC._frames(_parts(state, state.team.id)))
    assert max(len(frame) for frame in frames) < 500_000  # Each is encoded while the interpreter is held.
