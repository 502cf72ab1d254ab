"""What tasks are found by: the folded text of each, in a row beside it, written some time after the task itself.

A document is true while its `seq` is the task's version: every change of a task, its comments included, raises that.
The texts of tasks that changed since are folded by whoever searches, so that an answer never waits for a document, and
one that is missing costs time and nothing else. A text index on `tasks` would end its heap-only updates; here each
update is one row that no index but the key knows of.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Final
from uuid import UUID

import anyio.to_thread
import asyncpg

from core.query import TaskQuery, document, is_mentioned, words_of
from db.pool import Pool
from db.task_query import select_unwritten
from db.transaction import Reading, Writing, reading, writing

__all__ = ["drop_documents", "fill_documents", "find_unwritten", "write_documents"]

AT_ONCE: Final = 100
"""Texts that are read and folded together: half a megabyte as a rule, and never more than some megabytes."""

_TEXTS: Final = """
select t.id, t.version, t.title, t.description, array(
    select c.body from comments c where c.team_id = t.team_id and c.task_id = t.id order by c.id
) as comments
from tasks t where t.team_id = $1 and t.id = any($2::uuid[])
"""
# Many events about one task are one document: it is written as the task is by then, and the later ones find it so.
_BEHIND_TEXTS: Final = f"""
{_TEXTS} and not exists (
    select from search_documents d where d.team_id = t.team_id and d.task_id = t.id and d.seq = t.version
)
"""
_WRITE: Final = """
insert into search_documents as d (team_id, task_id, seq, text)
select $1, n.task_id, n.seq, n.text from unnest($2::uuid[], $3::bigint[], $4::text[]) as n (task_id, seq, text)
on conflict (team_id, task_id) do update set seq = excluded.seq, text = excluded.text
where d.seq is distinct from excluded.seq
"""
# The tasks themselves, and those that one of the subjects has written a comment on.
_DROP: Final = """
delete from search_documents d where d.team_id = $1 and (d.task_id = any($2::uuid[]) or d.task_id in (
    select c.task_id from comments c where c.team_id = $1 and c.author_id = any($2::uuid[])
))
returning d.task_id
"""
_TEAMS: Final = "select id from teams where id > $1 order by id limit 1"
_BEHIND: Final = """
select t.id from tasks t left join search_documents d on d.team_id = t.team_id and d.task_id = t.id
where t.team_id = $1 and d.seq is distinct from t.version limit $2
"""
_FIRST: Final = UUID(int=0)


async def write_documents(tx: Writing, team_id: UUID, task_ids: Collection[UUID]) -> int:
    """Write the documents of these tasks as the tasks are now; how many changed. For the worker's pool.

    One at a time for a team: what is read here stays true until it is written, also while a redaction goes on.
    """
    await tx.alone(f"search documents of {team_id}")
    rows = await tx.fetch(_BEHIND_TEXTS, team_id, list(task_ids))
    if not rows:
        return 0
    texts = await anyio.to_thread.run_sync(_fold, rows)
    return await tx.execute(_WRITE, team_id, [row["id"] for row in rows], [row["version"] for row in rows], texts)


async def drop_documents(tx: Writing, team_id: UUID, subjects: Collection[UUID]) -> Sequence[UUID]:
    """Forget the documents of these tasks, and of those on which these users have written; which ones those were.

    For the worker's pool. They are to be written anew from what a redaction has left.
    """
    await tx.alone(f"search documents of {team_id}")
    return [row["task_id"] for row in await tx.fetch(_DROP, team_id, list(subjects))]


async def fill_documents(pool: Pool) -> int:
    """Write what is missing in all teams, a slice per transaction; how many documents. Raises StorageUnavailable."""
    written = 0
    async for team_id in _all_teams(pool):
        while True:
            async with writing(pool) as tx:
                behind = [row["id"] for row in await tx.fetch(_BEHIND, team_id, AT_ONCE)]
                written += await write_documents(tx, team_id, behind) if behind else 0
            if len(behind) < AT_ONCE:
                break
    return written


async def _all_teams(pool: Pool) -> AsyncIterator[UUID]:
    team_id: UUID | None = _FIRST
    while team_id is not None:
        async with reading(pool, None) as tx:
            team_id = await tx.fetchval(_TEAMS, team_id)
        if team_id is not None:
            yield team_id


async def find_unwritten(
    tx: Reading, user_id: UUID, query: TaskQuery, team_id: UUID | None, zones: Mapping[str, tzinfo]
) -> Sequence[UUID]:
    """The tasks that satisfy the query by a text of which there is no document yet.

    The transaction must see one moment only (`snapshot`), and so must what is read with the answer.
    """
    assert query.q is not None, "only a search has texts to look at"
    words, found = words_of(query.q), list[UUID]()
    statement, arguments = select_unwritten(user_id, query, team_id, zones)
    by_team: dict[UUID, dict[UUID, str]] = {}
    for row in await tx.fetch(statement, *arguments):
        by_team.setdefault(row["team_id"], {})[row["id"]] = row["key"]
    for of_team, keys in by_team.items():
        task_ids = list(keys)
        for start in range(0, len(task_ids), AT_ONCE):
            rows = await tx.fetch(_TEXTS, of_team, task_ids[start : start + AT_ONCE])
            texts = await anyio.to_thread.run_sync(_fold, rows)
            read = zip((row["id"] for row in rows), texts, strict=True)
            found += [task_id for task_id, text in read if is_mentioned(words, keys[task_id], text)]
    return found


def _fold(rows: Sequence[asyncpg.Record]) -> list[str]:
    return [document(row["title"], row["description"], row["comments"]) for row in rows]
