"""Comments as SQL reads them: by members only, and by the indexes that are there for it."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.commands import AddComment, EditComment
from core.comment import Comment
from core.writes import Committed
from db import comments
from db.comments import comment_location, comment_versions, list_comments, stored_comment
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.redaction.comments import forget_comment
from db.transaction import reading, writing
from tests.support.team_writer import Writer, add_user, new_team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def writer(pools: Pools) -> Writer:
    """A team with two tasks, and five comments on the first."""
    journal, owner = PostgresJournal(pools), await add_user(pools)
    writer = await new_team(journal, owner, 2)
    for number in range(5):
        assert await writer.commit(journal, AddComment(first(writer), f"number {number}")) == Committed()
    return writer


def first(writer: Writer) -> UUID:
    return next(iter(writer.state.tasks.values())).id


async def page(pools: Pools, writer: Writer, user_id: UUID | None = None, **how: Any) -> list[Comment]:
    given = {"after": None, "newest_first": False, "limit": 50, **how}
    return [*await list_comments(pools.api, user_id or writer.owner, writer.team_id, first(writer), **given)]


async def test_pages_begin_after_a_place_in_either_order(pools: Pools, writer: Writer) -> None:
    everything = await page(pools, writer)
    assert [comment.body for comment in everything] == [f"number {number}" for number in range(5)]
    middle = (everything[2].created_at, everything[2].id)
    assert await page(pools, writer, after=middle) == everything[3:]
    assert await page(pools, writer, after=middle, newest_first=True) == everything[1::-1]
    assert await page(pools, writer, newest_first=True, limit=2) == everything[:2:-1]


async def test_nobody_else_reads_them(pools: Pools, writer: Writer) -> None:
    (comment, *_), stranger = await page(pools, writer), await add_user(pools, "Eve")
    assert await comment_location(pools.api, writer.owner, comment.id) == writer.team_id
    assert await stored_comment(pools.api, writer.owner, writer.team_id, comment.id) == comment
    assert await page(pools, writer, stranger) == []
    assert await comment_location(pools.api, stranger, comment.id) is None
    assert await stored_comment(pools.api, stranger, writer.team_id, comment.id) is None
    versions = await comment_versions(pools.api, stranger, writer.team_id, comment, before=None, limit=9)
    assert list(versions) == []
    async with reading(pools.api, stranger) as tx:
        assert await tx.fetchval("select count(*) from comments") == 0, "row security alone says so, too"


async def test_versions_are_those_of_the_comment_and_of_no_other(pools: Pools, writer: Writer) -> None:
    comment, journal = (await page(pools, writer))[1], PostgresJournal(pools)
    writer.state.comments = {comment.id: comment}
    assert await writer.commit(journal, EditComment(comment.id, "otherwise")) == Committed()
    versions = await comment_versions(pools.api, writer.owner, writer.team_id, comment, before=None, limit=9)
    assert [row.seq for row in versions] == [writer.state.seq, comment.version]
    (older,) = await comment_versions(
        pools.api, writer.owner, writer.team_id, comment, before=writer.state.seq, limit=9
    )
    assert older.type == "comment.added"


STALE = {"type": "/problems/stale-version", "title": "Stale version", "status": 412, "code": "stale-version"}
FORGOTTEN = {"detail": "What this answer said was forgotten for good."}


async def test_a_stored_answer_loses_the_text_and_keeps_its_shape(pools: Pools, writer: Writer, superuser: Any) -> None:
    one, other, *_ = await page(pools, writer)
    shown = {"id": str(one.id), "version": 7, "body": "secret", "html": "<p>secret</p>", "mentions": [{"id": "x"}]}
    answers = {
        "shown": (201, shown, {**shown, "body": "", "html": "", "mentions": []}),
        "of a task": (200, {"id": str(one.id), "title": "secret"}, {"redacted": True}),
        "refused": (412, {**STALE, "detail": "secret", "conflicts": [{"theirs": "secret"}]}, {**STALE, **FORGOTTEN}),
        "another": (201, {**shown, "id": str(other.id)}, {**shown, "id": str(other.id)}),
    }
    for key, (status, before, _) in answers.items():
        await superuser.execute(
            "insert into idempotency_keys (principal, key, team_id, fingerprint, status, headers, body, seq)"
            " values ($1, $2, $3, sha256('x'), $4, '[]', $5, 7)",
            writer.owner,
            key,
            writer.team_id,
            status,
            msgspec.json.encode(before),
        )
    async with writing(pools.worker) as tx:
        await forget_comment(tx, writer.team_id, one.task_id, one.id)
    found = {row["key"]: row["body"] for row in await superuser.fetch("select key, body from idempotency_keys")}
    assert {key: msgspec.json.decode(body) for key, body in found.items()} == {
        key: after for key, (_, _, after) in answers.items()
    }


@pytest.mark.parametrize(
    ("statement", "index"),
    [("_OLDEST", "comments_page"), ("_NEWEST", "comments_page"), ("_VERSIONS", "task_events_subject")],
)
async def test_long_talks_are_read_by_an_index(
    pools: Pools, writer: Writer, superuser: Any, statement: str, index: str
) -> None:
    await superuser.execute(
        "insert into comments select team_id, gen_random_uuid(), task_id, author_id, body, mentions,"
        " created_at + make_interval(secs => n), updated_at, version from comments, generate_series(1, 4000) n"
    )
    await superuser.execute(
        "insert into task_events (team_id, seq, type, subject_id, actor_id, at, traceparent, payload, salt, digest,"
        " actor_kind, schema_version) select e.team_id, 1000 + n, e.type, gen_random_uuid(), e.actor_id, e.at, '',"
        " e.payload, e.salt, e.digest, e.actor_kind, 1 from task_events e, generate_series(1, 20000) n where e.seq = 2"
    )
    await superuser.execute("analyze comments, task_events")
    (comment, *_) = await page(pools, writer, limit=1)
    last = [None, None, 10] if statement != "_VERSIONS" else [comment.id, None, 10]
    arguments = [writer.owner, writer.team_id, comment.task_id, *last]
    async with reading(pools.api, writer.owner) as tx:
        plan = await tx.fetch(f"explain {getattr(comments, statement)}", *arguments)
    text = "\n".join(row[0] for row in plan)
    assert index in text, text
    assert "Seq Scan on comments" not in text
