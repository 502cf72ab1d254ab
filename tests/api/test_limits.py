"""What no client may do: too much, too deep, twice, or not JSON. Every refusal is quick, and none is a 5xx."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.desk import Desk, problem

pytestmark = pytest.mark.anyio

LIMIT = 1024 * 1024


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_one_mebibyte_is_too_large(desk: Desk, chunked: bool) -> None:
    body = b'{"title":"' + b"x" * LIMIT + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    headers = {"Content-Type": "application/json"}
    answer = await desk.ask("POST", "/v1/tasks", content=chunks() if chunked else body, headers=headers)
    problem(answer, 413, "body-too-large")
    assert (await desk.get("/healthz")).status_code == 200


async def test_a_client_that_sends_all_of_a_body_too_large_gets_its_answer(desk: Desk) -> None:
    """The connection was closed under what it was still sending, and the answer was lost now and then."""
    for _ in range(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
        head = f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: {6 * LIMIT}\r\n\r\n"
        writer.write(head.encode() + b"x" * 6 * LIMIT)
        async with asyncio.timeout(10):
            await writer.drain()
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_client_that_asks_before_it_sends_is_not_asked_for_a_body_too_large(desk: Desk) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
    head = f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {6 * LIMIT}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_of_just_one_mebibyte_is_read(desk: Desk) -> None:
    start = b'{"team_id":"' + desk.team.encode() + b'","title":"x"'
    body = start + b" " * (LIMIT - len(start) - 1) + b"}"
    answer = await desk.ask("POST", "/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'{"title": NaN}',
        b'{"title": Infinity}',
        b'{"title": "\\ud800"}',
        b'{"title": "\\ud800\\u0041 and more text after it"}',
        b'{"title": "\xff"}',
        b'{"title": "\xed\xa0\x80"}',
        b'{"\xff": 1}',
        b'{"\\ud800xxxxxxxx": 1}',
        b'{"title": "a\nb"}',
        b"[" * 1_000_000,
        b'{"title":' * 100_000,
        b'{"title":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"estimate": 1' + b"0" * 400 + b"}",
        b'{"estimate": 1e999}',
        b'{"due_at": "9999-12-31T23:59:59-23:59"}',
    ],
)
async def test_what_is_no_proper_json_is_a_quick_400(desk: Desk, body: bytes) -> None:
    task = await desk.task()
    for method, path in (("POST", "/v1/tasks"), ("PATCH", f"/v1/tasks/{task['id']}"), ("POST", "/v1/teams")):
        started = time.process_time()
        answer = await desk.ask(method, path, content=body, headers={"Content-Type": "application/json"})
        problem(answer, 400, "bad-input")
        assert time.process_time() - started < 2  # Of processor, not of clock: what is quadratic takes minutes.


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "a", "title": "b"}',
        b'{"title": "a", "\\u0074itle": "b"}',
        b'{"title": "a", "description": "b", "title": "a"}',
    ],
)
async def test_a_key_given_twice_is_refused_and_named(desk: Desk, body: bytes) -> None:
    task = await desk.task()
    answer = await desk.ask(
        "PATCH", f"/v1/tasks/{task['id']}", content=body, headers={"Content-Type": "application/json"}
    )
    assert "title" in problem(answer, 400, "bad-input")["detail"]


async def test_a_key_given_twice_deep_inside_is_refused(desk: Desk) -> None:
    body = b'{"wip_limits": {"open": 1, "open": 2}}'
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await desk.ask("PATCH", f"/v1/teams/{desk.team}", content=body, headers=headers)
    problem(answer, 400, "bad-input")


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "é"]
)
async def test_another_media_type_is_refused_with_those_that_are_read(desk: Desk, media_type: str) -> None:
    headers = {"Content-Type": media_type.encode()}
    answer = await desk.ask("POST", "/v1/tasks", content=b"{}", headers=headers)
    problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "query", ["%", "%ff=1", "a=%ff", "a=%00", "&".join(f"p{n}=1" for n in range(200)), "a" * 5_000, "=", "limit"]
)
async def test_a_strange_query_is_a_400(desk: Desk, query: str) -> None:
    for path in ("/v1/tasks", "/v1/teams", f"/v1/teams/{desk.team}/board", f"/v1/teams/{desk.team}"):
        answer = await desk.get(f"{path}?{query}")
        problem(answer, 400, "bad-input")


@pytest.mark.parametrize(
    "path", ["/%ff", "/v1/%00", "/%", "//", "/v1//tasks", "/V1/tasks", "/v1/tasks/../teams", "/" + "x" * 8_000]
)
async def test_a_strange_path_is_a_404(desk: Desk, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    await writer.wait_closed()
    assert status in {b"404", b"400", b"414"}


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ],
)
async def test_a_broken_request_gets_a_4xx_or_a_closed_door(desk: Desk, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
    writer.write(head)
    with contextlib.suppress(OSError):  # The door was closed already.
        writer.write_eof()
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    assert not line or line.split()[1].startswith(b"4"), line


async def test_a_client_that_leaves_midway_leaves_the_server_well(desk: Desk) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
        writer.write(b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n")
        writer.write(b"Authorization: " + desk["owner"].headers["Authorization"].encode() + b"\r\n")
        writer.write(b"Content-Type: application/json\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await desk.get("/healthz")).status_code == 200
