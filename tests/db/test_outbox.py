"""The outbox's table: written with its cause, seen by the relay alone, moved by one at a time."""

import json
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db import outbox
from db.outbox import JOBS, MAIL, Backlog, Waiting, backlog, moving, put
from db.pool import Pools
from db.transaction import writing
from tests.support.refused import refused

pytestmark = pytest.mark.anyio

ADA = uuids.uuid7()
LIFE = "first-life"


async def mailed(pools: Pools, purpose: str = "verify-email", subject: UUID = ADA, *, discard: bool = False) -> UUID:
    """A row as a request writes it, before anybody is known."""
    async with writing(pools.api) as tx:
        return await put(tx, MAIL, purpose, subject, discard=discard)


async def left(pools: Pools, limit: int = 100) -> list[UUID]:
    """Move what is next."""
    async with moving(pools.worker, limit, LIFE) as rows:
        return [row.id for row in rows]


async def test_a_row_names_what_it_is_for_and_whom_it_is_about_and_nothing_else(pools: Pools) -> None:
    async with writing(pools.api, ADA) as tx:
        row_id = await put(tx, JOBS, "export", ADA, traceparent="00-1-2-01")
    async with moving(pools.worker, 10, LIFE) as (row,):
        assert json.loads(row.payload) == {"id": str(row_id), "purpose": "export", "subject": str(ADA)}
        assert row == Waiting(row_id, "taskforge.jobs.v1", str(ADA), row.payload, False, "00-1-2-01")


@pytest.mark.parametrize(
    "purpose", ["", "ada@example.com", "Verify", "token-0123", "a-b-c-d-e-f", "verify email", "a\n"]
)
async def test_an_address_or_a_token_is_no_purpose(pools: Pools, purpose: str) -> None:
    with pytest.raises(ValueError, match="no purpose"):
        await mailed(pools, purpose)


async def test_a_row_exists_only_if_its_cause_does(pools: Pools) -> None:
    async def failing() -> None:
        async with writing(pools.api, ADA) as tx:
            await put(tx, MAIL, "verify-email", ADA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await backlog(pools.worker) == Backlog(0, None)


async def test_a_request_for_nobody_writes_the_same_row_but_for_its_mark(
    pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    await mailed(pools)
    await mailed(pools, subject=uuids.uuid7(), discard=True)
    real, none = await superuser.fetch("select * from outbox order by position")
    assert [row["discard"] for row in (real, none)] == [False, True]
    for column in ("topic", "traceparent"):
        assert real[column] == none[column]
    for column in ("key", "payload"):
        assert len(real[column]) == len(none[column])


@pytest.mark.parametrize(
    "statement",
    ["select id from outbox", "delete from outbox", "update outbox set discard = true", "table outbox"],
)
async def test_the_api_sees_nothing_of_it_and_takes_nothing_back(pools: Pools, statement: str) -> None:
    with refused():
        async with writing(pools.api, ADA) as tx:
            await tx.execute(statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("api", "insert into outbox values ($1, default, 'taskforge.mail.v1', 'k', '{}', false, '', '2020-01-01')"),
        ("writer", "insert into outbox values ($1, default, 'taskforge.mail.v1', 'k', '{}', false, '', now())"),
        ("worker", "update outbox set topic = 'taskforge.jobs.v1' where id = $1"),
    ],
)
async def test_nobody_writes_rows_of_another_time_or_changes_one(pools: Pools, role: str, statement: str) -> None:
    with refused():
        async with writing(getattr(pools, role)) as tx:
            await tx.execute(statement, uuids.uuid7())


async def test_a_topic_that_is_none_of_the_outboxs_is_refused(pools: Pools) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with writing(pools.api) as tx:
            await put(tx, "taskforge.task-events.v1", "export", ADA)  # type: ignore[arg-type]


async def test_rows_leave_in_the_order_in_which_they_were_written_whatever_their_ids_say(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [uuids.uuid7() for _ in range(5)][::-1]
    waiting = iter(ids)
    monkeypatch.setattr(outbox, "new_id", lambda: next(waiting))
    for _ in ids:
        await mailed(pools)
    assert [await left(pools, 2) for _ in range(4)] == [ids[:2], ids[2:4], ids[4:], []]


async def test_what_the_block_did_not_finish_waits_further(pools: Pools) -> None:
    row_id = await mailed(pools)

    async def failing() -> None:
        async with moving(pools.worker, 10, LIFE) as rows:
            assert len(rows) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await left(pools) == [row_id]
    assert await left(pools) == []


async def test_only_one_moves_at_a_time_and_a_row_that_commits_meanwhile_is_next(pools: Pools) -> None:
    first = await mailed(pools)
    async with writing(pools.api) as slow:
        late = await put(slow, MAIL, "verify-email", ADA)
        second = await mailed(pools)
        async with moving(pools.worker, 10, LIFE) as rows:
            assert [row.id for row in rows] == [first, second]
            assert await left(pools) == []
    assert await left(pools) == [late]


async def test_the_backlog_says_how_many_wait_and_since_when(pools: Pools, superuser: "asyncpg.Connection") -> None:
    for _ in range(3):
        await mailed(pools)
    oldest = await superuser.fetchval("select min(created_at) from outbox")
    assert await backlog(pools.worker) == Backlog(3, oldest)
