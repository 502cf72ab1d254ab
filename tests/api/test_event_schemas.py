"""What events look like is a promise: checked in, true of what is written, and broken by nobody unnoticed."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from core.codec import encode
from core.events import EVENT_TYPES
from streams.cloud_events import cloud_event, schema_urn
from tests.support.core_team import SALT, every_event
from tests.support.event_schemas import breaks, checked_in, path_of, stated

URN = "urn:taskforge:schema:task.moved:1"
Change = Callable[[dict[str, Any]], object]


def test_what_is_checked_in_is_what_the_program_says() -> None:
    """To change it: `python -m tests.support.event_schemas`."""
    assert checked_in() == stated()
    assert {schema["title"] for schema in checked_in().values()} == EVENT_TYPES.keys()
    assert all(path_of(urn).is_file() for urn in stated())


def test_no_promise_is_broken() -> None:
    now = stated()
    found = {urn: breaks(before, now[urn]) for urn, before in checked_in().items()}
    assert not any(found.values()), found


def test_every_event_is_true_to_the_schema_that_it_names() -> None:
    validators = {urn: Draft202012Validator(schema) for urn, schema in checked_in().items()}
    named = set()
    for encoded in every_event(ended=True).journal:
        event = json.loads(cloud_event(encode(encoded.event, salt=SALT).row))
        named.add(event["dataschema"])
        assert [error.message for error in validators[event["dataschema"]].iter_errors(event["data"])] == []
    assert named == {schema_urn(name, event.schema_version) for name, event in EVENT_TYPES.items()}


def test_schemas_that_are_written_no_more_are_still_answered() -> None:
    """Topics hold events that name them for as long as their retention lasts."""
    assert stated()["urn:taskforge:schema:task.deleted:1"]["required"] == ["task"]
    assert "title" in task(stated()["urn:taskforge:schema:task.deleted:1"])["properties"]


def task(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"]["Task"]
    return found


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda schema: task(schema)["properties"].pop("title"), "/task/title: is gone"),
        (lambda schema: task(schema)["required"].remove("rank"), "/task/rank: may be left out"),
        (
            lambda schema: task(schema)["properties"]["number"].update(type="string"),
            "/task/number: type was integer, is string",
        ),
        (
            lambda schema: task(schema)["properties"]["status"]["enum"].append("stuck"),
            '/task/status: no reader knows "stuck"',
        ),
        (
            lambda schema: task(schema)["properties"]["id"].pop("format"),
            "/task/id: format was uuid, is None",
        ),
        (
            lambda schema: task(schema)["properties"]["estimate"]["anyOf"].append({"type": "string"}),
            '/task/estimate: no reader knows {"type": "string"}',
        ),
        (
            lambda schema: task(schema)["properties"]["label_ids"]["items"].update(type="integer"),
            "/task/label_ids/*: type was string, is integer",
        ),
        (lambda schema: schema["properties"].pop("previous"), "/previous: is gone"),
    ],
)
def test_a_change_that_readers_would_notice_is_named(change: Change, line: str) -> None:
    new = copy.deepcopy(stated()[URN])
    change(new)
    assert breaks(stated()[URN], new) == [line]


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: task(schema)["properties"].update(colour={"type": "string"}),
        lambda schema: task(schema)["required"].append("colour"),
        lambda schema: task(schema)["properties"]["status"]["enum"].remove("cancelled"),
        lambda schema: task(schema)["properties"]["estimate"]["anyOf"].pop(),
        lambda schema: schema.update(description="Said better."),
    ],
)
def test_data_may_say_more_and_vary_less(change: Change) -> None:
    new = copy.deepcopy(stated()[URN])
    change(new)
    assert new != stated()[URN]
    assert breaks(stated()[URN], new) == []
