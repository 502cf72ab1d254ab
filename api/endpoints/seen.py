"""What a member has looked at. It is kept beside the team's history: no event, no number, nobody else's business."""

from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from api import paths
from api.access import Access
from api.answers import Answer, about_team, encode, replay
from api.asks import ask_of
from api.binding import body_of, decoder_for, no_query, path_value
from api.calls import call_of
from api.endpoints.task_docs import OF_TEAM
from api.openapi import MIN_SEQ, POSITION_SCHEMA, Operation, Reply
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.problems import problem_answer
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import BadInput
from core.permissions import check_right
from core.rights import MARK_SEEN, in_team
from core.seq import MAX_SEQ, Position, read_position
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.team_seen import LOOKED_AT, mark_seen, seen_of
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]

Place = (
    Annotated[int, Meta(ge=0, le=MAX_SEQ, description="Of the team's current epoch.")]
    | Annotated[str, Meta(pattern=POSITION_SCHEMA["pattern"], description="With the epoch: `<epoch>:<seq>`.")]
)


class SeenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far you have looked."""

    seq: Place


class SeenAnswer(Struct, frozen=True):
    """What is noted now: a place before the one that was noted already has changed nothing."""

    seen_seq: int
    unread: int


OPERATIONS: Final = (
    Operation(
        method="PUT",
        path=paths.TEAM_SEEN,
        id="markSeen",
        summary="Note how far I have looked at a team",
        tag="Teams",
        description=(
            "It is never an event, nobody else sees it, and it never goes back. `seen_seq` and `unread` of a team say "
            f"what is noted and how many tasks others have changed since, each once, in the team's newest {LOOKED_AT} "
            "events; `changed_since_seq` lists those that are left."
        ),
        parameters=(MIN_SEQ,),
        body=SeenRequest,
        body_example={"seq": 2},
        replies={
            200: Reply(
                description="What is noted.", body=SeenAnswer, headers=OF_TEAM, example={"seen_seq": 2, "unread": 0}
            )
        },
        problems=("not-found", "forbidden", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=in_team(MARK_SEEN),
    ),
)


class _Seen:
    def __init__(self, services: Services) -> None:
        self._access, self._pool = Access(services), services.pools.api
        self._decoder = decoder_for(SeenRequest)

    async def mark(self, request: Request) -> Response:
        """PUT /v1/teams/{team_id}/seen."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        view, principal = await self._access.team(call, team_id), call.principal()
        check_right(view.role_of(principal.user_id), principal, MARK_SEEN)
        place = place_of(await body_of(request, self._decoder))
        view = await self._access.team(call, team_id, at=place)
        headers = about_team(call.team, call.seq, call.epoch)

        async def run(tx: Writing) -> StoredReply:
            await mark_seen(tx, principal.user_id, team_id, epoch=view.epoch, seq=place.seq)
            return Answer(200, encode(await _noted(tx, principal.user_id, team_id)), headers).stored(0)

        ran = await replay_or_run(
            self._pool, await ask_of(call), run, render=lambda error: problem_answer(error).stored(0)
        )
        return replay(ran.reply, replayed=ran.replayed).response()


async def _noted(tx: Writing, user_id: UUID, team_id: UUID) -> SeenAnswer:
    seen = (await seen_of(tx, user_id, [team_id]))[team_id]
    return SeenAnswer(seen.seq, seen.unread)


def place_of(wanted: SeenRequest) -> Position:
    """The place that is asked for. Raises BadInput for one beyond what can be numbered."""
    if isinstance(wanted.seq, int):
        return Position(wanted.seq)
    try:
        return read_position(wanted.seq, "seq")
    except BadInput as error:
        raise BadInput(error.detail, pointer="/seq") from error


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_put(pattern(paths.TEAM_SEEN), UsedKeys(services).around(_Seen(services).mark))
