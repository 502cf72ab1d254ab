"""Sending: deliveries are claimed with a lease, an attempt each, and what came of them is written in batches.

A claim locks subscriptions that have something due, passing over those that somebody else holds. Under that lock the
attempts of one endpoint are counted over all processes, so that a slow endpoint takes no more than its share of any.
Whoever dies leaves a lease that runs out; the attempt is then made again as the next of the same chain, under the same
id, and the one that was cut off stays in the log as `interrupted`.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from core.webhooks import (
    OLDEST,
    TEST_TYPE,
    DisabledReason,
    Format,
    Health,
    Notice,
    Outcome,
    delay_before,
    health_after,
    pause_after,
    verdict_of,
)
from db.journal.rows import journal_row
from db.journal.sql import EVENT_SELECT
from db.transaction import Reading, Writing
from db.webhooks.disabling import disable

__all__ = ["Claimed", "Endpoint", "Settled", "Told", "claim", "give_back", "settle"]


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a subscription's deliveries go; its secrets are sealed. Previous ones that sign still, newest first."""

    team_id: UUID
    id: UUID
    url: str
    format: Format
    secret: bytes
    previous_secrets: Sequence[bytes]


class Claimed(Struct, frozen=True, kw_only=True):
    """A delivery whose attempt `number` is ours until the lease ends. `row` is the event, unless the journal has none.

    `expired` says that the event is too old to leave.
    """

    endpoint: Endpoint
    id: UUID
    claim: UUID
    number: int
    event_type: str
    epoch: int
    seq: int
    prev_seq: int
    happened_at: datetime
    expired: bool
    row: JournalRow | None

    @property
    def is_test(self) -> bool:
        """Whether it is no event of the team's."""
        return self.event_type == TEST_TYPE


class Settled(Struct, frozen=True):
    """What came of an attempt. Without an outcome the event was too old and nothing was sent."""

    claimed: Claimed
    outcome: Outcome | None


class Told(Struct, frozen=True):
    """What the admins of a team are to be told of a subscription; `reason` says why it is disabled."""

    team_id: UUID
    subscription_id: UUID
    notice: Notice
    reason: DisabledReason | None


async def claim(
    tx: Writing, *, failing: bool, limit: int, per_endpoint: int, lease: float, ahead: float = 0.0
) -> Sequence[Claimed]:
    """At most `limit` deliveries that are due, of endpoints that fail of late or of those that do not.

    An endpoint gets at most `per_endpoint` attempts at once; one that is throttled, or wants its events in order, one.
    """
    endpoints = {row["id"]: _endpoint(row) for row in await tx.fetch(_LOCK, failing, min(limit, 100), ahead)}
    if not endpoints:
        return ()
    found = await tx.fetch(_CLAIM, list(endpoints), per_endpoint, limit, lease, ahead, OLDEST)
    await tx.execute(_DUE_NEXT, list(endpoints), per_endpoint, ahead)
    await tx.execute(_BEGIN, *_columns(((row["team_id"], row["id"], row["attempts"]) for row in found), 3), ahead)
    events = await _events(tx, found)
    return [_claimed(endpoints[row["subscription_id"]], row, events.get((row["team_id"], row["seq"]))) for row in found]


async def give_back(tx: Writing, claimed: Sequence[Claimed]) -> None:
    """Attempts that were cut off by ourselves are made again at once, by whoever comes first."""
    await _hold(tx, claimed)
    await tx.execute(_GIVE_BACK, [one.id for one in claimed], [one.claim for one in claimed])
    await tx.execute(_DUE_NOW, list({one.endpoint.id for one in claimed}))


async def settle(tx: Writing, settled: Sequence[Settled], *, ahead: float = 0.0) -> Sequence[Told]:
    """Write what came of attempts, in the order in which they ended; what is to be told of their endpoints.

    An attempt whose claim has run out is written into the log and moves nothing.
    """
    healths, now = await _healths(tx, [one.claimed for one in settled], ahead)
    steps = await _steps(tx, [one.claimed for one in settled])
    pauses = dict.fromkeys(healths, 0.0)
    told: dict[UUID, Told] = {}
    moves = []
    for one in settled:
        endpoint = one.claimed.endpoint
        if endpoint.id not in healths or one.claimed.id not in steps:
            continue
        moves.append(_move(one, steps[one.claimed.id], now))
        if one.outcome is not None:
            before = healths[endpoint.id]
            verdict = verdict_of(one.outcome)
            health, notice, _ = health_after(before, verdict, now)
            healths[endpoint.id] = health
            pauses[endpoint.id] = pause_after(one.outcome, health.throttle) if verdict != "delivered" else 0.0
            if notice is not None:
                reason: DisabledReason = "gone" if verdict == "gone" else "failing"
                told[endpoint.id] = Told(endpoint.team_id, endpoint.id, notice, reason)
    await _write(tx, settled, moves, healths, pauses, ahead)
    return await _disable(tx, told.values(), ahead)


async def _write(
    tx: Writing,
    settled: Sequence[Settled],
    moves: Sequence[tuple[Any, ...]],
    healths: Mapping[UUID, Health],
    pauses: Mapping[UUID, float],
    ahead: float,
) -> None:
    ended = [one for one in settled if one.outcome is not None]
    await tx.execute(_END, *_columns(map(_ended, ended), 7))
    await tx.execute(_MOVE, *_columns(moves, 8))
    health = [
        (key, one.failing_since, one.noticed_at, one.throttle, float(pauses[key])) for key, one in healths.items()
    ]
    await tx.execute(_HEALTH, *_columns(health, 5), ahead)


def _ended(one: Settled) -> tuple[Any, ...]:
    outcome = one.outcome
    assert outcome is not None, "only attempts that were made end"
    return (
        one.claimed.endpoint.team_id,
        one.claimed.id,
        one.claimed.number,
        outcome.status,
        outcome.error,
        outcome.duration_ms,
        outcome.response,
    )


def _move(one: Settled, step: int, now: datetime) -> tuple[Any, ...]:
    """What becomes of the delivery: id, status, step, when it is tried next, when it ended, and how the attempt was."""
    claimed, outcome = one.claimed, one.outcome
    if outcome is None:
        return (claimed.id, "expired", step, now, now, None, None, None)
    how = (outcome.status, outcome.error, outcome.duration_ms)
    if verdict_of(outcome) == "delivered":
        return (claimed.id, "delivered", step, now, now, *how)
    lost = outcome.error == "history-rewritten"
    delay = None if claimed.is_test or lost else delay_before(step + 1, random.random())  # noqa: S311 (jitter)
    if delay is None:
        return (claimed.id, "failed", step, now, now, *how)
    return (claimed.id, "pending", step + 1, now + timedelta(seconds=delay), None, *how)


async def _healths(tx: Writing, claimed: Sequence[Claimed], ahead: float) -> tuple[dict[UUID, Health], datetime]:
    """The health of the endpoints, which are locked from here on, and what time it is."""
    rows = await _hold(tx, claimed)
    now: datetime = await tx.fetchval(_NOW, ahead)
    return {row["id"]: Health(row["failing_since"], row["noticed_at"], row["throttle"]) for row in rows}, now


async def _hold(tx: Writing, claimed: Sequence[Claimed]) -> Sequence[Mapping[str, Any]]:
    """Lock the subscriptions in the order of their ids, in which everybody does who locks several."""
    return await tx.fetch(_HOLD, list({one.endpoint.id for one in claimed}))


async def _steps(tx: Writing, claimed: Sequence[Claimed]) -> dict[UUID, int]:
    """The place in the schedule of the deliveries that are still ours."""
    rows = await tx.fetch(_STEPS, [one.id for one in claimed], [one.claim for one in claimed])
    return {row["id"]: row["step"] for row in rows}


async def _disable(tx: Writing, told: Iterable[Told], ahead: float) -> Sequence[Told]:
    """Endpoints that get nothing any more: what waits for them has failed. Those who are disabled already stay so."""
    really = []
    for one in told:
        if one.notice == "disabled":
            assert one.reason is not None, "whoever disables knows why"
            if not await disable(tx, one.team_id, one.subscription_id, one.reason, ahead=ahead):
                continue
        really.append(one)
    return really


async def _events(tx: Reading, found: Sequence[Mapping[str, Any]]) -> Mapping[tuple[UUID, int], JournalRow]:
    places = {(row["team_id"], row["seq"]) for row in found if row["seq"]}
    rows = [journal_row(row) for row in await tx.fetch(_EVENTS, *_columns(places, 2))] if places else []
    return {(row.team_id, row.seq): row for row in rows}


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(**row)


def _claimed(endpoint: Endpoint, row: Mapping[str, Any], event: JournalRow | None) -> Claimed:
    return Claimed(
        endpoint=endpoint,
        id=row["id"],
        claim=row["claim"],
        number=row["attempts"],
        event_type=row["event_type"],
        epoch=row["epoch"],
        seq=row["seq"],
        prev_seq=row["prev_seq"],
        happened_at=row["happened_at"],
        expired=row["expired"],
        row=event if event is not None and event.epoch == row["epoch"] else None,
    )


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the arrays of their columns."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


_T: Final = "now() + make_interval(secs => {})"
_LOCK: Final = f"""
select team_id, id, url, format, secret, array(
    select o.secret from unnest(older_secrets || previous_secret, older_until || previous_until) as o (secret, until)
    where o.until > {_T.format("$3")} order by o.until desc
) as previous_secrets
from webhook_subscriptions
where disabled_at is null and due_at <= {_T.format("$3")} and paused_until <= {_T.format("$3")}
  and (failing_since is not null) = $1
order by due_at limit $2 for update skip locked
"""  # noqa: S608 (text of our own)
# The head of an endpoint that wants its events in order is found by its place, whenever it is due: nothing may pass it.
_CLAIM: Final = f"""
with wanted as (
    select s.id, s.in_order, case when s.in_order or s.throttle > 0 then 1 else $2 end - (
        select count(*) from webhook_deliveries d
        where d.subscription_id = s.id and d.status = 'pending' and d.claim is not null
          and d.next_at > {_T.format("$5")}
    ) as room
    from webhook_subscriptions s where s.id = any($1::uuid[])
),
picked as (
    select p.id from wanted w cross join lateral (
        (select d.id from webhook_deliveries d
         where not w.in_order and d.subscription_id = w.id and d.status = 'pending' and d.next_at <= {_T.format("$5")}
         order by d.next_at, d.seq limit greatest(w.room, 0))
        union all
        (select h.id from (
            select d.id, d.next_at from webhook_deliveries d
            where w.in_order and d.subscription_id = w.id and d.status = 'pending' order by d.epoch, d.seq limit 1
         ) h where w.room > 0 and h.next_at <= {_T.format("$5")})
    ) p limit $3
)
update webhook_deliveries d set claim = gen_random_uuid(), attempts = attempts + 1,
    next_at = {_T.format("$5")} + make_interval(secs => $4)
from picked where d.id = picked.id and d.status = 'pending'
returning d.team_id, d.id, d.subscription_id, d.claim, d.attempts, d.event_type, d.epoch, d.seq, d.prev_seq,
    d.happened_at, d.happened_at <= {_T.format("$5")} - $6::interval as expired
"""  # noqa: S608
# When there may be something to claim next: nothing before a pause is over, and with no room left not before an attempt
# ends (whoever settles one says so) or its lease does.
_DUE_NEXT: Final = f"""
update webhook_subscriptions s set due_at = greatest(s.paused_until, coalesce(
    case
        when s.in_order then (
            select d.next_at from webhook_deliveries d
            where d.subscription_id = s.id and d.status = 'pending' order by d.epoch, d.seq limit 1
        )
        when (
            select count(*) from webhook_deliveries d
            where d.subscription_id = s.id and d.status = 'pending' and d.claim is not null
              and d.next_at > {_T.format("$3")}
        ) >= case when s.throttle > 0 then 1 else $2 end then (
            select min(d.next_at) from webhook_deliveries d
            where d.subscription_id = s.id and d.status = 'pending' and d.claim is not null
              and d.next_at > {_T.format("$3")}
        )
        else (select min(d.next_at) from webhook_deliveries d where d.subscription_id = s.id and d.status = 'pending')
    end, 'infinity'))
where s.id = any($1::uuid[])
"""  # noqa: S608
_BEGIN: Final = f"""
insert into webhook_attempts (team_id, delivery_id, number, at, error)
select team_id, id, number, {_T.format("$4")}, 'interrupted'
from unnest($1::uuid[], $2::uuid[], $3::integer[]) as n (team_id, id, number)
"""  # noqa: S608
_EVENTS: Final = f"""
select {EVENT_SELECT} from unnest($1::uuid[], $2::bigint[]) as n (team_id, seq)
join task_events e on e.team_id = n.team_id and e.seq = n.seq
"""  # noqa: S608
_NOW: Final = f"select {_T.format('$1::float8')}"
_HOLD: Final = """
select id, failing_since, noticed_at, throttle from webhook_subscriptions where id = any($1::uuid[])
order by id for update
"""
_STEPS: Final = """
select d.id, d.step from unnest($1::uuid[], $2::uuid[]) as n (id, claim)
join webhook_deliveries d on d.id = n.id and d.claim = n.claim and d.status = 'pending'
"""
_GIVE_BACK: Final = """
update webhook_deliveries d set claim = null, next_at = now() from unnest($1::uuid[], $2::uuid[]) as n (id, claim)
where d.id = n.id and d.claim = n.claim and d.status = 'pending'
"""
_DUE_NOW: Final = "update webhook_subscriptions set due_at = least(due_at, now()) where id = any($1::uuid[])"
_END: Final = """
update webhook_attempts a set status = n.status, error = n.error, duration_ms = n.duration_ms, response = n.response
from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::smallint[], $5::text[], $6::integer[], $7::text[])
    as n (team_id, id, number, status, error, duration_ms, response)
where a.team_id = n.team_id and a.delivery_id = n.id and a.number = n.number
"""
_MOVE: Final = """
update webhook_deliveries d set claim = null, status = n.status, step = n.step, next_at = n.next_at,
    ended_at = n.ended_at, last_status = n.last_status, last_error = n.last_error, last_duration_ms = n.duration_ms
from unnest($1::uuid[], $2::text[], $3::smallint[], $4::timestamptz[], $5::timestamptz[], $6::smallint[], $7::text[],
            $8::integer[]) as n (id, status, step, next_at, ended_at, last_status, last_error, duration_ms)
where d.id = n.id
"""
_HEALTH: Final = f"""
update webhook_subscriptions s set failing_since = n.failing_since, noticed_at = n.noticed_at, throttle = n.throttle,
    paused_until = greatest(s.paused_until, case when n.pause > 0
        then {_T.format("$6")} + make_interval(secs => n.pause) else '-infinity' end),
    due_at = greatest(least(s.due_at, {_T.format("$6")}), s.paused_until, case when n.pause > 0
        then {_T.format("$6")} + make_interval(secs => n.pause) else '-infinity' end)
from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::smallint[], $5::float8[])
    as n (id, failing_since, noticed_at, throttle, pause)
where s.id = n.id
"""  # noqa: S608
