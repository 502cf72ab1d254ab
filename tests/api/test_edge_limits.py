"""How long a client may take, how much it may send before it says who it is, and what a refusal costs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from api.accept import names
from db.settings import DatabaseSettings
from tests.support.desk import RANDOM, Desk, problem
from tests.support.site import Site, serving, settings_for

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


@contextlib.asynccontextmanager
async def hasty(database: DatabaseSettings, valkey_url: str, **limits: float) -> AsyncIterator[Site]:
    settings = settings_for(database, valkey_url)
    async with serving(structs.replace(settings, http=structs.replace(settings.http, **limits))) as site:
        yield site


async def told(site: Site, sent: bytes) -> bytes:
    """Everything that is answered to what was sent, up to the end of the connection, which the server brings about."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_body_that_does_not_come_is_a_408_and_the_connection_ends(
    database: DatabaseSettings, valkey_url: str
) -> None:
    head = b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    async with hasty(database, valkey_url, body_seconds=0.2) as site:
        for begun in (b"", b'{"email":'):
            answer = await told(site, head + begun)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"body-too-slow"' in answer
            assert b"connection: close" in answer.lower()


async def test_heads_that_stop_midway_and_idle_connections_end(database: DatabaseSettings, valkey_url: str) -> None:
    async with hasty(database, valkey_url, head_seconds=1) as site:
        half, idle = await asyncio.gather(
            told(site, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow"),
            told(site, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        )
    assert b"200" not in half
    assert idle.startswith(b"HTTP/1.1 200 ")


async def test_without_http2_a_connection_that_stays_silent_ends_too(
    database: DatabaseSettings, valkey_url: str
) -> None:
    """With it, the server waits for the first bytes to know the protocol: `docs/http-edge.md`."""
    async with hasty(database, valkey_url, head_seconds=1, http2=False) as site:
        silent, first = await asyncio.gather(told(site, b""), told(site, b"P"))
    assert b"200" not in silent + first


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/tasks/{task}"),
        ("POST", "/v1/tasks/{task}/restore"),
        ("DELETE", "/v1/me/sessions?others=true"),
        ("DELETE", f"/v1/me/sessions/{RANDOM}"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_means_nothing_is_limited_all_the_same(
    desk: Desk, method: str, path: str, chunked: bool
) -> None:
    path = path.format(task=(await desk.task())["id"])

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65_536

    content = chunks() if chunked else b"x" * 65_536 * 20
    problem(await desk.ask(method, path, content=content), 413, "body-too-large")


@pytest.mark.parametrize("path", ["/v1/tasks/{task}", "/v1/tasks/{task}/restore"])
async def test_a_body_that_means_nothing_is_part_of_what_a_key_stands_for(desk: Desk, path: str) -> None:
    task = await desk.task()
    key = {"Idempotency-Key": "a-key-of-" + task["id"]}
    method, path = "POST" if path.endswith("restore") else "DELETE", path.format(task=task["id"])
    if method == "POST":
        await desk.delete(f"/v1/tasks/{task['id']}")
    assert (await desk.ask(method, path, content=b"one", headers=key)).status_code == 200
    assert (await desk.ask(method, path, content=b"one", headers=key)).headers["idempotent-replayed"] == "true"
    problem(await desk.ask(method, path, content=b"two", headers=key), 422, "idempotency-key-reused")


@pytest.mark.parametrize("path", ["/v1/auth/signup", "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout"])
async def test_nobody_sends_more_than_sixteen_kibibytes_before_they_say_who_they_are(desk: Desk, path: str) -> None:
    content = b'{"email":"' + b"x" * 16 * 1024 + b'"}'
    answer = await desk.client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert "16384" in problem(answer, 413, "body-too-large")["detail"]


async def test_methods_that_somebody_makes_up_are_one_series(desk: Desk) -> None:
    for number in range(60):
        problem(await desk.client.request(f"MADEUP{number}", "/v1/tasks"), 405, "method-not-allowed")
    text = (await desk.client.get("/metrics")).text
    assert "MADEUP" not in text
    assert 'method="OTHER"' in text


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        ("text/event-stream", True),
        ("application/json, text/event-stream", True),
        ("TEXT/Event-Stream; charset=utf-8; q=0.1", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; q=0.000, */*", False),
        ("*/*", False),
        ("text/event-streams", False),
        ("text/event-stream;q=much", False),
        ("", False),
    ],
)
def test_a_stream_is_named_with_a_weight_above_zero(accept: str, stream: bool) -> None:
    assert names(accept.encode(), b"text/event-stream") is stream


async def test_a_stream_that_is_refused_by_its_weight_is_a_page(desk: Desk) -> None:
    answer = await desk.get(f"/v1/teams/{desk.team}/events", Accept="text/event-stream;q=0, application/json")
    assert answer.headers["content-type"] == "application/json"


async def test_every_answer_says_whether_it_may_be_kept(desk: Desk) -> None:
    task = await desk.task()
    for path in (
        *(
            "/",
            "/docs",
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/schemas",
            "/nowhere",
            "/v1/me",
            "/v1/teams",
        ),
        *("/v1/me/sessions", "/v1/me/notifications", f"/v1/tasks/{task['id']}", f"/v1/tasks/{task['id']}/activity"),
        *(f"/v1/tasks/{RANDOM}", "/v1/tasks", f"/v1/tasks?team_id={desk.team}", f"/v1/teams/{desk.team}/members"),
    ):
        assert "cache-control" in (await desk.get(path)).headers, path
    assert "cache-control" in (await desk.patch(f"/v1/tasks/{task['id']}", {"title": "y"})).headers
    assert (await desk.client.put("/v1/tasks")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"X": "y" * 33_000}, b""),
        ({"Content-Encoding": "gzip"}, b"\x1f\x8b" + b"\0" * 1_000_000),
        ({"Content-Type": "application/json"}, b"[" * 1_000_000),
        ({"Content-Type": "application/json"}, b'{"a":' * 200_000),
        ({"Content-Type": "application/json"}, b'{"title":"' + b"\\u0000" * 170_000 + b'"}'),
        ({"Content-Type": "application/json"}, b'{"title":' + b"9" * 1_000_000 + b"}"),
        (
            {"Content-Type": "application/json"},
            b'{"title":"x",' + b",".join(b'"%d":1' % n for n in range(90_000)) + b"}",
        ),
        ({"If-Match": '"1",' * 7_000}, b""),
        ({"If-Match": "," * 30_000}, b""),
        ({"Accept": "text/event-stream;" * 1_500}, b""),
    ],
)
async def test_a_refusal_costs_less_than_fifty_milliseconds_of_cpu(
    desk: Desk, fields: dict[str, str], content: bytes
) -> None:
    """Time of this whole process, with the client's part of it, and the best of three."""
    task, costs = await desk.task(), []
    for _ in range(3):
        began = time.process_time()
        answer = await desk.ask("PATCH", f"/v1/tasks/{task['id']}", content=content, headers=fields)
        costs.append(time.process_time() - began)
        assert 400 <= answer.status_code < 500, answer.text
    assert min(costs) < 0.05
