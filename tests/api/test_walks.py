"""Walks of pages while others write: whatever did not change meanwhile is on exactly one page of its list.

Over all sorts and filters, and the three ways to a page: from memory, by SQL from the archive, by SQL across teams.
What is unchanged has the version that it had when the walk began, and what a filter wants of it says `core.query`.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import anyio
import pytest
from msgspec import structs

from api.listing import read_list_request
from core.commands import ArchiveTask, CreateLabel, CreateTask, DeleteTask, MoveTask, RestoreTask, UpdateTask
from core.errors import DomainError
from core.query import SORT_FIELDS
from core.task import PRIORITIES, STATUSES, Task, TaskFields, TaskPatch
from db.journal.rows import task_of
from db.journal.sql import TASK_SELECT
from db.transaction import reading
from tests.support.asking import by
from tests.support.desk import Desk
from tests.support.proofs import share

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

START: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
TITLES: Final = ("Stra\u00dfe", "caf\u00e9", "plan", "Plan B", "\u0130stanbul", "review")
WORDS: Final = ("STRASSE", "cafe", "plan", "istanbul", "absent")
STILL: Final = 60
"""Tasks of each team that nobody touches, beside as many that are changed all the time."""
WRITERS: Final = 3


class Crowd:
    """Two teams of the owner's, and writers who change half of their tasks."""

    def __init__(self, desk: Desk, dice: random.Random) -> None:
        self.desk, self.dice, self.writes = desk, dice, 0
        self.owner = UUID(desk["owner"].user_id)
        self.busy: dict[UUID, list[UUID]] = {}
        self.labels: dict[UUID, list[UUID]] = {}
        self.columns: dict[UUID, list[UUID]] = {}

    @classmethod
    async def gather(cls, desk: Desk, dice: random.Random) -> "Crowd":
        crowd = cls(desk, dice)
        for _ in range(2):
            team_id = UUID(await desk.new_team())
            made = [await crowd.ask(team_id, CreateLabel(name, "#000000")) for name in ("a", "b")]
            board = (await desk.get(f"/v1/teams/{team_id}/board")).json()
            crowd.columns[team_id] = [UUID(column["id"]) for column in board["columns"]]
            crowd.labels[team_id] = [one.events[0].row.subject for one in made]
            ids = [(await crowd.ask(team_id, crowd.new(team_id))).items[0].task.id for _ in range(2 * STILL)]
            for task_id in ids[::3]:
                await crowd.ask(team_id, ArchiveTask(task_id))
            crowd.busy[team_id] = ids[::2]
        return crowd

    async def ask(self, team_id: UUID, command: Any) -> Any:
        return await self.desk.site.services.teams.ask(team_id, command, by(self.owner))

    def fields(self, team_id: UUID) -> dict[str, Any]:
        dice = self.dice
        return {
            "title": f"{dice.choice(TITLES)} {dice.randrange(5)}",
            "description": dice.choice(["", "the plan", "Caf\u00e9"]),
            "priority": dice.choice(PRIORITIES),
            "assignee_id": dice.choice([None, self.owner]),
            "label_ids": tuple(dice.sample(self.labels[team_id], dice.randrange(3))),
            **dice.choice(
                [
                    {"due_at": None, "due_on": None},
                    {"due_at": START + timedelta(days=dice.randrange(4)), "due_on": None},
                    {"due_at": None, "due_on": (START + timedelta(days=dice.randrange(4))).date()},
                ]
            ),
            "estimate": dice.choice([None, 0.0, 1.0, 2.5]),
        }

    def new(self, team_id: UUID) -> CreateTask:
        return CreateTask(TaskFields(status=self.dice.choice(STATUSES), **self.fields(team_id)))

    def change(self, team_id: UUID) -> Any:
        """Anything that may happen to one of the busy tasks, or one more of them."""
        dice, busy = self.dice, self.busy[team_id]
        task_id = dice.choice(busy)
        match dice.randrange(9):
            case 0:
                return self.new(team_id)
            case 1:
                return ArchiveTask(task_id)
            case 2 | 3:
                return RestoreTask(task_id)
            case 4 | 5:
                return MoveTask(task_id=task_id, status=dice.choice(STATUSES))
            case 6 if len(busy) > STILL:
                busy.remove(task_id)
                return DeleteTask(task_id)
            case _:
                return UpdateTask(task_id, TaskPatch(**self.fields(team_id)))

    async def write(self) -> None:
        while True:
            team_id = self.dice.choice(list(self.busy))
            command = self.change(team_id)
            try:
                result = await self.ask(team_id, command)
            except DomainError:  # It is in the archive, or is not, or is gone: the next one.
                continue
            self.writes += 1
            if isinstance(command, CreateTask):
                self.busy[team_id].append(result.items[0].task.id)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            for _ in range(WRITERS):
                group.start_soon(self.write)
            yield
            group.cancel_scope.cancel()

    async def tasks(self, way: str, team_id: UUID) -> dict[UUID, Task]:
        """The tasks as they are now where pages come from: in the team's memory, or stored."""
        if way == "memory":
            view = await self.desk.site.services.teams.view(team_id)
            return dict(view.state.tasks.as_dict())
        query = f"select {TASK_SELECT}, g.key as team_key from tasks t join teams g on g.id = t.team_id"
        async with reading(self.desk.site.services.pools.api, self.owner) as tx:
            rows = await tx.fetch(f"{query} where t.team_id = any($1)", list(self.busy))
        return {row["id"]: task_of(row, row["team_key"]) for row in rows}


def filters(crowd: Crowd, team_id: UUID) -> str:
    """One or two filters, or none."""
    dice, label = crowd.dice, crowd.labels[team_id][0]
    some = [
        f"status={','.join(dice.sample(STATUSES, 2))}", f"status!={dice.choice(STATUSES)}",
        f"priority={','.join(dice.sample(PRIORITIES, 2))}", f"priority!={dice.choice(PRIORITIES)}",
        "assignee=me", "assignee=none", "assignee!=me", "assignee!=none",
        f"label={label}", f"label!={label}", "label=none", "label!=none", "parent=none", "parent!=none",
        f"column={crowd.columns[team_id][1]}", f"column!={crowd.columns[team_id][0]}",
        "due_before=2026-01-07T00:00:00Z", "due_before=2026-01-07", "due_on=2026-01-06", "overdue=true",
        "overdue=false", "updated_after=2026-01-01T00:00:00Z", "created_after=2026-01-01", f"q={dice.choice(WORDS)}",
    ]  # fmt: skip
    return "&".join({part.partition("=")[0]: part for part in dice.sample(some, dice.randrange(3))}.values())


async def walk(crowd: Crowd, query: str) -> Counter[UUID]:
    """How often each task was on a page."""
    seen, cursor = Counter[UUID](), ""
    while True:
        answer = await crowd.desk.get(f"/v1/tasks?{query}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen.update(UUID(task["id"]) for task in page["items"])
        if page["next_cursor"] is None:
            return seen
        cursor = f"&cursor={page['next_cursor']}"


async def check(crowd: Crowd, sort: str) -> None:
    """One walk in this order with filters, a length of pages and a way to them that the dice say."""
    dice = crowd.dice
    team_id, way = dice.choice(list(crowd.busy)), dice.choice(["memory", "archive", "across"])
    parts = [f"sort={sort}", f"limit={dice.choice([5, 20, 50])}", filters(crowd, team_id)]
    parts += [] if way == "across" else [f"team_id={team_id}"]
    parts += ["archived=true"] if way == "archive" else []
    query = "&".join(filter(None, parts))
    before = await crowd.tasks(way, team_id)
    seen = await walk(crowd, query)
    after = await crowd.tasks(way, team_id)
    # Whatever is due here was so long ago: no clock that goes on makes a difference.
    wanted = structs.replace(read_list_request(query.encode()).for_user(crowd.owner), now=START + timedelta(days=99))
    for task_id, task in before.items():
        if task_id in after and after[task_id].version == task.version:
            fits = wanted.matches(task) and (way == "across" or task.team_id == team_id)
            shown = fits and (task.archived_at is not None) == (way == "archive")
            assert seen[task_id] == shown, f"{query}: {task}"


ORDERS: Final = [f"{sign}{field}" for field in SORT_FIELDS for sign in ("", "-")]


async def walks(desk: Desk, number: int, seed: int) -> None:
    await desk.renew("owner")
    crowd = await Crowd.gather(desk, random.Random(seed))
    async with crowd.writing():
        for turn in range(number):
            if turn % 100 == 99:
                await desk.renew("owner")
            await check(crowd, ORDERS[turn % len(ORDERS)])
    assert crowd.writes > number, "nobody wrote meanwhile"


async def test_what_did_not_change_is_on_one_page_however_much_is_written(desk: Desk) -> None:
    await walks(desk, 3 * len(ORDERS), 7)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(10))
async def test_ten_thousand_walks(desk: Desk, seed: int) -> None:
    await walks(desk, share(1_000), seed)
