"""`/v1/teams/{team_id}/reports`: PDFs of a team, asked for, listed and found."""

from datetime import datetime, tzinfo
from typing import Final

from blacksheep import Request, Response, Router
from msgspec import Struct

from actors.board import TeamView
from actors.orders import zone_of
from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, about_team, encode, json
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.operations import answer_of
from api.endpoints.report_docs import MOST_DAYS, OPERATIONS, NewReport, ReportAnswer, ReportPage
from api.listing import read_when
from api.once import once
from api.paging import REPORTS, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.turns import Turns
from api.used_keys import UsedKeys
from core.calendar import ONE_DAY, TICK, day_of, day_start
from core.errors import BadInput, NotFound, Unavailable
from core.permissions import check_right
from core.rights import MAKE_REPORTS
from core.task import FIRST_YEAR
from core.windows import When
from db.reports import Report, check_none_waits, find_report, list_of
from db.transaction import Writing, reading
from streams.operations.report import REPORT

__all__ = ["OPERATIONS", "register"]

USUAL_DAYS: Final = 28


class _Period(Struct, frozen=True):
    """From a moment to before another."""

    since: datetime
    until: datetime


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    reports, keyed = _Reports(services), UsedKeys(services).around
    router.add_post(pattern(paths.TEAM_REPORTS), keyed(reports.make))
    router.add_get(pattern(paths.TEAM_REPORTS), reports.list)
    router.add_get(pattern(paths.TEAM_REPORT), reports.get)


class _Reports:
    def __init__(self, services: Services) -> None:
        self._access, self._pool, self._clock = Access(services), services.pools.api, services.clock
        self._store, self._links = services.objects, services.object_links
        self._decoder, self._turns = decoder_for(NewReport), Turns()

    async def make(self, request: Request) -> Response:
        """POST …/reports. Raises BadInput, Conflict while enough are made, Unavailable where none could be kept."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        view, principal = await self._access.team(call, team_id), call.principal()
        check_right(view.role_of(principal.user_id), principal, MAKE_REPORTS)
        wanted = await body_of(request, self._decoder)
        period = _period_of(wanted, view, self._clock.now())
        if self._store is None:
            raise Unavailable("No object store is set, in which a report could be kept.", retry_after=600)
        data = {"report": wanted.kind, "since": period.since, "until": period.until}
        headers = about_team(call.team, call.seq, call.epoch, (NO_STORE,))

        async def run(tx: Writing) -> Answer:
            await check_none_waits(tx, principal.user_id, REPORT.kind)
            started = await REPORT.start(
                tx, principal.user_id, team_id=team_id, data=data, traceparent=call.traceparent
            )
            location = (b"location", link(paths.OPERATION, started.id))
            return Answer(202, encode(answer_of(started, None)), (location, *headers))

        return await once(self._pool, call, run, refusals=True, turn=self._turns.of(str(principal.user_id)))

    async def list(self, request: Request) -> Response:
        """GET …/reports."""
        call, team_id = call_of(request), path_value(request, "team_id")
        user_id, query = call.principal().user_id, query_of(request, PageQuery)
        before = None if query.cursor is None else REPORTS.read(query.cursor)
        await self._access.team(call, team_id)
        found = await list_of(self._pool, user_id, team_id, before=before, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        page = ReportPage([self._shown(call, one) for one in shown], None if last is None else REPORTS.write(last.id))
        return json(200, page, about_team(call.team, call.seq, call.epoch, (NO_STORE,)))

    async def get(self, request: Request) -> Response:
        """GET …/reports/{report_id}. Raises NotFound for one that is not the team's, or not kept any more."""
        call, team_id, report_id = call_of(request), path_value(request, "team_id"), path_value(request, "report_id")
        no_query(call)
        user_id = call.principal().user_id
        await self._access.team(call, team_id)
        async with reading(self._pool, user_id) as tx:
            found = await find_report(tx, user_id, team_id, report_id)
        if found is None:
            raise NotFound("report")
        return json(200, self._shown(call, found), about_team(call.team, call.seq, call.epoch, (NO_STORE,)))

    def _shown(self, call: Call, report: Report) -> ReportAnswer:
        now = self._clock.now().timestamp()
        return ReportAnswer(
            id=report.id,
            team_id=report.team_id,
            kind=report.kind,
            since=report.begins,
            until=report.until,
            pages=report.pages,
            bytes=report.size,
            digest=report.sha256.hex(),
            seq=report.seq,
            created_by=report.created_by,
            created_at=report.created_at,
            expires_at=report.expires_at,
            download_url=self._links.make("GET", report.id, call.principal().user_id, now),
        )


def _period_of(wanted: NewReport, view: TeamView, now: datetime) -> _Period:
    """The period in moments: the usual one is the last four weeks, and of what is overdue, all time before.

    Raises BadInput.
    """
    zone = zone_of(view.state)
    until = _end(_read(wanted.until, "to") or day_of(now, zone), zone)
    since = _begin(_read(wanted.since, "from"), zone)
    if since is None and wanted.kind == "overdue":
        return _Period(min(datetime(FIRST_YEAR, 1, 1, tzinfo=until.tzinfo), until - TICK), until)
    if since is None:
        since = day_start(day_of(until - TICK, zone) - ONE_DAY * (USUAL_DAYS - 1), zone)
    if since >= until:
        raise BadInput("The end of the period must be after its beginning.", pointer="/to")
    if until - since > ONE_DAY * (MOST_DAYS + 1):  # A day may have 25 hours.
        raise BadInput(f"A report is of at most {MOST_DAYS} days.", pointer="/from")
    return _Period(since, until)


def _read(text: str | None, name: str) -> When | None:
    try:
        return read_when(text, name)
    except BadInput as error:
        raise BadInput(error.detail, pointer=f"/{name}") from error


def _begin(when: When | None, zone: tzinfo) -> datetime | None:
    return when if when is None or isinstance(when, datetime) else day_start(when, zone)


def _end(when: When, zone: tzinfo) -> datetime:
    return when if isinstance(when, datetime) else day_start(when + ONE_DAY, zone)
