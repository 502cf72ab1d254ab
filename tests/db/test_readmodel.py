"""Reads by SQL: whose they are, and that they agree with what memory would answer."""

import itertools
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uu
from msgspec import structs

from core.commands import AddMember, ArchiveTask, CreateLabel, CreateTask, RemoveMember, UpdateTask
from core.query import SORT_FIELDS, SortField, TaskQuery, sort_key
from core.task import PRIORITIES, STATUSES, Task, TaskFields, TaskPatch
from core.writes import Committed, JournalPosition
from db import readmodel
from db.journal.journal import PostgresJournal
from db.pool import Pool, Pools, open_pools
from db.search_documents import write_documents
from db.settings import DatabaseSettings
from db.transaction import writing
from tests.support.team_writer import START, Writer, add_user, new_team

pytestmark = pytest.mark.anyio

WORDS = ("İstanbul", "straße", "ΟΔΟΣ", "Fix login", "fix Login", "100% _done_", "zeta", "Äpfel", "😀 smile", "a\\b")


@pytest.fixture(scope="module")
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(module_database) as pools:
        yield pools


@pytest.fixture(scope="module")
async def owner(pools: Pools) -> UUID:
    return await add_user(pools)


@pytest.fixture(scope="module")
async def writers(pools: Pools, owner: UUID) -> list[Writer]:
    """Two teams of random tasks, a third of them archived, with many equal and missing values."""
    journal, dice = PostgresJournal(pools), random.Random(11)
    return [await random_team(journal, owner, dice, key) for key in ("ENG", "OPS")]


async def random_team(journal: PostgresJournal, owner: UUID, dice: random.Random, key: str) -> Writer:
    writer = await new_team(journal, owner, key=key)
    await writer.commit(journal, CreateLabel("a", "#000000"), CreateLabel("b", "#000000"), CreateLabel("c", "#000000"))
    for _ in range(3):
        assert await writer.commit(journal, *(random_task(writer, dice) for _ in range(20))) == Committed()
    tasks = list(writer.state.tasks.values())
    children = [UpdateTask(task.id, TaskPatch(parent_id=tasks[0].id)) for task in dice.sample(tasks[1:], 12)]
    assert await writer.commit(journal, *children) == Committed()
    archived = [ArchiveTask(task.id) for task in dice.sample(tasks, 20)]
    assert await writer.commit(journal, *archived) == Committed()
    return writer


NUMBERS = itertools.cycle(range(10_000))
"""More than there are tasks: an external id is used once in a team."""


def random_task(writer: Writer, dice: random.Random) -> CreateTask:
    labels = list(writer.state.labels)
    external = dice.choice([None, str(next(NUMBERS))])
    return CreateTask(
        TaskFields(
            title=f"{dice.choice(WORDS)}{dice.choice(['', '!'])}",
            description=dice.choice(["", "see İSTANBUL", "nothing", "Straße 5"]),
            status=dice.choice(STATUSES),
            priority=dice.choice(PRIORITIES),
            assignee_id=dice.choice([None, writer.owner]),
            label_ids=tuple(dice.sample(labels, dice.randrange(3))),
            due_at=dice.choice([None, START + timedelta(days=dice.randrange(5))]),
            estimate=dice.choice([None, 0.0, 1.5, 3.0]),
            external_source="jira" if external else None,
            external_id=external,
        )
    )


def everything(writers: list[Writer]) -> list[Task]:
    return [task for w in writers for task in (*w.state.tasks.values(), *w.state.archived.values())]


def expected(tasks: list[Task], query: TaskQuery) -> list[UUID]:
    """What `core.query` says, spelt out: present values in their direction, missing ones after them."""
    keys = sorted((sort_key(t, query.sort) for t in tasks if wanted(t, query)), reverse=query.descending)
    return [key[2] for key in (*(k for k in keys if not k[0]), *(k for k in keys if k[0]))]


def wanted(task: Task, query: TaskQuery) -> bool:
    return query.matches(task) and (task.archived_at is not None) == query.archived


async def walked(pool: Pool, user_id: UUID, query: TaskQuery, team_id: UUID | None) -> list[UUID]:
    """The ids of all pages, one after the other."""
    found: list[UUID] = []
    while True:
        page = await readmodel.list_tasks(pool, user_id, query, team_id=team_id)
        assert len(page.tasks) <= query.limit
        found += [task.id for task in page.tasks]
        if page.last is None:
            return found
        query = structs.replace(query, after=page.last)


FILTERS: list[dict[str, Any]] = [
    {},
    {"status": ("open", "done")},
    {"priority": ("urgent", "none")},
    {"status_not": ("open", "done")},
    {"priority_not": ("urgent", "none")},
    {"assignee": (None,)},
    {"assignee_not": (None,)},
    {"parent": (None,)},
    {"parent_not": (None,)},
    {"labels": (None,)},
    {"labels_not": (None,)},
    {"due_before": START + timedelta(days=2)},
    {"updated_after": START + timedelta(seconds=30)},
    {"changed_since": 40},
    {"changed_since": 2**63 - 1},
    {"external_source": "jira"},
    {"external_id": "7"},
    {"external_id": "7", "external_source": "jira"},
    {"external_id": "7", "external_source": "x\0"},
    {"external_id": "\ud800"},
    {"q": "istanbul"},
    {"q": "İSTANBUL"},
    {"q": "STRASSE"},
    {"q": "straße"},
    {"q": "apfel"},
    {"q": "\x1f"},
    {"q": "οδος"},
    {"q": "fix LOGIN"},
    {"q": "%"},
    {"q": "_"},
    {"q": "\\"},
    {"q": "eng-7"},
    {"q": "ENG-"},
    {"q": "x\0y"},
    {"q": "\ud800"},
    {"q": ""},
    {"status": ("in_review",), "priority": ("high", "low"), "parent": (None,)},
]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORT_FIELDS)
async def test_every_order_walks_all_tasks_once_as_memory_would(
    pools: Pools, owner: UUID, writers: list[Writer], sort: Any, descending: bool, archived: bool
) -> None:
    for limit, team in itertools.product((1, 7, 100), (None, writers[0])):
        query = TaskQuery(sort=sort, descending=descending, archived=archived, limit=limit)
        tasks = everything(writers if team is None else [team])
        found = await walked(pools.api, owner, query, None if team is None else team.team_id)
        assert found == expected(tasks, query)


@pytest.mark.parametrize("given", FILTERS, ids=str)
async def test_every_filter_finds_what_memory_would(
    pools: Pools, owner: UUID, writers: list[Writer], given: dict[str, Any]
) -> None:
    sorts: tuple[SortField, ...] = ("due_at", "title")
    for archived, sort in itertools.product((False, True), sorts):
        query = TaskQuery(**given, archived=archived, sort=sort, limit=6)
        assert await walked(pools.api, owner, query, None) == expected(everything(writers), query)


async def test_filters_by_reference_find_what_memory_would(pools: Pools, owner: UUID, writers: list[Writer]) -> None:
    tasks, first = everything(writers), writers[0]
    labels = tuple(first.state.labels)
    parent = next(task.parent_id for task in tasks if task.parent_id is not None)
    references: tuple[dict[str, Any], ...] = (
        {"assignee": (owner,)},
        {"assignee": (owner, None)},
        {"assignee_not": (owner,)},
        {"assignee_not": (owner, None)},
        {"parent": (parent,)},
        {"parent": (parent, None)},
        {"parent_not": (parent,)},
        {"parent_not": (parent, None)},
        {"labels": labels[:1]},
        {"labels": labels[:2]},
        {"labels_not": labels[:1]},
        {"labels_not": (labels[0], None)},
        {"labels": labels[:1], "labels_not": labels[1:2], "assignee": (None,), "q": "see istanbul"},
    )
    for given in references:
        for archived in (False, True):
            query = TaskQuery(**given, archived=archived, limit=5)
            assert await walked(pools.api, owner, query, None) == expected(tasks, query)


def random_query(dice: random.Random, writer: Writer, parents: list[UUID | None]) -> TaskQuery:
    """Up to four conditions at once, of any kind."""
    labels = [*writer.state.labels, None]
    choices: dict[str, list[Any]] = {
        "status": [*STATUSES],
        "priority": [*PRIORITIES],
        "assignee": [writer.owner, None, uu.uuid7()],
        "parent": parents,
    }
    given: dict[str, Any] = {}
    for name in dice.sample(
        [*choices, "labels", "due_before", "updated_after", "external_source", "q"], dice.randrange(5)
    ):
        if name in choices:
            values = choices[name]
            given[name + dice.choice(["", "_not"])] = tuple(dice.sample(values, dice.randint(1, min(3, len(values)))))
        elif name == "labels":
            given["labels_not"] = tuple(dice.sample(labels, dice.randint(1, 2)))
            given["labels"] = dice.choice([(), (labels[0],), (labels[1], labels[2]), (None,)])
        else:
            given |= dice.choice([one for one in FILTERS if name in one])
    order: dict[str, Any] = {
        "sort": dice.choice(SORT_FIELDS),
        "descending": dice.random() < 0.5,
        "archived": dice.random() < 0.5,
    }
    return TaskQuery(**given, **order, limit=dice.choice([3, 10, 100]))


async def test_any_conditions_together_find_what_memory_would(pools: Pools, owner: UUID, writers: list[Writer]) -> None:
    """With documents of search for half of the tasks."""
    dice, tasks = random.Random(5), everything(writers)
    async with writing(pools.worker) as tx:
        for writer in writers:
            await write_documents(tx, writer.team_id, [task.id for task in everything([writer])][::2])
    parents: list[UUID | None] = [*dict.fromkeys(task.parent_id for task in tasks), uu.uuid7()]
    found_any = 0
    for _ in range(200):
        query = random_query(dice, writers[0], parents)
        found = await walked(pools.api, owner, query, None)
        assert found == expected(tasks, query), query
        found_any += bool(found)
    assert found_any > 60, "most queries find nothing, and prove little"


async def test_a_page_holds_the_whole_tasks(pools: Pools, owner: UUID, writers: list[Writer]) -> None:
    page = await readmodel.list_tasks(pools.api, owner, TaskQuery(archived=True, limit=100))
    assert {task.id: task for task in page.tasks} == {
        task.id: task for writer in writers for task in writer.state.archived.values()
    }
    assert page.last is None


async def test_one_task_is_found_by_id_and_by_number(pools: Pools, owner: UUID, writers: list[Writer]) -> None:
    for task in (next(iter(writers[1].state.tasks.values())), next(iter(writers[1].state.archived.values()))):
        assert await readmodel.task_location(pools.api, owner, task.id) == task.team_id
        assert await readmodel.stored_task(pools.api, owner, task.team_id, task.id) == task
        assert await readmodel.task_by_number(pools.api, owner, task.team_id, task.number) == task
        assert await readmodel.stored_task(pools.api, owner, writers[0].team_id, task.id) is None
    assert await readmodel.task_location(pools.api, owner, uu.uuid7()) is None
    assert await readmodel.task_by_number(pools.api, owner, writers[0].team_id, 10_000) is None


async def test_a_stranger_finds_nothing(pools: Pools, writers: list[Writer]) -> None:
    stranger, writer = await add_user(pools, "Eve"), writers[0]
    task = next(iter(writer.state.tasks.values()))
    assert await readmodel.my_teams(pools.api, stranger, limit=10) == []
    assert await readmodel.team_position(pools.api, stranger, writer.team_id) is None
    assert await readmodel.list_tasks(pools.api, stranger, TaskQuery()) == readmodel.TaskPage([], None)
    assert (await readmodel.list_tasks(pools.api, stranger, TaskQuery(), team_id=writer.team_id)).tasks == []
    assert await readmodel.task_location(pools.api, stranger, task.id) is None
    assert await readmodel.stored_task(pools.api, stranger, writer.team_id, task.id) is None
    assert await readmodel.task_activity(pools.api, stranger, writer.team_id, task.id, limit=10) == []
    assert await readmodel.events_after(pools.api, stranger, writer.team_id, 0, 10) == []


async def test_the_readers_own_scope_holds_without_row_security(
    services: Any, module_database: DatabaseSettings, pools: Pools, writers: list[Writer]
) -> None:
    """The committer's role sees every row, so only the query's own condition is left."""
    stranger, writer = await add_user(pools, "Eve"), writers[0]
    task = next(iter(writer.state.tasks.values()))
    assert await readmodel.team_position(pools.writer, stranger, writer.team_id) is None
    assert (await readmodel.list_tasks(pools.writer, stranger, TaskQuery(), team_id=writer.team_id)).tasks == []
    assert await readmodel.task_location(pools.writer, stranger, task.id) is None
    assert await readmodel.stored_task(pools.writer, stranger, writer.team_id, task.id) is None
    assert await readmodel.events_after(pools.writer, stranger, writer.team_id, 0, 10) == []


async def test_my_teams_come_in_pages_with_my_role(pools: Pools, owner: UUID) -> None:
    journal, guest = PostgresJournal(pools), await add_user(pools, "Guest")
    teams = [await new_team(journal, owner) for _ in range(3)]
    for team in teams[:2]:
        assert await team.commit(journal, AddMember(guest, "Guest", "viewer")) == Committed()
    first = await readmodel.my_teams(pools.api, guest, limit=1)
    rest = await readmodel.my_teams(pools.api, guest, after=first[0].team.id, limit=5)
    assert [(mine.team, mine.role) for mine in (*first, *rest)] == [(team.state.team, "viewer") for team in teams[:2]]
    assert await teams[0].commit(journal, RemoveMember(guest)) == Committed()
    assert [mine.team.id for mine in await readmodel.my_teams(pools.api, guest, limit=5)] == [teams[1].team_id]


async def test_activity_is_newest_first_and_pages_by_seq(pools: Pools, owner: UUID) -> None:
    writer = await new_team(PostgresJournal(pools), owner, 2)
    task_id = next(iter(writer.state.tasks.values())).id
    for title in ("one", "two", "three"):
        await writer.commit(PostgresJournal(pools), UpdateTask(task_id, TaskPatch(title=title)))
    rows = await readmodel.task_activity(pools.api, owner, writer.team_id, task_id, limit=10)
    assert [row.type for row in rows] == ["task.updated"] * 3 + ["task.created"]
    seqs = [row.seq for row in rows]
    assert seqs == sorted(seqs, reverse=True)
    page = await readmodel.task_activity(pools.api, owner, writer.team_id, task_id, before=seqs[1], limit=1)
    assert [row.seq for row in page] == [seqs[2]]
    assert await readmodel.team_position(pools.api, owner, writer.team_id) == JournalPosition(writer.state.seq)
    after = await readmodel.events_after(pools.api, owner, writer.team_id, 3, 2)
    assert [row.seq for row in after] == [4, 5]


async def test_a_single_task_is_looked_up_through_an_index(pools: Pools, owner: UUID, writers: list[Writer]) -> None:
    async with pools.api.acquire() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")  # So small a table would be scanned otherwise.
        plan = await connection.fetch("explain select team_id from tasks where id = $1", uu.uuid7())
    assert any("Scan using tasks_id" in row[0] or "Scan on tasks_id" in row[0] for row in plan)
