"""TaskForge over HTTP: bootstraps, and the events of a team page by page. Needs no more than a key that reads."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from .events import Event, Thing

PAGE = 100
WAIT_SECONDS = 0.5


class Refused(Exception):
    """TaskForge said no; `code` is that of the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Api:
    """`url` is where TaskForge is, `key` an API key with the scope `read`."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def teams(self) -> list[str]:
        """The ids of the teams that the key reaches."""
        found, cursor = [], ""
        while True:
            page = json.loads(self._call("GET", f"/v1/teams?limit={PAGE}{cursor}"))
            found += [team["id"] for team in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def bootstrap(self, team: str, form: str, seq: int | None = None) -> Thing:
        """Have one made, wait for it, and give its result: the checkpoint, and where the file is."""
        wanted = {"format": form} | ({} if seq is None else {"seq": seq})
        operation = json.loads(self._call("POST", f"/v1/teams/{team}/bootstraps", wanted))
        while operation["ended_at"] is None:
            time.sleep(WAIT_SECONDS)
            operation = json.loads(self._call("GET", f"/v1/operations/{operation['id']}"))
        if operation["status"] != "succeeded":
            raise Refused(operation["status"], operation["error"])
        result: Thing = operation["result"]
        return result

    def download(self, result: Thing, folder: Path) -> Path:
        """The file of a bootstrap."""
        path = folder / f"{result['team_id']}.{result['format']}"
        # The address is good by itself; the key is not for whoever stores the files.
        with urlopen(urljoin(self._url, result["download_url"])) as answer, path.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
        return path

    def events(self, team: str, epoch: int, seq: int) -> Iterator[list[Event]]:
        """Pages of the events that follow. Raises Refused("history-rewritten") when the team was restored meanwhile."""
        after: str | None = f"{epoch}:{seq}"
        while after is not None:
            items, after = items_of(self._call("GET", f"/v1/teams/{team}/events?after={after}&limit={PAGE}"))
            if items:
                yield [Event.of(item) for item in items]

    def _call(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        while True:
            request = Request(urljoin(self._url, path), data, headers, method=method)  # noqa: S310
            try:
                with urlopen(request) as answer:  # noqa: S310
                    return bytes(answer.read())
            except HTTPError as error:
                if error.code not in (429, 503):
                    raise _refused(error) from error
                time.sleep(float(error.headers.get("Retry-After") or 1))


def _refused(error: HTTPError) -> Refused:
    problem = json.loads(error.read() or b"{}")
    return Refused(problem.get("code", str(error.code)), problem.get("detail", ""))


def items_of(page: bytes) -> tuple[list[bytes], str | None]:
    """The items of a page as they stand there, to the byte, and the cursor of the next one."""
    text, decoder = page.decode(), json.JSONDecoder()
    at, items = text.index("[") + 1, []
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        items.append(text[at:end].encode())
        at = end + (text[end] == ",")
    return items, json.loads("{" + text[at + 2 :])["next_cursor"]
