"""`GET …/recurrence` over HTTP: the dates that a rule's next tasks would have."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from tests.support.desk import Desk, problem

pytestmark = pytest.mark.anyio


async def dates(desk: Desk, **query: str) -> list[str]:
    answer = await desk.get(f"/v1/teams/{desk.team}/recurrence?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json()["dates"]
    return found


async def test_the_dates_after_the_first_are_named_and_end_with_the_series(desk: Desk) -> None:
    days = ["2040-03-12", "2040-03-19", "2040-03-26", "2040-04-02", "2040-04-09"]
    assert await dates(desk, rule="freq=weekly;byday=mo", start="2040-03-05") == days
    assert await dates(desk, rule="FREQ=WEEKLY;COUNT=3", start="2040-03-05") == days[:2]
    assert await dates(desk, rule="FREQ=WEEKLY;COUNT=3", start="2040-03-05", on="2040-03-12", number="2") == days[1:2]
    assert await dates(desk, rule="FREQ=MONTHLY;BYDAY=-1FR", start="2040-03-05", on="2040-03-30") == [
        "2040-04-27",
        "2040-05-25",
        "2040-06-29",
        "2040-07-27",
        "2040-08-31",
    ]


async def test_dates_that_are_over_where_the_team_lives_have_no_task(desk: Desk) -> None:
    today = datetime.now(UTC).date()
    found = await dates(desk, rule="FREQ=DAILY", start=str(today - timedelta(days=9)))
    assert found[0] in {str(today), str(today + timedelta(days=1))}  # Midnight may come between the two.
    past = await dates(desk, rule="FREQ=DAILY", start=str(today - timedelta(days=9)), time="00:00:00")
    assert past[0] > str(today)


async def test_the_answer_is_what_the_task_becomes(desk: Desk) -> None:
    """The date that is foretold is the one that the team gives to the next task."""
    body = {"team_id": desk.team, "title": "t", "due_on": "2040-03-05", "recurrence": {"rule": "FREQ=MONTHLY"}}
    series = (await desk.post("/v1/tasks", body)).json()["recurrence"]
    query = {name: str(series[name]) for name in ("rule", "start", "on", "number")}
    assert (await dates(desk, **query))[0] == "2040-04-05"


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ("rule=FREQ=SECONDLY&start=2040-01-01", "rule", "FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY."),
        ("rule=daily&start=2040-01-01", "rule", "A rule is NAME=VALUE pairs"),
        ("rule=FREQ=DAILY", None, "start"),
        ("rule=FREQ=DAILY&start=tomorrow", "start", ""),
        ("rule=FREQ=DAILY&start=2040-01-01&on=2039-12-31", "on", "in their order"),
        ("rule=FREQ=DAILY&start=9998-01-01", "on", "as those of tasks"),
        ("rule=FREQ=DAILY&start=2040-01-01&number=0", "number", ""),
    ],
)
async def test_what_is_no_series_is_refused(desk: Desk, query: str, parameter: str | None, words: str) -> None:
    found = problem(await desk.get(f"/v1/teams/{desk.team}/recurrence?{query}"), 400, "bad-input")
    assert words in found["detail"]
    if parameter is not None:
        assert found["parameter"] == parameter


async def test_a_new_rule_for_a_task_whose_series_has_passed_on_is_a_conflict_that_names_the_bearer(
    desk: Desk,
) -> None:
    """Archiving a finished task is what passes a series on at once; nothing here waits for a scheduler."""
    body = {"team_id": desk.team, "title": "t", "due_on": "2040-03-05", "recurrence": {"rule": "FREQ=DAILY"}}
    task = (await desk.post("/v1/tasks", body)).json()
    path = f"/v1/tasks/{task['id']}"
    assert (await desk.patch(path, {"status": "done"})).status_code == 200
    assert (await desk.delete(path)).status_code in {200, 204}
    restored = (await desk.post(f"{path}/restore", {})).json()
    bearer = restored["recurrence"]["next_id"]
    found = problem(await desk.patch(path, {"recurrence": {"rule": "FREQ=WEEKLY"}}), 409, "conflict")
    assert (found["reason"], found["task_id"]) == ("series-passed-on", bearer)
    key = (await desk.get(f"/v1/tasks/{bearer}")).json()["key"]
    assert key in found["detail"]


async def test_what_a_series_does_is_not_offered_to_be_undone(desk: Desk) -> None:
    body = {"team_id": desk.team, "title": "t", "due_on": "2040-03-05", "recurrence": {"rule": "FREQ=DAILY"}}
    path = f"/v1/tasks/{(await desk.post('/v1/tasks', body)).json()['id']}"
    await desk.patch(path, {"status": "done"})
    await desk.delete(path)
    items = (await desk.get(f"{path}/activity")).json()["items"]
    assert [(one["type"], one["undoable"]) for one in items] == [
        ("task.archived", True),
        ("task.updated", False),
        ("task.updated", True),
        ("task.created", True),
    ]
    following = items[1]["changes"][0]["to"]["next_id"]
    (made,) = (await desk.get(f"/v1/tasks/{following}/activity")).json()["items"]
    assert (made["type"], made["undoable"]) == ("task.created", False)
    refused = problem(await desk.post(f"/v1/tasks/{following}/undo", {"seq": made["seq"]}), 409, "conflict")
    assert refused["reason"] == "undo-conflict"
