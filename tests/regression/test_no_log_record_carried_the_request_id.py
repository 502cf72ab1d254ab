"""A 500 said that its `X-Request-ID` would help, and nothing that was logged had it; refused requests left no trace."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import structlog

from api.endpoints.feeds import EventStream
from api.endpoints.live import LiveSocket
from core.commands import CreateTask
from core.task import TaskFields
from core.writes import Rejected
from taskforge.logs import configure
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.site import frames_until_closed

pytestmark = pytest.mark.anyio


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a process logs, as JSON lines."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    configure("info", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def records(output: io.StringIO, **wanted: Any) -> list[dict[str, Any]]:
    """The records with these fields."""
    found: list[dict[str, Any]] = [msgspec.json.decode(line) for line in output.getvalue().splitlines()]
    return [record for record in found if wanted.items() <= record.items()]


async def test_the_request_id_of_a_500_finds_its_exception(
    desk: Desk, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: UUID) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(desk.site.services.identity, "user", broken)
    answers = await asyncio.gather(*(desk.get("/v1/me") for _ in range(3)))
    for answer in answers:
        problem(answer, 500, "internal-error")
        mine = records(output, request_id=answer.headers["x-request-id"])
        assert [record["message"] for record in mine] == ["unhandled exception", "request"]
        assert "a mistake of ours" in mine[0]["exception"]
        assert (mine[1]["level"], mine[1]["status"], mine[1]["route"]) == ("warning", 500, "/v1/me")
        assert mine[1]["ms"] > 0


async def test_a_refused_request_leaves_a_line_without_secrets(desk: Desk, output: io.StringIO) -> None:
    task = await desk.task()
    body = {"title": "hunter2", "colour": "hunter2"}
    answer = await desk.patch(f"/v1/tasks/{task['id']}", body, **{"X-Request-ID": "mine-1"})
    problem(answer, 400, "bad-input")
    (line,) = records(output, request_id="mine-1")
    assert line.pop("ms") > 0
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "taskforge.access",
        "message": "request",
        "method": "PATCH",
        "route": "/v1/tasks/{uuid:task_id}",
        "status": 400,
        "request_id": "mine-1",
        "team_id": desk.team,
    }


async def test_a_strangers_refusal_names_no_team(desk: Desk, output: io.StringIO) -> None:
    problem(await desk.get(f"/v1/tasks/{RANDOM}?q=hunter2", **{"X-Request-ID": "mine-2"}), 400, "bad-input")
    (line,) = records(output, request_id="mine-2")
    assert "team_id" not in line
    assert "hunter2" not in output.getvalue()


async def test_what_goes_well_leaves_no_line(desk: Desk, output: io.StringIO) -> None:
    assert (await desk.get(f"/v1/tasks?team_id={desk.team}")).status_code == 200
    assert not records(output, message="request")


async def test_what_the_actor_logs_about_one_command_carries_the_id_of_its_request(
    desk: Desk, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several requests in one batch that a constraint refuses: each record names its own."""
    journal = desk.site.services.journal

    async def refuse(batches: Any) -> Any:
        return {writes.team_id: Rejected("tasks_title_check") for writes in batches}

    monkeypatch.setattr(journal, "commit", refuse)
    ids = [f"mine-{new_key()}" for _ in range(4)]
    body = {"team_id": desk.team, "title": "Refused"}
    answers = await asyncio.gather(*(desk.post("/v1/tasks", body, **{"X-Request-ID": name}) for name in ids))
    for name, answer in zip(ids, answers, strict=True):
        problem(answer, 409, "conflict")
        messages = [record["message"] for record in records(output, request_id=name)]
        assert messages == ["refused by constraint tasks_title_check", "request"]


async def test_a_stream_that_breaks_off_says_of_which_request(
    desk: Desk, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: EventStream) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(EventStream, "parts", broken)
    with pytest.raises(httpx.RemoteProtocolError):
        await desk.get(f"/v1/teams/{desk.team}/events", Accept="text/event-stream", **{"X-Request-ID": "mine-5"})
    (record,) = records(output, request_id="mine-5")
    assert (record["message"], record["level"]) == ("an answer broke off", "error")
    assert "a mistake of ours" in record["exception"]


async def test_what_a_socket_logs_carries_the_id_of_its_handshake(
    desk: Desk, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: LiveSocket) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(LiveSocket, "serve", broken)
    async with desk.site.live(desk.team, desk["owner"], **{"X-Request-ID": "mine-4"}) as live:
        _, code, reason = await frames_until_closed(live)
    assert (code, reason) == (1011, "")
    (record,) = records(output, request_id="mine-4")
    assert record["message"] == "a WebSocket handler failed"


async def test_a_command_that_nobody_asked_over_http_has_no_request_id(desk: Desk, output: io.StringIO) -> None:
    await desk.site.services.teams.ask(
        UUID(desk.team), CreateTask(TaskFields(title="From inside")), by(desk["owner"].user_id)
    )
    assert not [record for record in records(output) if "request_id" in record]
