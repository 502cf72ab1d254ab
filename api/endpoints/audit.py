"""`GET /v1/teams/{team_id}/audit`: who changed what, for admins; a page of it, or all of it as a download."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router
from blacksheep.contents import StreamedContent
from msgspec import Struct, field

from actors.board import TeamView
from actors.orders import zone_of
from api import accept, paths
from api.access import Access
from api.answers import NO_STORE, about_team, encode, json
from api.binding import query_of
from api.calls import call_of
from api.endpoints import team_examples
from api.endpoints.team_docs import OF_TEAM
from api.listing import read_when
from api.openapi import PAGE, Operation, Parameter, Reply
from api.paging import AUDIT, PageQuery, page_of
from api.paths import pattern
from api.services import Services
from core.errors import BadInput, HistoryRewritten
from core.events import EVENT_TYPES
from core.permissions import check_right
from core.principal import ActorKind
from core.redaction import DELETED_USER
from core.rights import READ_AUDIT, in_team
from core.windows import Range, When, instants
from db.audit import AuditFilter, AuditRow, audit_newest, audit_oldest
from db.pool import Pool

__all__ = ["OPERATIONS", "register"]

JSON_LINES: Final = (b"application/x-ndjson", b"application/jsonl")


class Actor(Struct, frozen=True):
    """The user by whom, or in whose name, it was asked; called as they are now, or were when they left."""

    id: UUID
    name: str


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One change. `changed` names the fields, and never says what was in them; `via` is the API key that was used."""

    seq: int
    at: datetime
    actor: Actor
    actor_kind: ActorKind
    via: UUID | None
    type: str
    subject: UUID
    changed: tuple[str, ...]
    redacted: bool


class AuditPage(Struct, frozen=True):
    """A page of changes, newest first."""

    items: tuple[AuditEntry, ...]
    next_cursor: str | None


class AuditQuery(PageQuery, frozen=True, kw_only=True):
    """`from` is the first moment, `to` the first that is too late; each a date, which begins in the team's zone, or an
    instant.
    """

    actor: UUID | None = None
    type: str | None = None
    since: str | None = field(default=None, name="from")
    until: str | None = field(default=None, name="to")


_TIME: Final = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_AUDIT,
        id="readAudit",
        summary="Who changed what",
        tag="Teams",
        description=(
            "The team's events without what was written: by whom and through what, about what, and which fields "
            "changed, newest first. With `Accept: application/x-ndjson` (or `application/jsonl`) it is a download of "
            "everything that the filters let through, oldest first, one object a line; `limit` and `cursor` are for "
            "pages."
        ),
        parameters=(
            *PAGE,
            Parameter(
                name="actor", schema={"type": "string", "format": "uuid"}, description="Only what this user did."
            ),
            Parameter(
                name="type",
                schema={"type": "string", "enum": sorted(EVENT_TYPES)},
                description="Only events of this type.",
                example="task.deleted",
            ),
            Parameter(
                name="from",
                schema=_TIME,
                description="Only what happened on this date of the team's time zone, at this instant, or later.",
                example="2026-01-01",
            ),
            Parameter(
                name="to",
                schema=_TIME,
                description="Only what happened before this date of the team's time zone, or before this instant.",
                example="2026-02-01",
            ),
        ),
        replies={
            200: Reply(
                description="A page, or the download.",
                body=AuditPage,
                headers=OF_TEAM,
                example=team_examples.page(team_examples.AUDIT),
                also={media_type.decode(): '{"seq":117,"type":"task.updated",…}\n' for media_type in JSON_LINES},
            )
        },
        problems=("not-found", "forbidden", "bad-input", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ_AUDIT),
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_get(pattern(paths.TEAM_AUDIT), _Audit(services).read)


class _Audit:
    def __init__(self, services: Services) -> None:
        self._access, self._pool = Access(services), services.pools.api

    async def read(self, request: Request) -> Response:
        """A page, or the stream of all. Raises BadInput, Forbidden, HistoryRewritten."""
        call = call_of(request)
        principal, team_id = call.principal(), call.values["team_id"]
        query = query_of(request, AuditQuery)
        when = _period(query)
        view = await self._access.team(call, team_id)
        check_right(view.role_of(principal.user_id), principal, READ_AUDIT)
        wanted = _filter(query, instants(*when, zone_of(view.state)))
        names = _names(view)
        if any(accept.names(call.headers.get(b"accept", b""), kind) for kind in JSON_LINES):
            lines = _Lines(self._pool, principal.user_id, team_id, wanted, view.seq, names)
            name = b'attachment; filename="audit-%s.jsonl"' % call.team
            headers = about_team(call.team, view.seq, view.epoch, (NO_STORE, (b"content-disposition", name)))
            return Response(200, list(headers), StreamedContent(JSON_LINES[0], lines.parts))
        epoch, before = (view.epoch, None) if query.cursor is None else AUDIT.read(query.cursor)
        if epoch < view.epoch:
            raise HistoryRewritten(view.epoch, view.seq)
        rows = await audit_newest(self._pool, principal.user_id, team_id, wanted, before=before, limit=query.limit + 1)
        shown, last = page_of(rows, query.limit)
        items = tuple(_entry(row, names) for row in shown)
        page = AuditPage(items, None if last is None else AUDIT.write((view.epoch, last.seq)))
        return json(200, page, about_team(call.team, call.seq, call.epoch, (NO_STORE,)))


class _Lines:
    """The download: a line for each change, read from the journal as it is taken."""

    def __init__(
        self, pool: Pool, user_id: UUID, team_id: UUID, wanted: AuditFilter, through: int, names: Mapping[UUID, str]
    ) -> None:
        self._rows = audit_oldest(pool, user_id, team_id, wanted, through=through)
        self._names = names

    async def parts(self) -> AsyncIterator[bytes]:
        """The chunks of the body."""
        async for rows in self._rows:
            yield b"".join([encode(_entry(row, self._names)) + b"\n" for row in rows])


def _period(query: AuditQuery) -> tuple[When | None, When | None]:
    if query.type is not None and query.type not in EVENT_TYPES:
        raise BadInput("There is no such type of event.", parameter="type")
    return read_when(query.since, "from"), read_when(query.until, "to")


def _filter(query: AuditQuery, period: Range[datetime] | None) -> AuditFilter:
    period = period or Range()
    return AuditFilter(actor_id=query.actor, type=query.type, since=period.since, until=period.until)


def _names(view: TeamView) -> Mapping[UUID, str]:
    return {user_id: member.name for user_id, member in view.state.members.items()}


def _entry(row: AuditRow, names: Mapping[UUID, str]) -> AuditEntry:
    return AuditEntry(
        seq=row.seq,
        at=row.at,
        actor=Actor(row.actor_id, names.get(row.actor_id) or row.former_name or DELETED_USER),
        actor_kind=row.actor_kind,
        via=row.via,
        type=row.type,
        subject=row.subject,
        changed=tuple(row.changed),
        redacted=row.redacted,
    )
