"""What is deleted for good and not yet forgotten: the commit that deletes it notes it, a worker redacts and clears it.

Meanwhile every reader leaves it out, so that it is gone for everybody once its deletion is acknowledged: of journal
rows (`journal/sql.py`), and of the copies of them here. Whoever reads a copy beside the journal asks what is due first,
and reads then: the worker drops copies before it clears what was due.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.expressions import any_of
from db.forgotten_bodies import FORGOTTEN_BODY, NO_TEXT, REDACTED_BODY, SHOWS_COMMENT, WITHOUT_COMMENT
from db.statements import given, values
from db.transaction import Reading, Writing
from db.work_tables import RedactionsDue

__all__ = ["LATE", "REPORT_IS_DUE", "SHOWN_BODY", "Overdue", "clear_due", "overdue", "tasks_due"]

# `k` is a row of `idempotency_keys`. The names within are those of `s`, as the redaction's own statements have them.
SHOWN_BODY: Final = f"""
(select case
    when not exists (select from redactions_due d where d.team_id = s.team_id) then body
    when status >= 400 then {FORGOTTEN_BODY % "body"}
    when not exists (
        select from redactions_due d
        where d.team_id = s.team_id and position(convert_to(d.subject_id::text, 'UTF8') in body) > 0
    ) then body
    when {SHOWS_COMMENT} then {WITHOUT_COMMENT % f"'{NO_TEXT}'"}
    else convert_to('{REDACTED_BODY.decode()}', 'UTF8')
end from (values (k.team_id, k.status, k.body)) as s (team_id, status, body))
"""  # noqa: S608 (texts of our own)
"""A stored answer as it may be replayed, of `idempotency_keys` as `k`."""

REPORT_IS_DUE: Final = """
exists (
    select from redactions_due d where d.team_id = r.team_id and r.seq >= (
        select min(e.seq) from task_events e where e.team_id = d.team_id and e.subject_id = d.task_id
    )
)
"""
"""Whether a report, of `reports` as `r`, may say what is to be forgotten."""


LATE: Final = timedelta(hours=1)
"""What is due for longer waits for something other than its turn: a worker forgets within seconds."""


class Overdue(Struct, frozen=True):
    """How many tasks and comments wait for longer than `LATE` to be forgotten, and for how long the oldest has."""

    number: int
    age: timedelta


async def tasks_due(tx: Reading, team_ids: Collection[UUID]) -> frozenset[UUID]:
    """The tasks of these teams that are deleted for good and not yet forgotten."""
    return frozenset(await tx.all(_TASKS, team_ids=list(team_ids))) if team_ids else frozenset()


async def overdue(tx: Reading) -> Overdue:
    """What workers should have forgotten by now, in all teams. In a transaction of the worker's."""
    row = await tx.fetchrow(_OVERDUE, LATE)
    assert row is not None, "a count has a row"
    return Overdue(row["number"], timedelta() if row["age"] is None else row["age"])


async def clear_due(tx: Writing, team_id: UUID, task_id: UUID, subject_id: UUID) -> None:
    """The subject is forgotten everywhere; with a task, whatever belonged to it. In a transaction of the worker's."""
    await tx.execute(_CLEAR, team_id, task_id, subject_id)


_TASKS: Final = values(
    UUID,
    RedactionsDue.select(RedactionsDue.subject_id).where(
        any_of(RedactionsDue.team_id, given("team_ids")), RedactionsDue.subject_id == RedactionsDue.task_id
    ),
)
_OVERDUE: Final = """
select count(*) as number, now() - min(created_at) as age from redactions_due where created_at < now() - $1::interval
"""
_CLEAR: Final = """
delete from redactions_due where team_id = $1 and task_id = $2 and (subject_id = $3 or task_id = $3)
"""
