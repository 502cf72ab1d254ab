"""A foreign id against a random one, on the main routes: nobody may tell by the time of a 404 that a thing exists.

The two are asked in turn, one pair after another over one connection, and their medians are compared. Between pairs
the foreign team is in memory, which is when it could differ most. So are the address of an account and one that nobody
has, where somebody signs in with a wrong password or has forgotten one.
"""

import hashlib
import http.client
import json
import statistics
import time
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from benchmarks.account import Account
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, sample_of
from benchmarks.stack import open_stack

__all__ = ["run"]

SHARE: Final = 0.05
MILLISECONDS: Final = 0.2
PAIRS: Final = 400
QUICK_PAIRS: Final = 40
TASKS: Final = 100
UPLOAD: Final = {"name": "notes.txt", "size": 5, "digest": hashlib.sha256(b"notes").hexdigest()}


class Route(Struct, frozen=True):
    """A request with the places of ids left open: `{team}`, `{task}`, `{user}`, `{label}` and so on."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    status: int = 404


ROUTES: Final = (
    Route("task", "GET", "/v1/tasks/{task}"),
    Route("activity of a task", "GET", "/v1/tasks/{task}/activity"),
    Route("list of tasks", "GET", "/v1/tasks?team_id={team}"),
    Route("board", "GET", "/v1/teams/{team}/board"),
    Route("team", "GET", "/v1/teams/{team}"),
    Route("members", "GET", "/v1/teams/{team}/members"),
    Route("events", "GET", "/v1/teams/{team}/events"),
    Route("invitations", "GET", "/v1/teams/{team}/invitations"),
    Route("creating a task", "POST", "/v1/tasks", {"team_id": "{team}", "title": "x"}),
    Route("changing a task", "PATCH", "/v1/tasks/{task}", {"title": "x"}),
    Route("moving a task", "POST", "/v1/tasks/{task}/move", {"status": "done"}),
    Route("archiving a task", "DELETE", "/v1/tasks/{task}"),
    Route("changing a role", "PATCH", "/v1/teams/{team}/members/{user}", {"role": "viewer"}),
    Route("inviting", "POST", "/v1/teams/{team}/invitations", {"role": "viewer"}),
    Route("task by its number", "GET", "/v1/teams/{team}/tasks/by-number/1"),
    Route("restoring a task", "POST", "/v1/tasks/{task}/restore"),
    Route("batch", "POST", "/v1/tasks/batch", {"team_id": "{team}", "operations": [{"op": "create", "title": "x"}]}),
    Route("changing a team", "PATCH", "/v1/teams/{team}", {"name": "x"}),
    Route("removing a member", "DELETE", "/v1/teams/{team}/members/{user}"),
    Route("labels", "GET", "/v1/teams/{team}/labels"),
    Route("making a label", "POST", "/v1/teams/{team}/labels", {"name": "x", "color": "#000000"}),
    Route("changing a label", "PATCH", "/v1/teams/{team}/labels/{label}", {"name": "x"}),
    Route("deleting a label", "DELETE", "/v1/teams/{team}/labels/{label}"),
    Route("invitation", "GET", "/v1/teams/{team}/invitations/{invitation}"),
    Route("revoking an invitation", "DELETE", "/v1/teams/{team}/invitations/{invitation}"),
    Route("board of the past", "GET", "/v1/teams/{team}/board?as_of=3"),
    Route("columns", "GET", "/v1/teams/{team}/columns"),
    Route("making a column", "POST", "/v1/teams/{team}/columns", {"name": "x", "category": "open"}),
    Route("column", "GET", "/v1/teams/{team}/columns/{column}"),
    Route("changing a column", "PATCH", "/v1/teams/{team}/columns/{column}", {"name": "x"}),
    Route("moving a column", "POST", "/v1/teams/{team}/columns/{column}/move", {}),
    Route("deleting a column", "DELETE", "/v1/teams/{team}/columns/{column}"),
    Route("list by column", "GET", "/v1/tasks?team_id={team}&column={column}"),
    Route("search for text", "GET", "/v1/tasks?team_id={team}&q=scheduler"),
    Route("overdue", "GET", "/v1/teams/{team}/overdue"),
    Route("stats", "GET", "/v1/teams/{team}/stats"),
    Route("noting what was seen", "PUT", "/v1/teams/{team}/seen", {"seq": 1}),
    Route("undoing a change", "POST", "/v1/tasks/{task}/undo", {}),
    Route("comments", "GET", "/v1/tasks/{task}/comments"),
    Route("commenting", "POST", "/v1/tasks/{task}/comments", {"body": "x"}),
    Route("comment", "GET", "/v1/comments/{comment}"),
    Route("versions of a comment", "GET", "/v1/comments/{comment}/edits"),
    Route("editing a comment", "PATCH", "/v1/comments/{comment}", {"body": "x"}),
    Route("deleting a comment", "DELETE", "/v1/comments/{comment}"),
    Route("files of a task", "GET", "/v1/tasks/{task}/attachments"),
    Route("beginning an upload", "POST", "/v1/tasks/{task}/attachments/uploads", UPLOAD),
    Route("completing an upload", "POST", "/v1/tasks/{task}/attachments/uploads/{upload}/complete"),
    Route("file", "GET", "/v1/attachments/{attachment}"),
    Route("download", "GET", "/v1/attachments/{attachment}/download"),
    Route("thumbnail", "GET", "/v1/attachments/{attachment}/thumbnail"),
    Route("deleting a file", "DELETE", "/v1/attachments/{attachment}"),
    Route("live ticket", "POST", "/v1/live-tickets", {"team_id": "{team}"}),
    Route("ending a session", "DELETE", "/v1/me/sessions/{session}"),
    Route("API key", "GET", "/v1/me/api-keys/{key}"),
    Route("revoking an API key", "DELETE", "/v1/me/api-keys/{key}"),
    Route("wrong password", "POST", "/v1/auth/login", {"email": "{email}", "password": "not the password"}, 401),
    Route("forgotten password", "POST", "/v1/auth/password-reset", {"email": "{email}"}, 202),
)


class Asker:
    """One connection that asks and waits, and expects to be told that there is no such thing."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._headers = headers

    def latency(self, route: Route, ids: dict[str, str]) -> float:
        """Seconds until the whole answer is here. Raises RuntimeError for another status than the route's."""
        path = route.path.format_map(ids)
        body, headers = None, self._headers
        if route.body is not None:
            given = {
                name: value.format_map(ids) if isinstance(value, str) else value for name, value in route.body.items()
            }
            body, headers = json.dumps(given).encode(), {**headers, "Content-Type": "application/json"}
        started = time.perf_counter()
        self._connection.request(route.method, path, body=body, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - started
        if answer.status != route.status:
            raise RuntimeError(f"{route.method} {path} answered {answer.status}")
        return seconds


async def run(*, quick: bool) -> Result:
    """One client; the server on core 0, the client on core 1."""
    note = "Interleaved pairs of one client; a goal is met by 5 % or by 0.2 ms, whichever is more."
    result = Result("foreign_ids", note=note)
    async with open_stack() as stack:
        with (
            stack.api() as api,
            Account(api.url, "owner@example.com") as owner,
            Account(api.url, "asker@example.com") as asking,
            on_core(LOAD_CORE),
        ):
            foreign = _things_of(owner)
            asker = Asker(api.url, asking.headers)
            for route in ROUTES:
                _compare(result, asker, route, foreign, QUICK_PAIRS if quick else PAIRS)
    return result


def _things_of(owner: Account) -> dict[str, str]:
    """Ids of what the asker must not know of."""
    team, tasks = owner.team(1, TASKS)
    return {
        "team": team,
        "task": tasks[0],
        "user": owner.get("/v1/me").json()["id"],
        "label": owner.make(f"/v1/teams/{team}/labels", {"name": "theirs", "color": "#000000"}),
        "column": owner.make(f"/v1/teams/{team}/columns", {"name": "theirs", "category": "open"}),
        "comment": owner.make(f"/v1/tasks/{tasks[0]}/comments", {"body": "theirs"}),
        "attachment": owner.attach(tasks[0], "notes.txt", b"notes"),
        "upload": owner.make(f"/v1/tasks/{tasks[0]}/attachments/uploads", UPLOAD, "upload_id"),
        "invitation": owner.make(f"/v1/teams/{team}/invitations", {"role": "viewer"}),
        "key": owner.make("/v1/me/api-keys", {"name": "theirs", "scopes": ["read"]}),
        "session": owner.get("/v1/me/sessions").json()["items"][0]["id"],
        "email": owner.email,
    }


def _random(foreign: dict[str, str]) -> dict[str, str]:
    """Ids and an address of the same length that are nobody's."""
    names = {name: str(uuid.uuid4()) for name in foreign}
    return {**names, "email": f"{names['email'][:5]}@example.com"}


def _compare(result: Result, asker: Asker, route: Route, foreign: dict[str, str], pairs: int) -> None:
    asked: dict[str, list[float]] = {"foreign": [], "random": []}
    for number in range(pairs):
        # Who comes first changes, because the second of a pair finds everything warmer.
        for side in ("foreign", "random") if number % 2 else ("random", "foreign"):
            ids = foreign if side == "foreign" else _random(foreign)
            asked[side].append(asker.latency(route, ids))
    medians = {side: statistics.median(latencies) * 1000 for side, latencies in asked.items()}
    apart = abs(medians["foreign"] - medians["random"])
    allowed = max(SHARE * medians["random"], MILLISECONDS)
    result.goals.append(Goal(f"{route.name}: ms between the medians", apart, allowed, at_least=False))
    result.numbers[route.name] = {side: sample_of(latencies, sum(latencies)) for side, latencies in asked.items()}
