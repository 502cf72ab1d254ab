"""`GET /v1/teams/{team_id}/overdue` and `…/stats`: what is late, and how a team is doing."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct, field

from actors.board import TeamView
from actors.orders import zone_of
from api import paths
from api.access import Access
from api.answers import NO_STORE, about_team, json
from api.binding import query_of
from api.calls import Call, call_of
from api.endpoints import insight_docs as shapes
from api.endpoints.insight_docs import MOST_TASKS, MOST_WEEKS, OPERATIONS
from api.listing import read_when
from api.paging import OVERDUE, PageQuery, page_of
from api.paths import pattern
from api.services import Services
from core.calendar import ONE_DAY, TICK, day_of, day_start
from core.errors import BadInput
from core.task import STATUSES
from core.windows import When, instants
from db.insights.cycle_time import CycleTime
from db.insights.overdue import Late, read_overdue
from db.insights.stats import Stats, read_stats

__all__ = ["OPERATIONS", "register"]

ONE_WEEK: Final = timedelta(weeks=1)
USUAL_WEEKS: Final = 12


class OverdueQuery(PageQuery, frozen=True, kw_only=True):
    """`tasks` is how many tasks of each assignee are shown."""

    tasks: Annotated[int, Meta(ge=0, le=MOST_TASKS)] = 5


class StatsQuery(Struct, frozen=True, kw_only=True):
    """Each a date or an instant."""

    since: str | None = field(default=None, name="from")
    until: str | None = field(default=None, name="to")


class _Weeks(Struct, frozen=True):
    """A range of time, and the Mondays of its weeks with the moments at which they begin."""

    since: datetime
    until: datetime
    mondays: list[date]
    begins: list[datetime]


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    insights = _Insights(services)
    router.add_get(pattern(paths.TEAM_OVERDUE), insights.overdue)
    router.add_get(pattern(paths.TEAM_STATS), insights.stats)


class _Insights:
    def __init__(self, services: Services) -> None:
        self._access, self._pool, self._clock = Access(services), services.pools.api, services.clock

    async def overdue(self, request: Request) -> Response:
        """What is overdue, by assignee. Raises BadInput."""
        call = call_of(request)
        user_id, team_id = call.principal().user_id, call.values["team_id"]
        query = query_of(request, OverdueQuery)
        after = None if query.cursor is None else OVERDUE.read(query.cursor)
        await self._access.team(call, team_id)
        now, most = self._clock.now(), query.limit + 1
        report = await read_overdue(self._pool, user_id, team_id, now, after=after, limit=most, tasks=query.tasks)
        shown, last = page_of(report.late, query.limit)
        page = shapes.OverduePage(
            now,
            report.total,
            shapes.Overdue(**_late(report.unassigned)),
            tuple(_overdue_of(one) for one in shown),
            None if last is None or last.assignee_id is None else OVERDUE.write(last.assignee_id),
        )
        return _answer(call, page)

    async def stats(self, request: Request) -> Response:
        """How the team is doing. Raises BadInput."""
        call = call_of(request)
        user_id, team_id = call.principal().user_id, call.values["team_id"]
        query = query_of(request, StatsQuery)
        since, until = read_when(query.since, "from"), read_when(query.until, "to")
        view = await self._access.team(call, team_id)
        weeks = _weeks(view, since, until, self._clock.now())
        stats = await read_stats(self._pool, user_id, team_id, weeks.since, weeks.until, weeks.begins)
        return _answer(call, _stats_answer(view, weeks, stats))


def _answer(call: Call, body: Any) -> Response:
    """What is true for a moment."""
    return json(200, body, about_team(call.team, call.seq, call.epoch, (NO_STORE,)))


def _late(late: Late) -> dict[str, Any]:
    names = shapes.OverdueTask.__struct_fields__
    tasks = tuple(shapes.OverdueTask(**{name: getattr(task, name) for name in names}) for task in late.tasks)
    return {"count": late.count, "tasks": tasks}


def _overdue_of(late: Late) -> shapes.OverdueOf:
    assert late.assignee_id is not None, "those of nobody are apart"
    return shapes.OverdueOf(**_late(late), assignee_id=late.assignee_id)


def _weeks(view: TeamView, since: When | None, until: When | None, now: datetime) -> _Weeks:
    """The range, and its weeks in the team's calendar. Raises BadInput."""
    zone = zone_of(view.state)
    until = until or day_of(now, zone) + ONE_DAY
    end = instants(None, until, zone)
    assert end is not None
    assert end.until is not None
    last = _monday(day_of(end.until - TICK, zone))
    found = instants(since or last - ONE_WEEK * (USUAL_WEEKS - 1), until, zone)
    assert found is not None
    assert found.since is not None
    if found.since >= end.until:
        raise BadInput("The time to which is asked must be after the time from which.", parameter="to")
    first = _monday(day_of(found.since, zone))
    if last - first >= ONE_WEEK * MOST_WEEKS:
        raise BadInput(f"Ask for at most {MOST_WEEKS} weeks at once.", parameter="from")
    mondays = [first + ONE_WEEK * number for number in range((last - first) // ONE_WEEK + 1)]
    return _Weeks(found.since, end.until, mondays, [day_start(monday, zone) for monday in mondays])


def _monday(day: date) -> date:
    return day - ONE_DAY * day.weekday()


def _stats_answer(view: TeamView, weeks: _Weeks, stats: Stats) -> shapes.StatsAnswer:
    state, board = view.state, stats.workload
    assert state.team is not None, "a member's team exists"
    return shapes.StatsAnswer(
        since=weeks.since,
        until=weeks.until,
        time_zone=state.team.time_zone,
        throughput=tuple(
            shapes.WeekStats(monday, week.created, week.completed)
            for monday, week in zip(weeks.mondays, stats.weeks, strict=True)
        ),
        cycle_time=shapes.CycleTime(*_numbers(stats.everybody)),
        by_status=tuple(shapes.StatusStats(status, board.by_status.get(status, 0)) for status in STATUSES),
        by_column=tuple(shapes.ColumnStats(one, board.by_column.get(one, 0)) for one in state.columns),
        by_assignee=_assignees(stats),
    )


def _assignees(stats: Stats) -> tuple[shapes.AssigneeStats, ...]:
    """Everybody who has a task on the board or did one in that time, by id; nobody comes last."""
    found = stats.by_assignee.keys() | stats.workload.by_assignee.keys()
    nothing = CycleTime(0, None, None)
    return tuple(
        shapes.AssigneeStats(
            *_numbers(stats.by_assignee.get(one, nothing)), one, stats.workload.by_assignee.get(one, 0)
        )
        for one in sorted(found, key=_order)
    )


def _order(assignee: UUID | None) -> tuple[bool, int]:
    return (assignee is None, 0 if assignee is None else assignee.int)


def _numbers(time: CycleTime) -> tuple[int, float | None, float | None]:
    return time.completed, time.median, time.p90
