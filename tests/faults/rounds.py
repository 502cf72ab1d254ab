"""Rounds: a fault under load, its end, acknowledged writes again, and a look at all that must be true."""

import asyncio
import contextlib
import json
import time
from typing import Any, Final

from tests.faults.faults import Fault
from tests.faults.world import World
from tests.support.folding import columns_of
from tests.support.topic_reader import TASKS, read_all
from tests.support.waiting import until

__all__ = ["look_at_all", "play"]

RECOVERY_PATIENCE: Final = 20.0
FEED_SECONDS: Final = 8.0
EFFECT_SECONDS: Final = 10.0
CONNECTIONS: Final = 3
"""A board is asked for on so many, which may lead to different processes."""


async def play(world: World, fault: Fault) -> None:
    """One round of this fault; everything that is wrong goes to the report."""
    world.report.begin(fault.name)
    world.go()
    await work(world, world.pace.before)
    if fault.rewrites:
        # Only of what nobody is writing is it known how much of it a dump has.
        await quieten(world)
        await look_at_journals(world)
    world.struck = time.monotonic()
    async with fault.act(world):
        await asyncio.sleep(fault.seconds)
        if fault.quiet:
            await quieten(world)
            await look_at_feeds(world, await world.database.heads())
    ended = time.monotonic()
    if fault.rewrites:
        await come_into_the_next_epoch(world)
    world.go()
    await recover(world, fault, world.struck if fault.kills else ended, ended)
    await work(world, world.pace.after)
    await quieten(world)
    await look(world)


async def work(world: World, writes: int) -> None:
    """Until so many more are acknowledged; a system that answers nobody is left to `recover` to tell."""
    goal = world.report.acknowledged + writes
    with contextlib.suppress(TimeoutError):
        await until(lambda: world.report.acknowledged >= goal, RECOVERY_PATIENCE)


async def recover(world: World, fault: Fault, since: float, ended: float) -> None:
    """Until every team has an acknowledgement for a request that was sent after the end of the fault."""
    ledgers = world.ledgers.values()
    try:
        await until(lambda: all(ledger.newest >= ended for ledger in ledgers), RECOVERY_PATIENCE)
    except TimeoutError:
        silent = [ledger.team_id for ledger in ledgers if ledger.newest < ended]
        world.report.note("unanswered", f"no write of {silent} was acknowledged for {RECOVERY_PATIENCE:g} s")
    world.report.recovered(fault.name, time.monotonic() - since)


async def quieten(world: World) -> None:
    if not await world.quiet():
        world.report.note("unanswered", "a writer has no answer")


async def come_into_the_next_epoch(world: World) -> None:
    """Until the teams have it; what writers heard in between may have been of either history."""
    epochs = {team: ledger.epoch for team, ledger in world.ledgers.items()}
    try:
        async with asyncio.timeout(RECOVERY_PATIENCE):
            while {team: epoch for team, (epoch, _) in (await world.database.heads()).items()} != epochs:
                await asyncio.sleep(0.05)
    except TimeoutError:
        found = {team: epoch for team, (epoch, _) in (await world.database.heads()).items()}
        world.report.note("unequal", f"the epochs are {found}, and not {epochs}")
    for writer in world.writers:
        writer.keep_what_stands()
    world.session.rewriting = False


async def look(world: World) -> None:
    """Everything that must be true while nobody writes."""
    before = {team: ledger.seq for team, ledger in world.ledgers.items()}
    heads = await look_at_journals(world)
    await look_at_boards(world, heads)
    await look_at_feeds(world, heads)
    await look_at_topic(world, heads)
    await look_at_effects(world, before)


async def look_at_journals(world: World) -> dict[str, tuple[int, int]]:
    heads = await world.database.heads()
    for team, ledger in world.ledgers.items():
        ledger.compare(await world.database.events(team, ledger.seq))
        if heads[team] != (ledger.epoch, ledger.seq):
            world.report.note("unequal", f"team {team} is at {heads[team]}, its journal at {ledger.epoch, ledger.seq}")
            ledger.epoch = heads[team][0]  # Said once: the next rounds shall say what is new.
    return heads


async def look_at_boards(world: World, heads: dict[str, tuple[int, int]]) -> None:
    """As every process shows them: at the journal's seq, with the titles that were promised last."""
    for team, (epoch, seq) in heads.items():
        for _ in range(CONNECTIONS):
            board = await board_of(world, team)
            if (shown := (board["epoch"], board["seq"])) != (epoch, seq):
                world.report.note("stale", f"the board of {team} is of {shown}, not {heads[team]}")
            titles = {task["id"]: task["title"] for tasks in columns_of(board).values() for task in tasks}
            if titles != (promised := world.ledgers[team].titles()):
                odd = sorted(titles.items() ^ promised.items())
                world.report.note("unequal", f"the board of {team} differs from what was promised in {odd[:4]}")


async def board_of(world: World, team: str) -> Any:
    """A process that has just heard of nothing shows it at the asked place, or says that it cannot.

    With the epoch, which a client knows: a bare seq may be one of the lost history to a process that has not noticed a
    rewind yet.
    """
    ledger = world.ledgers[team]
    headers = {"taskforge-min-seq": f"{ledger.epoch}:{ledger.seq}"}
    return (await world.insist("GET", f"/v1/teams/{team}/board", headers=headers)).json()


async def look_at_feeds(world: World, heads: dict[str, tuple[int, int]]) -> None:
    feeds = {feed: heads[team] for team in heads for feed in world.feeds[team]}
    try:
        await until(lambda: all(feed.at == head for feed, head in feeds.items()), FEED_SECONDS)
    except TimeoutError:
        behind = [f"{type(feed).__name__} {feed.at} of {head}" for feed, head in feeds.items() if feed.at != head]
        world.report.note("hole", f"feeds stand still: {behind}")
    for team, ledger in world.ledgers.items():
        for feed in world.feeds[team]:
            if feed.resets != ledger.epoch - 1:
                what = f"{type(feed).__name__} of {team} in epoch {ledger.epoch} was told {feed.told[-3:]}"
                world.report.note("reset", what)
                feed.resets = ledger.epoch - 1


async def look_at_topic(world: World, heads: dict[str, tuple[int, int]]) -> None:
    """The consumer's own board, from the topic alone."""
    follower = world.follower
    try:
        await until(lambda: all(follower.at(team) == head for team, head in heads.items()), world.pace.topic_seconds)
    except TimeoutError:
        behind = {team: follower.at(team) for team in heads}
        world.report.note("unequal", f"the consumer is at {behind} of {heads}, lacking {follower.boards.lacking}")
        return
    for team in heads:
        board = {status: tasks for status, tasks in columns_of(await board_of(world, team)).items() if tasks}
        if follower.boards.board(team) != board:
            world.report.note("unequal", f"the consumer has another board of {team}")


async def look_at_effects(world: World, before: dict[str, int]) -> None:
    """One notification and one inbox row for each event that assigned a task since `before`."""

    async def odd() -> list[tuple[str, int, int]]:
        colleague = world.session.colleague
        found = [await world.database.effects(team, seq, colleague) for team, seq in before.items()]
        return [effect for effects in found for effect in effects if effect[1:] != (1, 1)]

    end = time.monotonic() + EFFECT_SECONDS
    while (left := await odd()) and time.monotonic() < end and all(effect[1] <= 1 for effect in left):
        await asyncio.sleep(0.1)
    for event_id, notifications, records in left[:3]:
        world.report.note("effects", f"{event_id}: {notifications} notifications, {records} inbox rows")


async def look_at_all(world: World) -> None:
    """In the end: every task in the compacted topic, and the whole history from its first event on."""
    state: dict[str, Any] = {}
    for record in await read_all(world.bootstrap, TASKS):
        state[record.key.decode()] = None if record.value is None else json.loads(record.value)
    for team in world.team_ids:
        board = columns_of(await board_of(world, team))
        topic = {key: task for key, task in state.items() if task is not None and task["team_id"] == team}
        if topic != {task["id"]: task for tasks in board.values() for task in tasks}:
            world.report.note("unequal", f"the compacted topic has another board of {team}")
        rows = {row.seq: row.token for row in await world.database.events(team, 0) if row.token is not None}
        if rows != {seq: token for seq, (token, _) in world.ledgers[team].standing.items()}:
            world.report.note("lost", f"events of {team} changed after they were acknowledged")
