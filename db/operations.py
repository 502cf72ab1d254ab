"""Operations: what takes longer than a request, as rows that outlive the process that moves them.

A request starts one in the transaction of its cause; workers move it (`streams/operations`). Moving is compare-and-set
on `version`. Whoever claims an operation has it until its lease ends, and says so in the row before anything is done.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.query.functions.aggregate import Count

from db import outbox
from db.expressions import NOW, ago, ahead, equal_if_given, limited
from db.ids import new_id
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, columns, given, insert, rows, values
from db.tables import Operations
from db.transaction import Reading, Writing, reading

__all__ = [
    "PURPOSE",
    "Operation",
    "Status",
    "StepState",
    "StepStatus",
    "claim",
    "find",
    "forget_ended_operations",
    "hold",
    "renew",
    "running_of",
    "save",
    "start",
    "stuck",
]

PURPOSE: Final = "operation"
"""What a record of `taskforge.jobs.v1` that wakes an operation says it is for; its subject is the operation."""

KEPT_SECONDS: Final = 30 * 86_400.0

Status = Literal["waiting", "running", "compensating", "succeeded", "failed", "stuck"]
"""`waiting` for its first step, `running`, `compensating` (what was done is taken back), ended as `succeeded` or
`failed`, or `stuck`: it goes on trying, and somebody should look at it."""

StepStatus = Literal["waiting", "running", "done", "failed", "undoing", "undone"]


class StepState(Struct, frozen=True):
    """How far one step is. `failed` is one that is to be undone because it may have been done in part."""

    name: str
    status: StepStatus = "waiting"


class Operation(Struct, frozen=True, kw_only=True):
    """A row. `data` is what its steps hand to each other; `result` is what its user sees; `attempts` are those of the
    step in hand; `undoing` is set once it compensates; `progress` is from 0 to 1."""

    id: UUID
    kind: str
    user_id: UUID
    team_id: UUID | None
    status: Status
    undoing: bool
    steps: tuple[StepState, ...]
    progress: float
    data: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: str | None
    version: int
    attempts: int
    traceparent: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


async def start(
    tx: Writing,
    kind: str,
    steps: Sequence[str],
    *,
    user_id: UUID,
    team_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
    traceparent: str = "",
) -> Operation:
    """Start an operation of the user's in `tx`, the API's as that user or a worker's; a worker hears of it at once.

    `data` is JSON and must hold no secret. What started is read as it will be answered.
    """
    operation_id = new_id()
    await tx.run(
        _START,
        id=operation_id,
        kind=kind,
        user_id=user_id,
        team_id=team_id,
        steps=_encode([StepState(name) for name in steps]),
        data=_encode(data or {}),
        traceparent=traceparent,
    )
    await outbox.put(tx, outbox.JOBS, PURPOSE, operation_id, traceparent=traceparent)
    started = await find(tx, user_id, operation_id)
    assert started is not None, "whoever starts an operation reads it"
    return started


async def find(tx: Reading, user_id: UUID, operation_id: UUID) -> Operation | None:
    """The user's operation, or None for one that is not theirs or nobody's."""
    return await tx.one(_FIND, user_id=user_id, id=operation_id)


async def running_of(tx: Reading, user_id: UUID, kind: str, *, team_id: UUID | None = None) -> UUID | None:
    """The user's operation of this kind, about the team or any, that has not ended, if there is one."""
    return await tx.one(_RUNNING, user_id=user_id, kind=kind, team_id=team_id)


async def claim(tx: Writing, kinds: Sequence[str]) -> Operation | None:
    """An operation of these kinds that is due, locked until `tx` ends and passed over by others who claim."""
    row = await tx.fetchrow(_CLAIM, list(kinds))
    return None if row is None else _operation(**row)


async def hold(tx: Writing, operation: Operation) -> bool:
    """Lock the operation until `tx` ends; False when somebody else has moved it since it was claimed."""
    return await tx.fetchval(_HOLD, operation.id, operation.version) is not None


async def save(tx: Writing, before: Operation, after: Operation, *, seconds: float) -> Operation | None:
    """Write what became of `before`, due again in so many seconds; None when it has been moved meanwhile."""
    saved = await tx.run(
        _SAVE,
        id=before.id,
        version=before.version,
        next_version=before.version + 1,
        status=after.status,
        undoing=after.undoing,
        steps=_encode(after.steps),
        progress=after.progress,
        data=_encode(after.data),
        result=None if after.result is None else _encode(after.result),
        error=after.error,
        attempts=after.attempts,
        seconds=float(seconds),
        ended_at=after.ended_at,
    )
    return msgspec.structs.replace(after, version=before.version + 1) if saved == 1 else None


async def renew(tx: Writing, operation: Operation, progress: float, *, seconds: float) -> bool:
    """Have the operation for so many seconds more; False when somebody else has moved it."""
    renewed = await tx.run(
        _RENEW, id=operation.id, version=operation.version, progress=progress, seconds=float(seconds)
    )
    return renewed == 1


async def stuck(pool: Pool) -> int:
    """How many operations are stuck. For the worker pool; raises StorageUnavailable."""
    async with reading(pool, None) as tx:
        return await tx.one(_STUCK) or 0


async def forget_ended_operations(pool: Pool) -> int:
    """Delete operations that ended 30 days ago; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, seconds=KEPT_SECONDS, limit=limit))


_encode: Final = msgspec.json.Encoder().encode
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_steps: Final = msgspec.json.Decoder(tuple[StepState, ...]).decode


def _operation(*, steps: bytes, data: bytes, result: bytes | None, **row: Any) -> Operation:
    return Operation(steps=_steps(steps), data=_object(data), result=None if result is None else _object(result), **row)


_START: Final = change(
    insert(
        Operations,
        id=given("id"),
        kind=given("kind"),
        user_id=given("user_id"),
        team_id=given("team_id"),
        status="waiting",
        undoing=False,
        steps=given("steps"),
        progress=0.0,
        data=given("data"),
        result=None,
        error=None,
        version=0,
        attempts=0,
        next_at=NOW,
        traceparent=given("traceparent"),
        created_at=NOW,
        updated_at=NOW,
        ended_at=None,
    )
)
_FIND: Final = rows(
    _operation,
    Operations.select(*columns(Operations, Operation)).where(
        Operations.id == given("id"), Operations.user_id == given("user_id")
    ),
)
_RUNNING: Final = values(
    UUID,
    Operations.select(Operations.id).where(
        Operations.user_id == given("user_id"),
        Operations.kind == given("kind"),
        equal_if_given(Operations.team_id, given("team_id")),
        Operations.ended_at.is_null(),
    ),
)
_SAVE: Final = change(
    Operations.update(
        {
            Operations.status: given("status"),
            Operations.undoing: given("undoing"),
            Operations.steps: given("steps"),
            Operations.progress: given("progress"),
            Operations.data: given("data"),
            Operations.result: given("result"),
            Operations.error: given("error"),
            Operations.version: given("next_version"),
            Operations.attempts: given("attempts"),
            Operations.next_at: ahead(given("seconds")),
            Operations.updated_at: NOW,
            Operations.ended_at: given("ended_at"),
        }
    ).where(Operations.id == given("id"), Operations.version == given("version"))
)
_RENEW: Final = change(
    Operations.update(
        {
            Operations.next_at: ahead(given("seconds")),
            Operations.progress: given("progress"),
            Operations.updated_at: NOW,
        }
    ).where(Operations.id == given("id"), Operations.version == given("version"))
)
_STUCK: Final = values(int, Operations.select(Count()).where(Operations.status == "stuck"))
_FORGET: Final = change(
    Operations.delete().where(
        Operations.id.is_in(
            limited(Operations.select(Operations.id).where(Operations.ended_at < ago(given("seconds"))), given("limit"))
        )
    )
)

_NAMES: Final = ", ".join(Operation.__struct_fields__)
# The oldest that is due: nobody waits for ever behind operations that keep coming.
_CLAIM: Final = f"""
select {_NAMES} from operations where ended_at is null and next_at <= now() and kind = any($1)
order by next_at limit 1 for update skip locked
"""  # noqa: S608 (column names of our own)
_HOLD: Final = "select 1 from operations where id = $1 and version = $2 for update"
