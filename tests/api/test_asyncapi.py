"""What is said of the topics is true of every record, is checked in, and breaks no reader unnoticed."""

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator
from msgspec import structs

from api.asyncapi import asyncapi_document
from core.codec import encode
from core.redaction import redacted
from core.upcasts import upcast
from streams.kafka.topics import CHECKPOINTS, TASK_EVENTS, TASKS, checkpoint_headers, plans, team_key
from streams.relay.records import Record, records_of
from streams.settings import KafkaSettings
from taskforge.parts.names import PARTS
from tests.support import asyncapi_file
from tests.support.asyncapi_file import ALLOWED, FILE, breaks, written
from tests.support.checkpoints import by_pages
from tests.support.core_team import SALT, every_event
from tests.support.desk import Desk
from tests.support.source import ROOT

PARSER = ROOT / "tests" / "support" / "asyncapi"
DOCUMENT: dict[str, Any] = json.loads(asyncapi_document())
INTERNAL = re.compile(r"taskforge\.(mail|jobs|ai-usage|relay|[a-z]+\.(retry|dlq))\.v1")
Change = Callable[[dict[str, Any]], object]


def test_the_file_says_what_the_program_answers() -> None:
    assert FILE.read_text() == written(), "python -m tests.support.asyncapi_file"


def test_every_topic_is_described_or_is_our_own_business() -> None:
    every = {plan.name for plan in plans(KafkaSettings(bootstrap_servers="x:1"), PARTS)}
    described = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert described == {TASK_EVENTS, TASKS, CHECKPOINTS} == {name for name in every if not INTERNAL.fullmatch(name)}


def every_record() -> Iterator[Record]:
    """What every type of event puts into the topics, as it is written and as it is redacted; and a checkpoint."""
    journal = every_event(ended=True).journal
    rows = [encode(one.event, "00-" + "a" * 32 + "-" + "b" * 16 + "-01", salt=SALT).row for one in journal]
    for row in rows:
        yield from records_of(row, {}, "life")
        yield from records_of(structs.replace(row, actor_kind="key", via=UUID(int=9), traceparent=""), {}, "life")
        for subjects in ([row.subject], [row.actor_id]):
            if (payload := redacted(row.type, row.payload, subjects)) is not None:
                yield from records_of(structs.replace(row, payload=payload, salt=b""), {}, "life")
    checkpoint = by_pages(rows, 100)
    event = f"{checkpoint.team}:{checkpoint.epoch}:{checkpoint.seq}"
    headers = checkpoint_headers(event, "life")
    yield Record(CHECKPOINTS, team_key(checkpoint.team), msgspec.json.encode(checkpoint), headers)


def message_of(record: Record) -> str:
    """The name under which the record is described."""
    if record.topic == TASKS:
        return "task.gone" if record.value is None else "task"
    if record.topic == CHECKPOINTS:
        return "checkpoint"
    return ".".join(json.loads(record.value or b"")["dataschema"].split(":")[-2:])


def validator(message: str, part: str) -> Draft202012Validator:
    schema = DOCUMENT["components"]["messages"][message][part]
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


def test_every_record_is_what_its_message_says_to_the_last_member() -> None:
    seen = set()
    for record in every_record():
        name = message_of(record)
        seen.add(name)
        value = None if record.value is None else json.loads(record.value)
        headers = {key: text.decode() for key, text in record.headers}
        key = DOCUMENT["components"]["messages"][name]["bindings"]["kafka"]["key"]
        assert [error.message for error in validator(name, "payload").iter_errors(value)] == []
        assert [error.message for error in validator(name, "headers").iter_errors(headers)] == []
        assert Draft202012Validator(key, validate_formats=True).is_valid(record.key.decode())
        described = DOCUMENT["components"]["messages"][name]
        assert headers["content-type"] == described["contentType"]
        assert set(headers) <= set(described["headers"]["properties"])
        if record.topic == TASK_EVENTS:
            assert set(value or ()) <= set(described["payload"]["properties"]), "nothing is there that is not described"
    assert seen == set(DOCUMENT["components"]["messages"]) - {"task.deleted.1", "team.updated.1"}, "older forms"


def test_a_record_that_is_wrong_is_not_what_its_message_says() -> None:
    record = next(record for record in every_record() if record.topic == TASK_EVENTS)
    event = json.loads(record.value or b"")
    name = message_of(record)
    for member, value in {"seq": 0, "teamid": "x", "type": "task.other", "epoch": "1", "data": {}}.items():
        assert not validator(name, "payload").is_valid({**event, member: value}), member
        assert not validator(name, "payload").is_valid({key: one for key, one in event.items() if key != member})


def gone(*path: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]

    return change


def put(*path: str, value: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


MESSAGES, SCHEMAS = ("components", "messages"), ("components", "schemas")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (gone("channels", "checkpoints"), "checkpoints: the channel is gone"),
        (put("channels", "tasks", "address", value="x"), 'tasks: address was "taskforge.tasks.v1", is "x"'),
        (gone("channels", "taskEvents", "messages", "task.moved.1"), "taskEvents/task.moved.1: the message is gone"),
        (
            put(*MESSAGES, "checkpoint", "contentType", value="text/plain"),
            "checkpoints/checkpoint: contentType was application/json, is text/plain",
        ),
        (
            gone(*MESSAGES, "task", "headers", "properties", "tf-incarnation"),
            "tasks/task/headers/tf-incarnation: is gone",
        ),
        (
            put(*MESSAGES, "task.moved.1", "payload", "properties", "seq", "type", value="string"),
            "taskEvents/task.moved.1/payload/seq: type was integer, is string",
        ),
        (gone(*SCHEMAS, "Task", "properties", "rank"), "tasks/task/payload/rank: is gone"),
        (
            put(*SCHEMAS, "Checkpoint", "required", value=["team", "seq"]),
            "checkpoints/checkpoint/payload/chain: may be left out",
        ),
        (
            put(*MESSAGES, "checkpoint", "bindings", "kafka", "key", "format", value="email"),
            "checkpoints/checkpoint/key: format was uuid, is email",
        ),
    ],
)
def test_a_planted_break_is_seen_and_may_be_allowed(change: Change, line: str) -> None:
    changed = copy.deepcopy(DOCUMENT)
    change(changed)
    found = breaks(DOCUMENT, changed)
    assert line in found
    assert line not in breaks(DOCUMENT, changed, f"Nobody reads it.\n{line}\n")


def test_what_is_only_more_breaks_nothing() -> None:
    more = copy.deepcopy(DOCUMENT)
    more["components"]["schemas"]["Task"]["properties"]["weight"] = {"type": "integer"}
    more["channels"]["more"] = more["channels"]["tasks"]
    more["components"]["messages"]["task.weighed.1"] = more["components"]["messages"]["task.moved.1"]
    more["channels"]["taskEvents"]["messages"]["task.weighed.1"] = {"$ref": "#/components/messages/task.weighed.1"}
    assert breaks(DOCUMENT, more) == []


def test_the_file_keeps_what_the_commit_before_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncapi_file.main(["compare"]) == 0, capsys.readouterr().out
    assert not ALLOWED.exists() or ALLOWED.read_text().strip()


@pytest.mark.skipif(not (PARSER / "node_modules").is_dir(), reason="no parser: npm ci --prefix tests/support/asyncapi")
def test_asyncapis_own_parser_finds_nothing_wrong() -> None:
    def parsed(document: bytes) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(["node", PARSER / "parse.mjs"], input=document, capture_output=True, check=False)

    good = parsed(asyncapi_document())
    assert (good.returncode, good.stdout) == (0, b"3 channels\n"), good.stderr
    bad = parsed(json.dumps({**DOCUMENT, "channels": {"x": {"messages": {"y": {"$ref": "#/no"}}}}}).encode())
    assert bad.returncode == 1


@pytest.mark.anyio
async def test_document_and_page_are_served_from_here_alone(desk: Desk) -> None:
    answer = await desk.client.get("/asyncapi.json")
    assert answer.status_code == 200
    assert answer.content == asyncapi_document()
    page = await desk.client.get("/asyncapi")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert not re.findall(r"""(?:src|href)=["'](?!/asyncapi\.json|#)""", page.text)
    for channel in DOCUMENT["channels"].values():
        assert channel["address"] in page.text
    targets = set(re.findall(r'id="([^"]+)"', page.text))
    assert set(re.findall(r'href="#([^"]+)"', page.text)) <= targets


def test_older_forms_are_described_as_they_were_written() -> None:
    """Topics hold them as long as their retention lasts, and the journal for good."""
    row = next(one.row for one in every_event(ended=True).journal if one.row.type == "task.created")
    old = structs.replace(row, type="task.deleted", schema_version=1)
    assert old.payload != upcast(old.type, 1, old.payload)
    (record, *_) = records_of(old, {}, "life")
    assert message_of(record) == "task.deleted.1"
    assert validator("task.deleted.1", "payload").is_valid(json.loads(record.value or b""))
