"""Histories of a team, lived in memory and then put into a database as its journal, for tests of boards of the past."""

import random
from collections.abc import Sequence
from typing import Any

import asyncpg
from msgspec import structs

from core.codec import Encoded, JournalRow, decode
from core.commands import (
    AnyCommand,
    ArchiveTask,
    CreateColumn,
    CreateLabel,
    CreateTask,
    DeleteColumn,
    DeleteLabel,
    DeleteTask,
    MoveColumn,
    MoveTask,
    RenameMember,
    RestoreTask,
    UpdateTask,
)
from core.errors import DomainError
from core.task import PRIORITIES, STATUSES, TaskFields, TaskPatch
from core.team import TeamState, evolve
from tests.support.core_team import MEMBER, OWNER, TEAM, CoreTeam

__all__ = ["board_of", "fold_of", "lived", "stored"]


def lived(events: int, seed: int = 1) -> CoreTeam:
    """A team with at least so many events of every kind."""
    team, choose = CoreTeam(), random.Random(seed)
    while team.state.seq < events:
        try:
            team.ask(_any(team, choose), choose.choice([OWNER, OWNER, MEMBER]))
        except DomainError:
            continue
    return team


def _any(team: CoreTeam, choose: random.Random) -> AnyCommand:
    board, archived, labels = list(team.state.tasks.values()), list(team.archive), list(team.state.labels)
    columns = list(team.state.columns)
    if len(board) < 4 or choose.random() < 0.15:
        return CreateTask(TaskFields(title=f"Task {choose.random()}", status=choose.choice(STATUSES)))
    task, other = choose.sample(board, k=2)
    kinds: list[AnyCommand] = [
        UpdateTask(task.id, TaskPatch(title=f"Title {choose.random()}", priority=choose.choice(PRIORITIES))),
        UpdateTask(task.id, TaskPatch(label_ids=tuple(labels[:2]), parent_id=other.id)),
        UpdateTask(task.id, TaskPatch(status=choose.choice(STATUSES))),
        *[MoveTask(task_id=task.id, status=other.status, before_id=other.id)] * 4,
        ArchiveTask(task.id),
        RestoreTask(choose.choice(archived) if archived else task.id),
        CreateColumn(name=f"Column {choose.randrange(40)}", category=choose.choice(STATUSES)),
        MoveColumn(column_id=choose.choice(columns), before_id=choose.choice(columns)),
        MoveTask(task_id=task.id, column_id=choose.choice(columns)),
        CreateLabel(f"Label {choose.randrange(9)}", "#00aa00"),
        RenameMember(f"Name {choose.random()}"),
    ]
    emptied = DeleteColumn(column_id=choose.choice(columns), move_to=choose.choice(columns))
    rare: list[AnyCommand] = [DeleteTask(task.id), emptied, *([DeleteLabel(labels[0])] if labels else [])]
    return choose.choice(rare if choose.random() < 0.04 else kinds)


def fold_of(rows: Sequence[JournalRow]) -> TeamState:
    """The plain fold, all at once."""
    state = TeamState()
    for row in rows:
        evolve(state, decode(row))
    return state.merge()


def board_of(state: TeamState) -> dict[str, Any]:
    """All that a board and its members say, comparable."""
    return {
        "place": (state.seq, state.epoch, state.top_number),
        "team": state.team,
        "members": dict(state.members),
        "labels": dict(state.labels),
        "tasks": {task.id: task for task in state.tasks.values()},
        "columns": list(state.columns.values()),
        "places": {column_id: places for column_id, places in state.places.items() if places},
        "external": state.external.as_dict(),
    }


async def stored(connection: "asyncpg.Connection[Any]", journal: Sequence[Encoded]) -> list[JournalRow]:
    """Make these the journal of the team in an empty database, of which the owner is a member; the rows."""
    rows = [encoded.row for encoded in journal]
    async with connection.transaction():
        await connection.execute(
            "insert into users (id, email, name, created_at, updated_at)"
            " values ($1, 'o@example.org', 'O', now(), now())",
            OWNER,
        )
        await connection.execute(
            "insert into teams (id, seq, name, key, created_by, created_at, updated_at, version)"
            " values ($1, $2, 'Team', 'ENG', $3, now(), now(), 1)",
            TEAM,
            len(rows),
            OWNER,
        )
        await connection.execute("insert into memberships values ($1, $2, 'owner', 'O', now())", TEAM, OWNER)
        await append(connection, rows)
    return rows


async def append(connection: "asyncpg.Connection[Any]", rows: Sequence[JournalRow]) -> None:
    """Further rows of the journal."""
    # The fields of a row in their order, but for its epoch, which the team's history says.
    values = [(*structs.astuple(row)[:7], row.payload.decode(), *structs.astuple(row)[8:13]) for row in rows]
    await connection.executemany(
        "insert into task_events (team_id, seq, type, subject_id, actor_id, at, traceparent, payload, salt, digest,"
        " actor_kind, via, schema_version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        values,
    )
