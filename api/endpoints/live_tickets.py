"""`POST /v1/live-tickets`: what lets a browser, which cannot send an Authorization header, open a WebSocket."""

from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Struct

from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, encode, replay
from api.asks import ask_of
from api.auth.bearer import session_of
from api.binding import body_of, decoder_for
from api.calls import call_of
from api.endpoints.account_examples import TICKET
from api.endpoints.task_docs import TEAM_ID
from api.openapi import Operation, Reply
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.used_keys import UsedKeys
from core.rights import READ, in_team
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.people.tickets import TICKET_SECONDS
from db.transaction import Writing
from streams.feeds.open_feeds import network_of

__all__ = ["OPERATIONS", "register"]


class TicketInput(Struct, frozen=True, forbid_unknown_fields=True):
    """Which team's feed the ticket is for."""

    team_id: UUID


class Ticket(Struct, frozen=True):
    """Goes into the WebSocket's address as `?ticket=`; single use, `expires_in` seconds."""

    ticket: str
    expires_in: int


OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.LIVE_TICKETS,
        id="createLiveTicket",
        summary="Get a ticket for one live connection",
        tag="Live feeds",
        description="For browsers, which cannot send an Authorization header when they open a WebSocket.",
        body=TicketInput,
        body_example={"team_id": TEAM_ID},
        replies={201: Reply(description="A single-use ticket.", body=Ticket, example=TICKET)},
        problems=("not-found", "too-many-at-once"),
        keyed=True,
        requires=in_team(READ, keys=False),
    ),
)

_read_ticket_input = decoder_for(TicketInput)


def register(router: Router, services: Services) -> None:
    """Register the endpoint."""
    access = Access(services)

    async def live_ticket(request: Request) -> Response:
        call = call_of(request)
        call.principal()
        refuse_if_match(call)
        wanted = await body_of(request, _read_ticket_input)
        await access.team(call, wanted.team_id)
        session_of(call.principal())

        async def run(tx: Writing) -> StoredReply:
            network = network_of(call.client)
            ticket = await services.tickets.issue_in(tx, call.principal(), wanted.team_id, network)
            return Answer(201, encode(Ticket(ticket, TICKET_SECONDS)), (NO_STORE,)).stored(0)

        ran = await replay_or_run(services.pools.api, await ask_of(call), run, sealed=services.sealed)
        return replay(ran.reply, replayed=ran.replayed).response()

    router.add_post(pattern(paths.LIVE_TICKETS), UsedKeys(services).around(live_ticket))
