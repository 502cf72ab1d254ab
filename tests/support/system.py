"""The whole system as processes, as `taskforge up` runs it, and what tests do to it."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from taskforge.devstack.ports import free_port

PASSWORD = "correct horse battery staple"
UP_SECONDS = 60.0
numbers = itertools.count(1)


def eventually(found: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """The first truthy answer of `found`."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.03)
    return answer


class System:
    """`taskforge up` in a directory of its own."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self.directory, self.arguments, self.environment = directory, arguments, environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "up.log"

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKFORGE_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("up", "--port", str(self.port), *self.arguments),
                cwd=self.directory,
                env=environment | self.environment,
                stdout=log,
                stderr=log,
            )
        eventually(self.ready, f"taskforge up is ready; see {self.log}", UP_SECONDS)

    def command(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "taskforge", name, "--data", str(self.directory / "data"), *arguments]

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def service_port(self, name: str) -> int:
        """The port that `taskforge up` chose for an embedded service."""
        return int(json.loads((self.directory / "data" / "ports.json").read_text())[name])

    def pid_of(self, part: str) -> int:
        """The main process of a part: api, worker, postgres, valkey-server, tansu."""
        for pid in descendants(self.process.pid):
            words = command_line(pid)
            if words[-1] == part or (Path(words[0].split(" ")[0]).name == part):
                return pid
        raise AssertionError(f"{part} does not run")

    def kill(self, part: str) -> None:
        """SIGKILL for a part's main process and all below it."""
        main = self.pid_of(part)
        victims = [main, *descendants(main)]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(runs(pid) for pid in victims), f"the processes of {part} are gone")


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    return [below for child in children(pid) for below in (child, *descendants(child))]


def command_line(pid: int) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return [""]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Person:
    """An account, as a program uses the API."""

    def __init__(self, url: str) -> None:
        number = next(numbers)
        self.email, self.name = f"person{number}@example.com", f"Person {number}"
        self.http = httpx.Client(base_url=url, timeout=10)
        tokens = self.call("POST", "/v1/auth/signup", email=self.email, password=PASSWORD, name=self.name)
        self.http.headers["authorization"] = f"Bearer {tokens['access_token']}"

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
        answer = self.http.request(method, path, json=body or None, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def team(self, *titles: str) -> str:
        """A new team whose open column holds tasks with these titles."""
        number = next(numbers)
        team_id: str = self.call("POST", "/v1/teams", name=f"Team {number}", key=f"T{number}")["id"]
        for title in titles:
            self.call("POST", "/v1/tasks", team_id=team_id, title=title)
        return team_id

    def board(self, team_id: str) -> dict[str, list[str]]:
        """Task ids per status, from top to bottom."""
        board = self.call("GET", f"/v1/teams/{team_id}/board")
        return {column["status"]: [task["id"] for task in column["tasks"]] for column in board["columns"]}

    def task(self, team_id: str, title: str) -> Any:
        board = self.call("GET", f"/v1/teams/{team_id}/board")
        return next(task for column in board["columns"] for task in column["tasks"] if task["title"] == title)
