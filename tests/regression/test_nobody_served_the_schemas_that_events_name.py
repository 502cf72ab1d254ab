"""Every event named a `dataschema`, and nobody answered there."""

import json
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from jsonschema_rs import Draft202012Validator

from core.ask import Ask
from core.columns import default_column_id
from core.commands import RedactHistory
from core.events import EVENT_TYPES
from core.principal import Principal
from streams.cloud_events import cloud_event
from tests.support.core_team import every_event
from tests.support.desk import Desk, problem
from tests.support.files import attached

pytestmark = pytest.mark.anyio


async def one_of_each(desk: Desk) -> list[dict[str, Any]]:
    """The CloudEvents of a team to which everything has happened once."""
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    member = f"/v1/teams/{team}/members/{desk['member'].user_id}"
    labels = f"/v1/teams/{team}/labels"
    label = (await desk.post(labels, {"name": "bug", "color": "#d73a4a"})).json()["id"]
    columns = f"/v1/teams/{team}/columns"
    column = (await desk.post(columns, {"name": "Waiting", "category": "open"})).json()["id"]
    fields = {"description": "é", "due_at": "2026-01-01T00:00:00Z", "estimate": 0.5, "label_ids": [label]}
    first, second = [
        (await desk.post("/v1/tasks", {"team_id": team, "title": title, **fields})).json()["id"] for title in ("a", "b")
    ]
    comment = (await desk.post(f"/v1/tasks/{first}/comments", {"body": "so"})).json()["id"]
    file = (await attached(desk, first))["id"]
    answers = [
        await desk.patch(f"/v1/comments/{comment}", {"body": "or so"}),
        await desk.delete(f"/v1/comments/{comment}"),
        await desk.delete(f"/v1/attachments/{file}"),
        await desk.patch(f"/v1/tasks/{first}", {"title": "c", "priority": "high", "assignee_id": None}),
        await desk.post(f"/v1/tasks/{first}/move", {"status": "done"}),
        await desk.delete(f"/v1/tasks/{first}"),
        await desk.post(f"/v1/tasks/{first}/restore"),
        await desk.delete(f"/v1/tasks/{second}?permanent=true"),
        await desk.patch(f"/v1/teams/{team}", {"wip": "off"}),
        await desk.patch(f"{columns}/{column}", {"wip_limit": 3}),
        await desk.post(f"{columns}/{column}/move", {"before_id": str(default_column_id(UUID(team), "done"))}),
        await desk.delete(f"{columns}/{column}"),
        await desk.patch(f"{labels}/{label}", {"name": "defect"}),
        await desk.delete(f"{labels}/{label}"),
        await desk.patch("/v1/me", {"name": "Mel"}, "member"),
        await desk.patch(member, {"role": "viewer"}),
        await desk.delete(member),
    ]
    assert [answer.status_code for answer in answers if not answer.is_success] == []
    told = RedactHistory((UUID(second),), 1)  # What the worker does once it has redacted the history.
    await desk.site.services.teams.ask(UUID(team), told, Ask(Principal.of_system(UUID(desk["owner"].user_id))))
    events: list[dict[str, Any]] = (await desk.get(f"/v1/teams/{team}/events?limit=100")).json()["items"]
    # The one no request causes; the other is the team's last, after which there is nobody to read it.
    assert {event["type"] for event in events} == EVENT_TYPES.keys() - {"team.restored", "team.deleted"}
    last = next(one.row for one in every_event(ended=True).journal if one.row.type == "team.deleted")
    return [*events, json.loads(cloud_event(last))]


def address(dataschema: str) -> str:
    """Where a `dataschema` answers: a URN below `/schemas`, an address as it is."""
    return f"/schemas/{dataschema}" if urlsplit(dataschema).scheme == "urn" else dataschema


async def test_the_schema_of_every_event_answers_and_fits_a_real_one(desk: Desk) -> None:
    for event in await one_of_each(desk):
        answer = await desk.client.get(address(event["dataschema"]))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
        schema = answer.json()
        assert schema["title"] == event["type"]
        validator = Draft202012Validator(schema)
        assert [error.message for error in validator.iter_errors(event["data"])] == []
        assert not validator.is_valid({}), "the schema says something"
        assert "previous" not in event["data"] or not validator.is_valid({**event["data"], "previous": []})


async def test_the_urn_and_the_address_of_before_answer_the_same_and_the_list_has_all(desk: Desk) -> None:
    listed = (await desk.client.get("/schemas")).json()
    assert {item["type"] for item in listed["items"]} == EVENT_TYPES.keys()
    assert listed["next_cursor"] is None
    for item in listed["items"]:
        by_urn = await desk.client.get(item["href"])
        assert item["href"] == f"/schemas/{item['urn']}"
        assert by_urn.json()["$id"] == item["urn"] == f"urn:taskforge:schema:{item['type']}:{item['version']}"
        assert (await desk.client.get(item["href"].replace(":", "%3A"))).content == by_urn.content
        before = await desk.client.get(f"/schemas/{item['type']}.v{item['version']}.json")
        assert (before.status_code, before.content) == (200, by_urn.content)


@pytest.mark.parametrize("name", ["urn:taskforge:schema:task.created:2", "task.created", "urn%3Ataskforge", "%ff"])
async def test_what_is_no_schema_is_no_path(desk: Desk, name: str) -> None:
    problem(await desk.client.get(f"/schemas/{name}"), 404, "no-such-path")
