"""The whole system as processes, as `taskforge up` runs it, and what tests do to it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.apache_kafka import APACHE, broker_kind
from tests.support.rates import GENEROUS, variables_of
from tests.support.source import ROOT
from tests.support.waiting import eventually

UP_SECONDS = 60.0
BROKER = "kafka.Kafka" if APACHE else "bin/tansu"
"""What the broker's command line has in it."""

USUAL_START = 4.0
"""Seconds that the whole system takes to start on two idle processors; a busy machine gets more for the rest, too."""


class System:
    """`taskforge up`, started and perhaps not ready yet; its data, and its ports, are kept in `directory`.

    `before` comes before its command line, `environment` is added to its own, and `seen` is where this process sees the
    data, should that be elsewhere than where the system does.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        seen: Path | None = None,
    ) -> None:
        self.slowness = 1.0
        """How many times the usual its start has taken: what a busy machine needs for the rest as well."""
        self.directory, self.log = directory, directory / "up.log"
        self._named = directory / "data"
        self.data = seen or self._named
        directory.mkdir(exist_ok=True)
        mine = {name: value for name, value in os.environ.items() if not name.startswith("TASKFORGE_")}
        environment = mine | variables_of(GENEROUS) | dict(environment or {})
        if APACHE:
            broker_kind()
            path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
            environment |= {"PYTHONPATH": os.pathsep.join(path), "TASKFORGE_KAFKA__IDEMPOTENT": "true"}
        with self.log.open("ab") as log:
            self._before = log.tell()
            self.process = subprocess.Popen(
                [*before, *self.command("up", *arguments)], cwd=directory, env=environment, stdout=log, stderr=log
            )

    def command(self, name: str, *arguments: str | Path) -> list[str]:
        """A command of ours on the data of this system."""
        module = "tests.support.apache_up" if APACHE and name == "up" else "taskforge"
        return [sys.executable, "-m", module, name, "--data", str(self._named), *map(str, arguments)]

    def said(self) -> str:
        """What this process has written so far."""
        return self.log.read_bytes()[self._before :].decode()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = UP_SECONDS) -> None:
        """Wait for it as long as the process runs."""

        def held() -> object:
            assert self.process.poll() is None, self.said()[-4000:]
            return condition()

        eventually(held, f"{what}; see {self.log}", seconds)

    def start(self) -> float:
        """Wait for the summary; returns the seconds from start to `/readyz`, as the summary states them."""
        self.wait_until(lambda: "TaskForge is ready" in self.said(), "taskforge up is ready")
        seconds = float(self.said().split("TaskForge is ready (")[1].split(" s)")[0])
        self.slowness = max(1.0, seconds / USUAL_START)
        return seconds

    def stop(self, signum: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(signum)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL for the first process; all others must end by themselves."""
        self.process.kill()
        self.process.wait()
        eventually(lambda: not self.processes(), "no process of the system is left")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port('http')}"

    def port(self, service: str) -> int:
        """The port that was chosen for a service."""
        return int(json.loads((self.data / "ports.json").read_text())[service])

    def status(self, path: str, listener: str = "http") -> int:
        """The status of a GET, 0 for none; `ops` is the worker's listener for its operators."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(listener), timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.said()[-4000:]
        return self.status("/readyz") == 200

    def processes(self) -> dict[int, str]:
        """Every process of this system but the first, by pid: its command line."""
        found = {}
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and int(process.name) != self.process.pid and self._owns(process):
                    found[int(process.name)] = command_line(process)
        return found

    def _owns(self, process: Path) -> bool:
        """Services work inside the data directory; API and worker have its secrets in their environment."""
        here = str((process / "cwd").readlink()).startswith(str(self._named))
        return here or self._password().encode() in (process / "environ").read_bytes()

    def _password(self) -> str:
        return str(json.loads((self.data / "secrets.json").read_text())["valkey_password"])

    def pid_of(self, words: str) -> int:
        """The oldest process whose command line has these words."""
        return min(pid for pid, line in self.processes().items() if words in line)

    def kill_part(self, words: str) -> None:
        """SIGKILL for a part's main process and all below it."""
        main = self.pid_of(words)
        victims = [main, *descendants(main)]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(runs(pid) for pid in victims), f"the processes of {words} are gone")


def command_line(process: Path) -> str:
    return (process / "cmdline").read_text().replace("\0", " ")


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    return [below for child in children(pid) for below in (child, *descendants(child))]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
