"""What we compare ourselves with: the same PATCH as most backends do it, one transaction per request.

Same schema, same pool, same validation, same answer bytes, same journal row: lock the team's row, check the role, read
the task, write it, write the event, commit. `app` serves it on the same BlackSheep edge with the same authentication.
"""

import datetime
import os
from typing import Any, Final
from uuid import UUID

import msgspec
from blacksheep import Content, Request, Response

from api.binding import MERGE_PATCH, body_of, decoder_for, path_value
from api.calls import call_of
from api.rest_v1 import REST_V1
from api.services import Services
from benchmarks.edge import Handler, OnOurEdge
from core.codec import encode
from core.errors import Forbidden, NotFound
from core.events import TaskUpdated
from core.permissions import allows
from core.task import Task, TaskPatch, differences
from db.pool import Pool

__all__ = ["OneTransactionEach", "app"]

LOCK: Final = """select t.seq, t.key, m.role from teams t join memberships m on m.team_id = t.id and m.user_id = $2
where t.id = $1 for update of t"""
TASK: Final = "select * from tasks where team_id = $1 and id = $2"
UPDATE: Final = """update tasks set title = $3, description = $4, status = $5, priority = $6, assignee_id = $7,
label_ids = $8, due_at = $9, estimate = $10, parent_id = $11, blocked_by = $12, updated_at = $13, version = $14
where team_id = $1 and id = $2"""
ADVANCE: Final = "update teams set seq = $2 where id = $1"
EVENT: Final = """insert into task_events
(team_id, seq, type, subject_id, actor_id, payload, traceparent, at, salt, digest)
values ($1, $2, $3, $4, $5, convert_from($6, 'UTF8'), $7, $8, $9, $10)"""
FIELDS: Final = TaskPatch.__struct_fields__


class OneTransactionEach:
    """Changes tasks, a transaction for each change."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def patch(self, team_id: UUID, task_id: UUID, patch: TaskPatch, actor_id: UUID) -> Task:
        """The task after the change, committed. Raises NotFound, Forbidden."""
        async with self._pool.acquire() as connection, connection.transaction():
            team = await connection.fetchrow(LOCK, team_id, actor_id)
            if team is None:
                raise NotFound("team")
            if not allows(team["role"], "write_tasks"):
                raise Forbidden("write_tasks")
            row = await connection.fetchrow(TASK, team_id, task_id)
            if row is None:
                raise NotFound("task")
            before = _task_of(row, team["key"])
            now, seq = datetime.datetime.now(datetime.UTC), team["seq"] + 1
            after = msgspec.structs.replace(before, **patch.changes(), updated_at=now, version=seq)
            event = encode(
                TaskUpdated(
                    team_id=team_id, seq=seq, actor_id=actor_id, at=now, task=after, previous=differences(before, after)
                ),
                salt=os.urandom(16),
            ).row
            columns = [list(value) if isinstance(value := getattr(after, name), tuple) else value for name in FIELDS]
            await connection.execute(UPDATE, team_id, task_id, *columns, now, seq)
            await connection.execute(ADVANCE, team_id, seq)
            fields = (event.type, event.subject, actor_id, event.payload, event.traceparent, now)
            await connection.execute(EVENT, team_id, seq, *fields, event.salt, event.digest)
        return after


def _task_of(row: Any, team_key: str) -> Task:
    values = dict(row)
    values["label_ids"], values["blocked_by"] = tuple(values["label_ids"]), tuple(values["blocked_by"])
    return Task(key=f"{team_key}-{values['number']}", **values)


def _patching(services: Services) -> Handler:
    door, decoder = OneTransactionEach(services.pools.writer), decoder_for(TaskPatch)

    async def patch_task(request: Request) -> Response:
        principal = call_of(request).principal()
        patch = await body_of(request, decoder, *MERGE_PATCH)
        # Our own clients name the team in this header; a task's team could only cost the baseline another query.
        team_id = UUID((request.get_first_header(b"taskforge-team") or b"").decode())
        task = await door.patch(team_id, path_value(request, "task_id"), patch, principal.user_id)
        headers = [
            (b"etag", b'"%d"' % task.version),
            (b"taskforge-team", str(team_id).encode()),
            (b"taskforge-seq", b"%d" % task.version),
        ]
        return Response(200, headers, Content(b"application/json", REST_V1.task(task)))

    return patch_task


app = OnOurEdge(_patching)
