"""A 500 said that its `X-Request-ID` would help, and nothing that was logged had it; refused requests left no trace."""

import asyncio
import io
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import structlog

from api.auth.tokens import AccessTokens
from api.endpoints.feeds import EventStream
from api.endpoints.live import LiveSocket
from core.commands import CreateTask
from core.secret import Secret
from core.task import TaskFields
from core.writes import Rejected
from db.keyset import Keyset
from taskforge.logs import configure
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.site import frames_until_closed
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a process logs, as JSON lines."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    configure("info", "json", stream)
    yield stream
    sys.excepthook, threading.excepthook = hooks
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
        for record in mine:
            assert (record["user_id"], record["client"]) == (desk["owner"].user_id, "127.0.0.1")


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
        "user_id": desk["owner"].user_id,
        "client": "127.0.0.1",
    }


async def test_a_strangers_refusal_names_no_team(desk: Desk, output: io.StringIO) -> None:
    problem(await desk.get(f"/v1/tasks/{RANDOM}?q=hunter2", **{"X-Request-ID": "mine-2"}), 400, "bad-input")
    (line,) = records(output, request_id="mine-2")
    assert "team_id" not in line
    assert "hunter2" not in output.getvalue()


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_what_goes_well_leaves_a_line_with_trace_user_and_team(desk: Desk, output: io.StringIO) -> None:
    """The same whether memory answers or the ordinary way does."""
    task = await desk.task()
    for path, name in ((f"/v1/tasks/{task['id']}/activity", "mine-6"), (f"/v1/tasks/{task['id']}", "mine-7")):
        answer = await desk.get(path, **{"X-Request-ID": name, "traceparent": TRACE})
        assert answer.status_code == 200
        await until(lambda name=name: records(output, request_id=name))  # type: ignore[misc]
        (line,) = records(output, request_id=name)
        assert (line["logger"], line["level"], line["message"]) == ("taskforge.access", "info", "request")
        assert (line["method"], line["status"], line["user_id"]) == ("GET", 200, desk["owner"].user_id)
        assert line["team_id"] == desk.team
        assert line["ms"] > 0
        assert line["route"].startswith("/v1/tasks/{uuid:task_id}")
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert records(output, request_id="mine-6")[0]["trace_id"] == TRACE[3:35]


async def test_a_refused_login_says_whose_and_from_where_and_no_secret(desk: Desk, output: io.StringIO) -> None:
    """An account is named by its id; an address that is nobody's by a digest, for it may be a password."""
    known = (await desk.get("/v1/me")).json()
    for email in (known["email"], "hunter2@example.com", "hunter2"):
        body = {"email": email, "password": "hunter2hunter2"}
        problem(await desk.client.post("/v1/auth/login", json=body), 401, "unauthenticated")
    refusals = records(output, message="login refused")
    assert [(one.get("user_id"), one["client"]) for one in refusals] == [
        (known["id"], "127.0.0.1"),
        (None, "127.0.0.1"),
        (None, "127.0.0.1"),
    ]
    assert [len(one.get("address_digest", "")) for one in refusals] == [0, 16, 0]
    assert "hunter2" not in output.getvalue()
    assert known["email"] not in output.getvalue()


async def test_a_refused_token_says_whose_only_when_that_is_sure_and_once(desk: Desk, output: io.StringIO) -> None:
    owner = desk["owner"]
    tokens = desk.site.services.tokens
    principal = tokens.principal_of(f"Bearer {owner.token}".encode())
    now = time.time()
    keyset = Keyset((Secret("a secret of at least thirty-two bytes"),))
    auth = desk.site.services.auth
    past = AccessTokens(auth, keyset, tokens._revocations, wall_clock=lambda: now - 7200)
    expired = past.issue(principal)
    forged = expired[:-2] + ("AA" if not expired.endswith("AA") else "BB")
    for token, whose in ((expired, owner.user_id), (forged, None), ("hunter2hunter2", None)):
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": f"token-{len(token)}-{whose is None}"}
        problem(await desk.client.get(f"/v1/teams/{desk.team}/board", headers=headers), 401, "unauthenticated")
        (refusal,) = [
            record
            for record in records(output, request_id=headers["X-Request-ID"])
            if record["message"].startswith("access token refused")
        ]
        assert (refusal.get("user_id"), refusal["client"]) == (whose, "127.0.0.1")
        assert token not in output.getvalue()


async def test_what_nobody_caught_is_one_line(output: io.StringIO) -> None:
    def broken() -> None:
        raise RuntimeError("a mistake of ours")

    try:
        broken()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    first, second = records(output, message="uncaught exception")
    for record in (first, second):
        assert record["level"] == "critical"
        assert "a mistake of ours" in record["exception"]
        assert record["exception"].count("\n") > 1
    assert len(output.getvalue().splitlines()) == 2


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
    await until(lambda: len(records(output, request_id="mine-5")) == 2)
    record, line = sorted(records(output, request_id="mine-5"), key=lambda found: found["level"])
    assert (line["message"], line["status"]) == ("connection", 200)
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
    await until(lambda: len(records(output, request_id="mine-4")) == 2)
    record, line = records(output, request_id="mine-4")
    assert (record["message"], record["level"]) == ("a WebSocket handler failed", "error")
    assert (line["message"], line["close"]) == ("connection", 1011)


async def test_a_command_that_nobody_asked_over_http_has_no_request_id(desk: Desk, output: io.StringIO) -> None:
    await desk.site.services.teams.ask(
        UUID(desk.team), CreateTask(TaskFields(title="From inside")), by(desk["owner"].user_id)
    )
    said = [record for record in records(output) if record["logger"] != "taskforge.access"]
    assert not [record for record in said if "request_id" in record]
