"""Subscribers of a team's feed who come again after every cut, from the last id that they have."""

import asyncio
import contextlib
import hashlib
import json
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import connect

from tests.faults.report import Report
from tests.faults.writers import Session
from tests.support.account import NO_TLS

__all__ = ["Contents", "Feed", "LiveFeed", "StreamFeed"]

PAUSE = 0.05
SILENT_SECONDS = 40.0
"""Longer than between two heartbeats."""


class Contents:
    """Remembers what was seen under each event id, wherever that was."""

    def __init__(self, report: Report) -> None:
        self._seen: dict[str, bytes] = {}
        self._report = report

    def note(self, event: dict[str, Any]) -> None:
        digest = hashlib.blake2b(json.dumps(event, sort_keys=True).encode(), digest_size=12).digest()
        if self._seen.setdefault(event["id"], digest) != digest:
            self._report.note("contents", f"{event['id']} is also {event['type']} {event['data']}"[:300])


class Feed:
    """One reader's place, and what must be true of each frame that comes."""

    def __init__(self, session: Session, team: str, seq: int, report: Report, contents: Contents) -> None:
        self.at = (1, seq)
        self.resets = 0
        self.told: list[str] = []
        """What each reset said."""
        self._session, self._team, self._report, self._contents = session, team, report, contents

    @property
    def place(self) -> str:
        """The id of the last event that was read."""
        return f"{self.at[0]}:{self.at[1]}"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, httpx.TransportError, websockets.WebSocketException):
                await self._follow()
            await asyncio.sleep(PAUSE)

    async def _follow(self) -> None:
        raise NotImplementedError

    def _take(self, event: dict[str, Any]) -> None:
        self._contents.note(event)
        epoch, seq = event["epoch"], event["seq"]
        here = f"{type(self).__name__} of {self._team} at {self.at} got {epoch}:{seq}"
        if epoch != self.at[0]:
            self._report.note("reset", f"{here} without a reset")
        elif seq != self.at[1] + 1:
            self._report.note("hole" if seq > self.at[1] else "doubled", here)
        self.at = (epoch, max(seq, self.at[1]) if epoch == self.at[0] else seq)

    def _reset(self, data: dict[str, Any]) -> None:
        if data["epoch"] == self.at[0] and not self._session.rewriting:
            self._report.note("reset", f"{type(self).__name__} of {self._team} at {self.at} was told {data}")
        self.resets += 1
        self.told.append(f"{data['reason']} to {data['epoch']}:{data['seq']}")
        self._report.resets += 1
        self.at = (data["epoch"], data["seq"])


class StreamFeed(Feed):
    """Server-Sent Events."""

    async def _follow(self) -> None:
        headers = {**self._session.headers, "accept": "text/event-stream", "last-event-id": self.place}
        timeout = httpx.Timeout(5, read=SILENT_SECONDS)
        path = f"{self._session.url}/v1/teams/{self._team}/events"
        async with (
            httpx.AsyncClient(verify=NO_TLS, timeout=timeout) as client,
            client.stream("GET", path, headers=headers) as answer,
        ):
            if answer.status_code == 200:
                await self._read(answer)

    async def _read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            match fields.get("event", "heartbeat"):
                case "heartbeat" | "reconnect":
                    pass
                case "reset":
                    self._reset(json.loads(fields["data"]))
                case _:
                    self._take(json.loads(fields["data"]))
            fields = {}


class LiveFeed(Feed):
    """A WebSocket."""

    async def _follow(self) -> None:
        address = self._session.url.replace("http", "ws", 1)
        address += f"/v1/teams/{self._team}/live?after={self.place}"
        async with connect(address, additional_headers=self._session.headers, open_timeout=5) as socket:
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "reset":
                    self._reset(frame)
                elif frame["type"] == "event":
                    self._take(frame["event"])
