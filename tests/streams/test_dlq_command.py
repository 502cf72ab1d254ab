"""`taskforge dlq`: what it prints for people and for programs, what it never prints, and what it refuses."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from core.codec import event_id
from core.secret import Secret
from db import dead_letters
from db.pool import Pools
from streams.cloud_events import cloud_event
from streams.kafka.topics import event_headers, retry_topic
from streams.settings import KafkaSettings, MailSettings
from taskforge.cli import parser
from taskforge.commands import dlq
from taskforge.parts.failures import GROUPS
from taskforge.settings import Settings
from tests.support.journal_writer import JournalWriter
from tests.support.letters import Source, bury
from tests.support.topic_reader import read_count
from tests.support.waiting import until
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

PASSWORD = "swordfish-4711"


async def taskforge(settings: Settings, *arguments: str) -> int:
    """The command's exit code; it brings an event loop of its own."""
    return await asyncio.to_thread(dlq.run, parser().parse_args(["dlq", *arguments]), settings)


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    """With a mail server whose password must not be seen."""
    mail = MailSettings(url=Secret(f"smtp://ann:{PASSWORD}@mail.example:587"))
    return structs.replace(settings, mail=mail)


async def test_a_letter_is_listed_shown_counted_and_sent_again(
    guarded: Settings, journal: JournalWriter, pools: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = guarded.kafka
    (row,) = [one.row for one in await journal.append(await journal.team(), 1)]
    async with working(guarded, "notifications") as process:
        source = Source(cloud_event(row), event_headers(row, "one"), offset=7)
        await bury(kafka, "notifications", source, ConnectionError("no route"))
        await bury(kafka, "notifications", Source(b"\xff", []), ValueError("not JSON"))

        assert await taskforge(guarded, "list", "--json") == 0
        listed = json.loads(capsys.readouterr().out)
        assert (len(listed["items"]), listed["more"]) == (2, False)
        first = listed["items"][0]
        assert (first["id"], first["status"]) == ("notifications:0:0", "open")
        assert (first["kind"], first["team"], first["event_id"]) == (row.type, str(row.team_id), event_id(row))
        assert (first["error_class"], first["error"], first["attempts"]) == ("ConnectionError", "no route", 1)
        assert (first["topic"], first["source"]) == ("taskforge.task-events.v1", "0/7")

        assert await taskforge(guarded, "list", "--error", "json") == 0
        shown = capsys.readouterr()
        assert "notifications:0:1" in shown.out
        assert "notifications:0:0" not in shown.out
        assert "unreadable" in shown.out
        assert shown.err == "1 dead letter\n"

        assert await taskforge(guarded, "show", "notifications:0:0") == 0
        shown = capsys.readouterr()
        assert "is tried again" in shown.out
        assert f"event_id: {event_id(row)}" in shown.out
        assert '"task":' not in shown.out, "what people have written is not shown unasked"
        assert await taskforge(guarded, "show", "notifications:0:0", "--content", "--json") == 0
        assert json.loads(capsys.readouterr().out)["content"] == json.loads(cloud_event(row))

        assert await taskforge(guarded, "replay", "notifications:0:0", "--dry-run", "--json") == 0
        counted = json.loads(capsys.readouterr().out)
        assert (counted["sent"], counted["replay_id"], counted["counts"]["open"]) == (1, None, 1)
        assert await dead_letters.newest(pools.worker, 10) == []

        assert (
            await taskforge(guarded, "replay", "notifications:0:0", "--why", "the route is back", "--who", "ann") == 0
        )
        assert "1 dead letter was sent to its consumer again" in capsys.readouterr().err
        await until(lambda: consumer_of(process).passed == 1)
    await read_count(kafka.bootstrap_servers, retry_topic("notifications"), 1)
    (audit,) = await dead_letters.newest(pools.worker, 10)
    assert (audit.who, audit.why, audit.letters) == ("ann", "the route is back", 1)
    assert "notifications:0:0" in audit.wanted
    assert await taskforge(guarded, "list", "--json") == 0
    replayed = json.loads(capsys.readouterr().out)["items"][0]
    assert (replayed["status"], replayed["replayed"]["who"]) == ("replayed", "ann")


async def test_neither_secrets_nor_orders_to_the_terminal_are_printed(
    guarded: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    token = f"tfk_{'x' * 40}"
    hostile = ConnectionError(f"535 {PASSWORD} refused \x1b[2J\x07[red]for[/red] Bearer {'z' * 30} at {token}")
    value = json.dumps({"purpose": "\x1b]0;title\x07", "token": "short", "text": f"{token} {PASSWORD}"}).encode()
    async with working(guarded, "mail"):
        await bury(guarded.kafka, "mail", Source(value, [("x\x1b[1m", PASSWORD.encode())], key=b"\x1b[3m"), hostile)
    printed = ""
    for arguments in (
        ["list"], ["list", "--json"],
        ["show", "mail:0:0", "--content"], ["show", "mail:0:0", "--content", "--json"],
    ):  # fmt: skip
        assert await taskforge(guarded, *arguments) == 0
        shown = capsys.readouterr()
        printed += shown.out + shown.err
    assert "refused" in printed
    assert "[red]for[/red]" in printed.replace("\n", "")
    for secret in (PASSWORD, "x" * 40, "z" * 30, '"short"', "\x1b", "\x07"):
        assert secret not in printed


async def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        (["show", "mail-17"], "not the id of a dead letter"),
        (["show", "cook:0:1"], "no such consumer: cook"),
        (["list", "--consumer", "mail,cook"], "no such consumer: cook"),
        (["list", "--offsets", "1-2"], "needs one --consumer"),
        (["replay", "--dry-run"], "name ids, a filter, or --all"),
        (["replay", "--all"], "--why"),
        (["replay", "--all", "--why", "  "], "--why"),
        (["replay", "mail:0:1", "--consumer", "mail", "--dry-run"], "an id names its consumer"),
    ):
        assert await taskforge(settings, *arguments) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--since", "yesterday"],
        ["list", "--offsets", "1-x"],
        ["list", "--offsets", f"0-{10**30}"],
        ["list", "--limit", "0"],
        ["list", "--team", "ENG"],
        ["show"],
        [],
    ],
)
def test_wrong_usage_ends_with_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["dlq", *arguments])
    assert caught.value.code == 2


def test_times_may_be_ages() -> None:
    since: datetime = parser().parse_args(["dlq", "list", "--since", "2h"]).since
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since) < timedelta(minutes=1)
    assert parser().parse_args(["dlq", "list", "--since", "2026-01-31"]).since == datetime(2026, 1, 31, tzinfo=UTC)


async def test_a_letter_that_is_not_there_and_a_broker_that_is_away_are_one_line(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with working(settings, "mail"):
        assert await taskforge(settings, "show", "mail:0:99") == 1
        assert await taskforge(settings, "replay", "mail:0:99", "--dry-run") == 1
    assert "1 asked for by id: not there" in capsys.readouterr().err
    away = structs.replace(settings, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    assert await taskforge(away, "list") == 1
    assert capsys.readouterr().err.startswith("the broker cannot be reached")


async def test_the_groups_are_those_of_the_consumers_that_run(settings: Settings) -> None:
    """The list beside the consumers says which topic each of them reads."""
    async with working(settings) as process:
        plans: dict[str, Any] = {part.name: part for part in process.parts if hasattr(part, "topic")}
        assert {name: part.topic for name, part in plans.items()} == {one.consumer: one.topic for one in GROUPS}
        await until(lambda: process.failures.statistics().backlogs)
        process.metrics.flush()
        text = process.metrics.text().decode()
    for line in (
        'taskforge_consumer_partition_lag{consumer="mail",partition="0"} 0.0',
        'taskforge_consumer_retries_waiting{consumer="webhooks",delay="3600"} 0.0',
        'taskforge_consumer_retries_oldest_seconds{consumer="search"} 0.0',
        'taskforge_dead_letters{consumer="notifications"} 0.0',
        'taskforge_dead_letters_oldest_seconds{consumer="reports"} 0.0',
        "taskforge_backlog_age_seconds ",
    ):
        assert line in text
