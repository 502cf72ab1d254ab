"""Live tickets: once, for half a minute, for one team."""

import asyncio

import pytest
import uuid_utils.compat as uuids
from valkey.asyncio import Valkey

from core.errors import Unavailable
from core.principal import Principal
from db.people.tickets import TICKET_SECONDS, Tickets
from db.valkey import open_valkey

pytestmark = pytest.mark.anyio

ADA = Principal.of_user(uuids.uuid7(), uuids.uuid7())


async def test_a_ticket_is_good_once(valkey_client: Valkey) -> None:
    tickets = Tickets(valkey_client)
    ticket = await tickets.issue(ADA)
    assert await tickets.redeem(ticket) == ADA
    assert await tickets.redeem(ticket) is None


async def test_a_ticket_redeemed_thirty_times_at_once_lets_one_in(valkey_client: Valkey) -> None:
    tickets = Tickets(valkey_client)
    ticket = await tickets.issue(ADA)
    answers = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(30)))
    assert [answer for answer in answers if answer is not None] == [ADA]


async def test_a_ticket_for_a_team_opens_that_team_only_and_is_spent_on_the_wrong_one(valkey_client: Valkey) -> None:
    tickets, team = Tickets(valkey_client), uuids.uuid7()
    assert await tickets.redeem(await tickets.issue(ADA, team), team) == ADA
    for other in (uuids.uuid7(), None):
        ticket = await tickets.issue(ADA, team)
        assert await tickets.redeem(ticket, other) is None
        assert await tickets.redeem(ticket, team) is None


async def test_a_ticket_without_a_team_opens_any(valkey_client: Valkey) -> None:
    tickets = Tickets(valkey_client)
    assert await tickets.redeem(await tickets.issue(ADA), uuids.uuid7()) == ADA


async def test_a_ticket_lives_thirty_seconds_under_a_name_that_is_not_the_ticket(valkey_client: Valkey) -> None:
    ticket = await Tickets(valkey_client).issue(ADA)
    (key,) = await valkey_client.keys("*")
    assert 0 < await valkey_client.pttl(key) <= TICKET_SECONDS * 1000
    assert ticket.encode() not in key
    assert ticket.encode() not in await valkey_client.get(key)


@pytest.mark.parametrize("ticket", ["", "x", "é" * 20, "x" * 10_000, "a b\r\nc"])
async def test_what_is_no_ticket_opens_nothing(valkey_client: Valkey, ticket: str) -> None:
    assert await Tickets(valkey_client).redeem(ticket) is None


async def test_a_damaged_grant_opens_nothing(valkey_client: Valkey) -> None:
    tickets = Tickets(valkey_client)
    ticket = await tickets.issue(ADA)
    (key,) = await valkey_client.keys("*")
    await valkey_client.set(key, b"\xc1 not msgpack")
    assert await tickets.redeem(ticket) is None


async def test_without_valkey_tickets_are_unavailable() -> None:
    async with open_valkey("valkey://127.0.0.1:1/0") as nobody:
        with pytest.raises(Unavailable):
            await Tickets(nobody).issue(ADA)
        with pytest.raises(Unavailable):
            await Tickets(nobody).redeem("ticket")
