"""Clients that write as our documentation says: a key for each change, and the same key until it is answered."""

import asyncio
import itertools
import random
import time
from typing import Any, Final

import httpx
from msgspec import Struct

from tests.faults.ledger import TeamLedger, Write
from tests.faults.report import Report
from tests.support.account import NO_TLS

__all__ = ["BATCH", "Session", "Writer"]

BATCH: Final = 24
"""Operations of a batch."""
PAUSE: Final = 0.03
"""Seconds before the same request again."""
PATIENCE: Final = 6.0
"""Seconds for one answer: one more than the server's own deadline."""
RESENT, READ, SMALL, NEW, ASSIGNED = 0.1, 0.15, 0.35, 0.04, 0.1
"""How often: an answered request comes again, what it wrote is read, a write is small, a task is new or assigned."""
MOVED: Final = 0.05
"""How often the next request takes another connection, which may lead to another process."""
STATUSES: Final = ("open", "in_progress", "in_review", "done")
AGAIN: Final = frozenset({"idempotency-key-in-flight"})
TAKEN_BACK: Final = frozenset({400, 403, 404, 409, 412})
"""What may be answered while a history is being rewritten: tasks, members and seqs may be gone then."""


class Session(Struct):
    """What all clients of a system share: who asks, and whether the history is being rewritten in this moment."""

    url: str
    headers: dict[str, str]
    colleague: str
    rewriting: bool = False


class Change(Struct, frozen=True):
    """One request: the token of each of its operations is the title that it gives to a task."""

    method: str
    path: str
    body: dict[str, Any]
    tokens: tuple[str, ...]
    tasks: tuple[str, ...]
    """Those that must exist for it."""


class Writer:
    """Changes tasks of its own in one team, one request after the other, from `go` to `pause`."""

    def __init__(self, number: int, session: Session, ledger: TeamLedger, report: Report, interval: float) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        """What this writer last heard of its tasks."""
        self.idle = asyncio.Event()
        self._number, self._session, self._ledger, self._report = number, session, ledger, report
        self._interval = interval
        self._going = asyncio.Event()
        self._counter = itertools.count()
        self._random = random.Random(number)
        self._http = httpx.AsyncClient(base_url=session.url, timeout=PATIENCE, verify=NO_TLS)
        # A new connection for each read: it may lead to another process than the write before it.
        one_by_one = httpx.Limits(max_keepalive_connections=0)
        self._reads = httpx.AsyncClient(base_url=session.url, timeout=PATIENCE, verify=NO_TLS, limits=one_by_one)

    def go(self) -> None:
        self.idle.clear()
        self._going.set()

    def pause(self) -> None:
        """No further request; `idle` is set once the one under way is answered."""
        self._going.clear()

    def keep_what_stands(self) -> None:
        """The history was rewritten: forget tasks that have not come to be."""
        standing = self._ledger.titles().keys()
        self.tasks = {task_id: task for task_id, task in self.tasks.items() if task_id in standing}

    async def run(self) -> None:
        """Until cancelled."""
        async with self._http, self._reads:
            while True:
                if not self._going.is_set():
                    self.idle.set()
                await self._going.wait()
                next_at = time.monotonic() + self._interval
                await self._write(self._next())
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    def _next(self) -> Change:
        draw = self._random.random
        if not self.tasks or draw() < NEW:
            token = self._token()
            return Change("POST", "/v1/tasks", {"team_id": self._ledger.team_id, "title": token}, (token,), ())
        if draw() < SMALL:
            task_id = self._random.choice(list(self.tasks))
            token = self._token()
            body: dict[str, Any] = {"title": token}
            if draw() < ASSIGNED:
                assigned = self.tasks[task_id].get("assignee_id") is not None
                body["assignee_id"] = None if assigned else self._session.colleague
            return Change("PATCH", f"/v1/tasks/{task_id}", body, (token,), (task_id,))
        chosen = self._random.sample(list(self.tasks), min(BATCH, len(self.tasks)))
        operations: list[dict[str, Any]] = [self._update(task_id) for task_id in chosen]
        if len(self.tasks) < BATCH:
            more = BATCH - len(self.tasks)
            operations += [{"op": "create", "title": self._token()} for _ in range(more)]
        body = {"team_id": self._ledger.team_id, "operations": operations}
        tokens = tuple(operation["title"] for operation in operations)
        return Change("POST", "/v1/tasks/batch", body, tokens, tuple(chosen))

    def _update(self, task_id: str) -> dict[str, Any]:
        operation: dict[str, Any] = {"op": "update", "id": task_id, "title": self._token()}
        if self._random.random() < SMALL:
            operation["status"] = self._random.choice(STATUSES)
        return operation

    def _token(self) -> str:
        return f"w{self._number}-{next(self._counter)}"

    async def _write(self, change: Change) -> None:
        key = f"faults-{self._number:03}-{next(self._counter):010}"
        answer = await self._insist(change, key)
        if answer is None:
            return
        rewriting = self._session.rewriting
        items, seq = self._acknowledge(change, answer)
        if rewriting:
            return
        if self._random.random() < RESENT:
            await self._send_again(change, key, answer)
        if self._random.random() < READ:
            await self._read(items[-1], seq, int(answer.headers["taskforge-epoch"]))

    async def _insist(self, change: Change, key: str) -> httpx.Response | None:
        """The answer, however often it must be asked for; None when there is none any more."""
        while True:
            sent = time.monotonic()
            answer = await self._ask(change, key)
            if answer is not None and answer.is_success:
                answer.extensions["sent"] = sent
                return answer
            if answer is not None and not self._is_to_wait(answer) and not self._may_come_back(change):
                self._refused(change, answer)
                return None
            await asyncio.sleep(PAUSE)

    async def _ask(self, change: Change, key: str) -> httpx.Response | None:
        headers = {**self._session.headers, "idempotency-key": key}
        if self._random.random() < MOVED:
            headers["connection"] = "close"
        try:
            return await self._http.request(change.method, change.path, json=change.body, headers=headers)
        except httpx.TransportError:
            return None

    def _is_to_wait(self, answer: httpx.Response) -> bool:
        return answer.status_code == 503 or (answer.status_code == 409 and answer.json()["code"] in AGAIN)

    def _may_come_back(self, change: Change) -> bool:
        """Whether what it is about is only away, as everything is in the middle of a restore."""
        return self._session.rewriting and set(change.tasks) <= self._ledger.titles().keys()

    def _refused(self, change: Change, answer: httpx.Response) -> None:
        """Only what a restore took back may be refused; what is gone with it is forgotten."""
        if answer.status_code in TAKEN_BACK and (self._session.rewriting or not set(change.tasks) <= self.tasks.keys()):
            for task_id in change.tasks:
                if task_id not in self._ledger.titles():
                    self.tasks.pop(task_id, None)
            return
        self._report.note("refused", f"{change.method} {change.path}: {answer.status_code} {answer.text[:200]}")

    def _acknowledge(self, change: Change, answer: httpx.Response) -> tuple[list[dict[str, Any]], int]:
        body = answer.json()
        items: list[dict[str, Any]] = body.get("items", [body])
        first = body.get("seq_from", body.get("version"))
        last = body.get("seq_to", body.get("version"))
        if last - first + 1 != len(change.tokens):
            self._report.note("doubled", f"{len(change.tokens)} operations became the events {first} to {last}")
        sent, now = answer.extensions["sent"], time.monotonic()
        self._ledger.acknowledge(Write(first + place, token, sent, now) for place, token in enumerate(change.tokens))
        for item in items:
            self.tasks[item["id"]] = item
        return items, last

    async def _send_again(self, change: Change, key: str, first: httpx.Response) -> None:
        again = await self._ask(change, key)
        if again is None or self._is_to_wait(again) or self._session.rewriting:
            return
        self._report.replays += 1
        if again.headers.get("idempotent-replayed") != "true" or again.content != first.content:
            self._report.note("doubled", f"the key {key} was answered anew: {again.status_code} {again.text[:100]}")

    async def _read(self, task: dict[str, Any], seq: int, epoch: int) -> None:
        """What was just acknowledged must be there, whichever process is asked."""
        headers = {**self._session.headers, "taskforge-min-seq": f"{epoch}:{seq}"}
        try:
            answer = await self._reads.get(f"/v1/tasks/{task['id']}", headers=headers)
        except httpx.TransportError:
            return
        if answer.status_code == 503 or self._session.rewriting or epoch < self._ledger.epoch:
            return
        self._report.reads += 1
        if answer.status_code != 200 or answer.json() != task or int(answer.headers["taskforge-seq"]) < seq:
            self._report.note("stale", f"after {task['title']} at {seq}: {answer.status_code} {answer.text[:160]}")
