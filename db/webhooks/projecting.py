"""What the projection of webhooks reads and writes: a row for each event that a subscription asks for.

For transactions of the worker's. A subscription's `last_seq` moves with the rows, so that each names the one before it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from core.webhooks import OLDEST, Filter, is_about_task
from db.ids import new_id
from db.projections import Position
from db.transaction import Reading, Writing
from db.webhooks.subscriptions import filter_of

__all__ = [
    "Asking",
    "Place",
    "add_delivery",
    "asking_for",
    "data_before",
    "drop_lost",
    "place_of",
]


class Asking(Struct, frozen=True):
    """A subscription as far as the projection is concerned."""

    id: UUID
    event_types: tuple[str, ...]
    filter: Filter


class Place(Struct, frozen=True):
    """Where the projection is with a team (at `seq` 0: nowhere yet), and the first `start_seq` of its subscriptions,
    up to which nothing is anybody's business."""

    position: Position
    start_seq: int


async def place_of(tx: Reading, name: str, team_id: UUID) -> Place | None:
    """Where the projection of this name is; None when the team has no subscriptions."""
    row = await tx.fetchrow(_PLACE, name, team_id)
    return (
        None if row is None or row["start_seq"] is None else Place(Position(row["seq"], row["epoch"]), row["start_seq"])
    )


async def asking_for(tx: Reading, row: JournalRow) -> Sequence[Asking]:
    """The team's subscriptions that the event is a business of, disabled ones too: theirs is logged as failed."""
    return [_asking(found) for found in await tx.fetch(_ASKING, row.team_id, row.seq)]


async def data_before(tx: Reading, row: JournalRow) -> bytes | None:
    """The data of the event before this one about the same subject."""
    found: str | None = await tx.fetchval(_BEFORE, row.team_id, row.subject, row.seq)
    return None if found is None else found.encode()


async def add_delivery(tx: Writing, row: JournalRow, asking: Asking) -> bool:
    """A delivery of the event, unless it has one or is too old to leave; then it only counts as the last that matched.

    Whether there is something to send.
    """
    task_id = row.subject if is_about_task(row.type) else None
    names = (row.team_id, asking.id, row.seq)
    added = await tx.fetchval(_ADD, *names, new_id(), row.type, row.epoch, task_id, row.at, OLDEST)
    await tx.execute(_MOVE, *names)
    return bool(added)


async def drop_lost(tx: Writing, team_id: UUID) -> None:
    """Drop deliveries of a history that did not last: no journal row says them any more.

    What lasted stays, and is found there when the events of before are projected once more.
    """
    await tx.execute(_RESTART, team_id)
    await tx.execute(_DROP, team_id)


def _asking(row: Mapping[str, Any]) -> Asking:
    return Asking(row["id"], tuple(row["event_types"]), filter_of(row))


_PLACE: Final = """
select coalesce(p.seq, 0) as seq, coalesce(p.epoch, 0) as epoch,
       (select min(s.start_seq) from webhook_subscriptions s where s.team_id = $2) as start_seq
from (select) nothing left join projections p on p.name = $1 and p.team_id = $2
"""
_ASKING: Final = """
select id, event_types, statuses, label_ids, assignee_ids from webhook_subscriptions
where team_id = $1 and start_seq < $2 order by id for update
"""
_BEFORE: Final = """
select payload from task_events where team_id = $1 and subject_id = $2 and seq < $3 order by seq desc limit 1
"""
# What is disabled gets rows that have failed already: its log says what was missed, and `recover` sends it.
_ADD: Final = """
insert into webhook_deliveries (
    team_id, id, subscription_id, event_type, epoch, seq, prev_seq, task_id, happened_at, status, ended_at
)
select s.team_id, $4, s.id, $5, $6, $3, s.last_seq, $7, $8,
       case when s.disabled_at is null then 'pending' else 'failed' end,
       case when s.disabled_at is null then null else now() end
from webhook_subscriptions s
where s.team_id = $1 and s.id = $2 and s.last_seq < $3 and $8 > now() - $9::interval
on conflict (subscription_id, epoch, seq) where seq > 0 do nothing
returning status = 'pending'
"""
_MOVE: Final = """
update webhook_subscriptions set last_seq = greatest(last_seq, $3), due_at = least(due_at, now())
where team_id = $1 and id = $2
"""
_RESTART: Final = "update webhook_subscriptions set last_seq = 0 where team_id = $1"
_DROP: Final = """
delete from webhook_deliveries d using team_epochs e
where d.team_id = $1 and e.team_id = d.team_id and d.epoch < e.epoch and d.seq >= e.from_seq
"""
