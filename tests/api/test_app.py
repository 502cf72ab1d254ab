"""What the edge does for every request, whichever way its answer takes."""

import asyncio
import logging
from typing import Any

import httpx
import pytest

from api.edge import trace_parent
from api.request_ids import request_id
from tests.support.account import NO_TLS
from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class AsgiAnswer:
    """One request straight into the ASGI application, so that every byte and header can be compared."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


async def call(desk: Desk, path: str, *, method: str = "GET", more: Any = (), body: bytes = b"") -> AsgiAnswer:
    raw, _, query = path.partition("?")
    authorization = desk["owner"].headers["Authorization"].encode()
    scope = {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"desk"), (b"authorization", authorization), (b"x-request-id", b"the-same-id"), *more],
        "scheme": "http",
        "root_path": "",
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await desk.app(scope, receive, send)
    return AsgiAnswer(sent[0]["status"], sent[0]["headers"], b"".join(message["body"] for message in sent[1:]))


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("query", ["", "?status=open&sort=-priority&limit=7", "?assignee=me", "?q=task"])
async def test_both_ways_of_a_list_give_the_same_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, query: str, conditional: bool
) -> None:
    await desk.task(assignee_id=desk["owner"].user_id)
    await same_both_ways(desk, monkeypatch, f"/v1/tasks?team_id={desk.team}{query.replace('?', '&')}", conditional)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("kind", ["task", "board"])
async def test_both_ways_of_a_task_and_a_board_give_the_same_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str, conditional: bool
) -> None:
    path = f"/v1/tasks/{(await desk.task())['id']}" if kind == "task" else f"/v1/teams/{desk.team}/board"
    await same_both_ways(desk, monkeypatch, path, conditional)


def timeless(answer: AsgiAnswer) -> list[tuple[bytes, bytes]]:
    """The headers without the seconds of `RateLimit`, which go on between two answers."""
    return [(name, value.partition(b";t=")[0] if name == b"ratelimit" else value) for name, value in answer.headers]


async def same_both_ways(desk: Desk, monkeypatch: pytest.MonkeyPatch, path: str, conditional: bool) -> None:
    ready = await call(desk, path)
    etag = dict(ready.headers)[b"etag"]
    more = [(b"if-none-match", etag)] if conditional else []
    ready = await call(desk, path, more=more)
    taken: list[str] = []
    monkeypatch.setattr("api.reads.Reads.answer", lambda _self, asked: taken.append(asked.path))
    ordinary = await call(desk, path, more=more)
    assert taken == [path.partition("?")[0]]
    assert (ordinary.status, timeless(ordinary), ordinary.body) == (ready.status, timeless(ready), ready.body)
    assert ready.status == (304 if conditional else 200)


async def test_reads_that_memory_can_answer_never_reach_the_router(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await desk.task()
    await call(desk, f"/v1/tasks/{task['id']}")

    def refuse(*_: object) -> None:
        raise AssertionError("the router was asked")

    monkeypatch.setattr("api.routing.EdgeRouter.find", refuse)
    for path in (f"/v1/tasks/{task['id']}", f"/v1/tasks?team_id={desk.team}", f"/v1/teams/{desk.team}/board"):
        assert (await call(desk, path)).status == 200


async def test_every_answer_has_a_request_id(desk: Desk) -> None:
    for path in ("/healthz", "/nowhere", f"/v1/tasks?team_id={desk.team}", f"/v1/tasks/{RANDOM}"):
        kept = await desk.get(path, **{"X-Request-ID": "my-id_1.2"})
        assert kept.headers["x-request-id"] == "my-id_1.2"
        made = await desk.get(path, **{"X-Request-ID": "not well formed"})
        assert made.headers["x-request-id"] != "not well formed"
        assert len((await desk.get(path)).headers["x-request-id"]) == 36


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 129, b"a\x00b", "ü".encode()])
def test_a_request_id_that_is_not_well_formed_is_replaced(given: bytes) -> None:
    assert len(request_id(given)) == 36


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACE[:-1],
        TRACE.replace("00-", "ff-", 1),
        TRACE.upper(),
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        TRACE.replace("-", "_"),
    ],
)
def test_an_invalid_traceparent_is_ignored(value: str) -> None:
    assert trace_parent(TRACE.encode()) == TRACE
    assert trace_parent(value.encode()) == ""


async def test_the_callers_trace_is_kept_with_the_event(desk: Desk) -> None:
    task = (await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"}, traceparent=TRACE)).json()
    events = (await desk.get(f"/v1/teams/{desk.team}/events?after={task['version'] - 1}")).json()["items"]
    assert events[0]["traceparent"] == TRACE


async def test_an_unknown_path_is_a_problem_and_needs_no_token(desk: Desk) -> None:
    for path in ("/nowhere", "/v1/tasks/not-a-uuid", "/v1/", "/v1/tasks/", f"/v1/tasks/{RANDOM}/nothing"):
        problem(await desk.client.get(path), 404, "no-such-path")


async def test_a_wrong_method_is_told_which_ones_there_are(desk: Desk) -> None:
    answer = await desk.client.put("/v1/tasks")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert (await desk.client.request("OPTIONS", "/healthz")).headers["allow"] == "GET, HEAD"


async def test_a_wrong_method_is_told_so_before_its_precondition_is_looked_at(desk: Desk) -> None:
    for path in (f"/v1/tasks/{RANDOM}/restore", "/v1/auth/login"):
        answer = await desk.get(path, **{"If-Match": '"1"'})
        problem(answer, 405, "method-not-allowed")
    assert (await desk.get("/v1/auth/login", **{"If-Match": '"1"'})).headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/v1/tasks?team_id={team}", "/v1/teams/{team}/board", "/docs"])
async def test_head_is_get_without_the_body(desk: Desk, path: str) -> None:
    path = path.format(team=desk.team)
    got, head = await desk.get(path), await desk.ask("HEAD", path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-length", "content-type", "etag"):
        assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("name", ["Idempotency-Key", "Authorization", "If-Match", "Content-Type"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_header_that_must_be_single_is_refused_twice(desk: Desk, name: str, method: str) -> None:
    task = await desk.task()
    headers = [
        ("Authorization", desk["owner"].headers["Authorization"]),
        ("Content-Type", "application/json"),
        (name, "one-of-two-values-1"),
        (name, "one-of-two-values-2"),
    ]
    answer = await desk.client.request(method, f"/v1/tasks/{task['id']}", headers=headers, content=b"{}")
    assert problem(answer, 400, "bad-input")["parameter"] == name.lower()


async def test_without_a_token_nothing_is_told(desk: Desk) -> None:
    task = await desk.task()
    for method, path in (
        ("GET", f"/v1/tasks?team_id={desk.team}"),
        ("GET", f"/v1/tasks/{task['id']}"),
        ("GET", f"/v1/teams/{desk.team}/board"),
        ("GET", "/v1/teams"),
        ("POST", "/v1/tasks"),
        ("PATCH", f"/v1/tasks/{task['id']}"),
        ("DELETE", f"/v1/tasks/{task['id']}?permanent=nonsense"),
    ):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
            answer = await desk.client.request(method, path, headers=headers)
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_errors_about_a_team_name_it_to_its_members(desk: Desk) -> None:
    task = await desk.task()
    answer = await desk.post(f"/v1/tasks/{task['id']}/restore")
    problem(answer, 409, "conflict")
    assert answer.headers["taskforge-team"] == desk.team
    assert int(answer.headers["taskforge-seq"]) >= task["version"]


async def test_what_was_written_is_read_at_its_seq_or_refused_as_never_written(desk: Desk) -> None:
    answer = await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"})
    seq = answer.headers["taskforge-seq"]
    for path in (answer.headers["location"], f"/v1/tasks?team_id={desk.team}", f"/v1/teams/{desk.team}/board"):
        read = await desk.get(path, **{"TaskForge-Min-Seq": seq, "TaskForge-Team": desk.team})
        assert read.status_code == 200
        assert int(read.headers["taskforge-seq"]) >= int(seq)
        ahead = await desk.get(path, **{"TaskForge-Min-Seq": str(int(seq) + 1_000_000)})
        problem(ahead, 400, "ahead-of-history")
        for nonsense in ("-1", "x", "9" * 20, "1.5", ""):
            problem(await desk.get(path, **{"TaskForge-Min-Seq": nonsense}), 400, "bad-input")


async def test_a_wrong_team_hint_changes_nothing(desk: Desk) -> None:
    task = await desk.task()
    for hint in (RANDOM, desk.other_team, "nonsense", "x" * 36):
        answer = await desk.get(f"/v1/tasks/{task['id']}", **{"TaskForge-Team": hint})
        assert answer.json()["id"] == task["id"]


async def test_a_percent_encoded_path_is_not_the_same_path(desk: Desk) -> None:
    task = await desk.task()
    encoded = f"%{ord(task['id'][0]):x}{task['id'][1:]}"
    problem(await desk.get(f"/v1/tasks/{encoded}"), 404, "no-such-path")


async def test_a_handler_that_fails_answers_500_and_tells_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def explode(*_: object, **__: object) -> None:
        raise RuntimeError("secret innards")

    monkeypatch.setattr(desk.site.services.identity, "user", explode)
    with caplog.at_level(logging.ERROR):
        answer = await desk.post("/v1/teams", {"name": "x", "key": "ENG"})
    problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "secret innards" in caplog.text


async def test_many_requests_at_once_all_get_their_own_answer(desk: Desk) -> None:
    tasks = [await desk.task(f"t{number}") for number in range(20)]
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=desk.client.base_url, limits=limits, timeout=30, verify=NO_TLS) as client:

        async def one(task: dict[str, Any]) -> bool:
            answer = await client.get(f"/v1/tasks/{task['id']}", headers=desk["viewer"].headers)
            return bool(answer.json() == task)

        assert all(await asyncio.gather(*(one(tasks[number % 20]) for number in range(400))))
