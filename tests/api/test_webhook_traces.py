"""The trace of a request is that of everything that comes of it: journal, topic, event and webhook."""

import json
from uuid import UUID

import pytest

from core.codec import JournalRow
from db.journal.rows import journal_row
from db.journal.sql import EVENT_SELECT
from db.transaction import reading
from streams.kafka.topics import event_headers
from tests.support.desk import Desk
from tests.support.hooks import Hooks
from tests.support.journal_writer import JournalWriter
from tests.support.receivers import receiving

pytestmark = pytest.mark.anyio

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


async def written(desk: Desk, task_id: str) -> JournalRow:
    """The journal row of the newest event about the task."""
    query = f"select {EVENT_SELECT} from task_events e where e.team_id = $1 and e.subject_id = $2 order by e.seq desc"
    async with reading(desk.site.services.pools.worker, None) as tx:
        row = await tx.fetchrow(query, UUID(desk.team), UUID(task_id))
    assert row is not None
    return journal_row(row)


async def test_a_trace_goes_from_the_request_to_the_webhook(desk: Desk) -> None:
    hooks = Hooks(desk.site.services.pools, JournalWriter(desk.site.services.pools.worker))
    hooks.team_id, hooks.admin = UUID(desk.team), UUID(desk["owner"].user_id)
    async with receiving() as receiver, hooks.sending():
        hook = await hooks.subscribe(receiver.url())
        tasks = [
            (await desk.post("/v1/tasks", {"team_id": desk.team, "title": "A task"}, **headers)).json()
            for headers in ({"traceparent": TRACE}, {})
        ]
        traced, other = [await written(desk, task["id"]) for task in tasks]
        await hooks.sent(traced, other)
        await hooks.ended(hook, 2)
    assert (traced.traceparent, other.traceparent) == (TRACE, "")
    assert dict(event_headers(traced, "life"))["traceparent"] == TRACE.encode()
    got = {one.seq: one for one in receiver.received}
    assert got[traced.seq].headers["traceparent"] == json.loads(got[traced.seq].body)["traceparent"] == TRACE
    assert "traceparent" not in got[other.seq].headers
