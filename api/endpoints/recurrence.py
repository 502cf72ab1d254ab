"""`GET /v1/teams/{team_id}/recurrence`: which dates a rule has, for whoever chooses one."""

from datetime import date, time
from typing import Annotated, Final

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from actors.orders import zone_of
from api import paths
from api.access import Access
from api.answers import NO_STORE, about_team, json
from api.binding import query_of
from api.calls import call_of
from api.endpoints.team_docs import OF_TEAM
from api.openapi import MIN_SEQ, Operation, Parameter, Reply
from api.paths import pattern
from api.services import Services
from core.errors import BadInput
from core.recurrence import Recurrence, upcoming
from core.rights import READ, in_team
from core.rules import LONGEST_RULE, clean_rule
from core.task import FIRST_YEAR, LAST_YEAR

__all__ = ["OPERATIONS", "register"]

TimeOfDay = time
MOST_DATES: Final = 5
MOST_NUMBER: Final = 10_000_000


class RecurrenceQuery(Struct, frozen=True, kw_only=True):
    """A place in a series, as a task's `recurrence` has it. `on` is the first date unless it is said."""

    rule: Annotated[str, Meta(min_length=1, max_length=LONGEST_RULE)]
    start: date
    on: date | None = None
    number: Annotated[int, Meta(ge=1, le=MOST_NUMBER)] = 1
    time: TimeOfDay | None = None


class RecurrenceDates(Struct, frozen=True):
    """The rule as it would be kept, and the dates of the next tasks; none where the series ends."""

    rule: str
    dates: list[date]


def _parameter(
    name: str, schema: dict[str, object], description: str, example: str | int, *, needed: bool
) -> Parameter:
    return Parameter(name=name, schema=schema, description=description, example=example, required=needed)


_DATE: Final[dict[str, object]] = {"type": "string", "format": "date"}
OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_RECURRENCE,
        id="readRecurrence",
        summary="The next dates of a rule",
        tag="Tasks",
        description=(
            "On which dates the next tasks of a series would be due, as of now, for whoever chooses a rule or wants to "
            "know when a task comes again. The parameters are those of a task's `recurrence`. Dates that are over have "
            "no task."
        ),
        parameters=(
            _parameter(
                "rule",
                {"type": "string", "minLength": 1, "maxLength": LONGEST_RULE},
                "The rule.",
                "FREQ=WEEKLY;BYDAY=MO",
                needed=True,
            ),
            _parameter("start", _DATE, "The first date of the series.", "2026-03-02", needed=True),
            _parameter("on", _DATE, "The date of the task at hand; else the first one.", "2026-03-09", needed=False),
            _parameter(
                "number",
                {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER, "default": 1},
                "Which of the series it is.",
                2,
                needed=False,
            ),
            _parameter(
                "time",
                {"type": "string"},
                "The time of day of tasks that are due at an instant.",
                "09:00:00",
                needed=False,
            ),
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="At most five dates.",
                body=RecurrenceDates,
                headers=OF_TEAM,
                example={"rule": "FREQ=WEEKLY;BYDAY=MO", "dates": ["2026-03-16", "2026-03-23"]},
            )
        },
        problems=("not-found", "bad-input", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    access, clock = Access(services), services.clock

    async def dates(request: Request) -> Response:
        """Raises BadInput for a rule that is none, with the words that a task's own rule is refused with."""
        call = call_of(request)
        query = query_of(request, RecurrenceQuery)
        series = _series(query)
        view = await access.team(call, call.values["team_id"])
        found = upcoming(series, zone_of(view.state), clock.now(), MOST_DATES)
        headers = about_team(call.team, call.seq, call.epoch, (NO_STORE,))
        return json(200, RecurrenceDates(series.rule, found), headers)

    router.add_get(pattern(paths.TEAM_RECURRENCE), dates)


def _series(query: RecurrenceQuery) -> Recurrence:
    try:
        rule = clean_rule(query.rule)
    except ValueError as error:
        words = str(error)
        raise BadInput(f"{words[0].upper()}{words[1:]}.", parameter="rule") from error
    on = query.on or query.start
    if not FIRST_YEAR <= query.start.year <= on.year <= LAST_YEAR:
        raise BadInput("The dates of a series are in their order, and as those of tasks.", parameter="on")
    clock = None if query.time is None else query.time.replace(tzinfo=None)
    return Recurrence(rule=rule, start=query.start, on=on, number=query.number, time=clock)
