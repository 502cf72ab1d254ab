"""Live tickets: once, for half a minute, for one team."""

import asyncio
import hashlib

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.principal import Principal
from core.quotas import Quotas
from db.people.identity import Identity
from db.people.sessions import Client, Lifetimes
from db.people.tickets import Tickets, forget_unused_tickets
from db.pool import Pools

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ada(pools: Pools) -> Principal:
    identity = Identity(pools.api, Lifetimes(idle=600, absolute=600, grace=10))
    return (await identity.sign_up("ada@example.org", "Ada", "hash", Client())).principal


@pytest.fixture
def tickets(pools: Pools) -> Tickets:
    return Tickets(pools.api, Quotas())


async def test_a_ticket_is_good_once(tickets: Tickets, ada: Principal) -> None:
    ticket = await tickets.issue(ada)
    assert await tickets.redeem(ticket) == ada
    assert await tickets.redeem(ticket) is None


async def test_a_ticket_redeemed_thirty_times_at_once_lets_one_in(tickets: Tickets, ada: Principal) -> None:
    ticket = await tickets.issue(ada)
    answers = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(30)))
    assert [answer for answer in answers if answer is not None] == [ada]


async def test_a_ticket_for_a_team_opens_that_team_only_and_is_spent_on_the_wrong_one(
    tickets: Tickets, ada: Principal
) -> None:
    team = uuids.uuid7()
    assert await tickets.redeem(await tickets.issue(ada, team), team) == ada
    for other in (uuids.uuid7(), None):
        ticket = await tickets.issue(ada, team)
        assert await tickets.redeem(ticket, other) is None
        assert await tickets.redeem(ticket, team) is None


async def test_a_ticket_without_a_team_opens_any(tickets: Tickets, ada: Principal) -> None:
    assert await tickets.redeem(await tickets.issue(ada), uuids.uuid7()) == ada


async def test_a_ticket_is_stored_under_a_name_that_is_not_the_ticket(
    tickets: Tickets, ada: Principal, superuser: "asyncpg.Connection"
) -> None:
    ticket = await tickets.issue(ada)
    (row,) = await superuser.fetch("select live_tickets::text as row, expires_at - now() as left from live_tickets")
    assert ticket not in row["row"]
    assert ticket.encode().hex() not in row["row"]
    assert 25 < row["left"].total_seconds() <= 30


async def test_an_expired_ticket_opens_nothing_and_is_forgotten(
    tickets: Tickets, ada: Principal, pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    late, fresh = await tickets.issue(ada), await tickets.issue(ada)
    await superuser.execute(
        "update live_tickets set expires_at = now() - interval '1 ms' where ticket_hash = $1",
        hashlib.sha256(late.encode()).digest(),
    )
    assert await tickets.redeem(late) is None
    assert await forget_unused_tickets(pools.worker) == 1
    assert await tickets.redeem(fresh) == ada


async def test_tickets_go_with_their_session(tickets: Tickets, ada: Principal, superuser: "asyncpg.Connection") -> None:
    ticket = await tickets.issue(ada)
    await superuser.execute("delete from sessions")
    assert await tickets.redeem(ticket) is None


@pytest.mark.parametrize("ticket", ["", "x", "é" * 20, "x" * 10_000, "a b\r\nc"])
async def test_what_is_no_ticket_opens_nothing(tickets: Tickets, ticket: str) -> None:
    assert await tickets.redeem(ticket) is None
