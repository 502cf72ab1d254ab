"""The processes of one system: brought back when one is killed, ended in order, and none outlives the first."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.account import NO_TLS, Account
from tests.support.apache_kafka import APACHE
from tests.support.directories import open_directory
from tests.support.system import System, children, command_line
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    # A JVM ends when and how it likes; what is proven here is how our own parts end, and runs without it in CI too.
    pytest.mark.skipif(APACHE, reason="how Apache Kafka's JVM ends is not ours to promise"),
]

SERVING_SECONDS = 5.0
STOP_SECONDS = 3.0


class Started:
    """A system of its own, and somebody who writes to it all the time."""

    def __init__(self, directory: Path) -> None:
        self.system = System(directory)
        self.system.start()
        self.account = Account(self.system.url)
        self.team = self.account.team("one")
        self.acknowledged = 0.0
        self._stopped = threading.Event()
        self._writers = [threading.Thread(target=self._write) for _ in range(4)]
        for writer in self._writers:
            writer.start()

    def _write(self) -> None:
        headers = {"authorization": self.account.http.headers["authorization"]}
        with httpx.Client(base_url=self.system.url, headers=headers, timeout=5, verify=NO_TLS) as http:
            while not self._stopped.wait(0.02):
                with contextlib.suppress(httpx.TransportError):
                    answer = http.post("/v1/tasks", json={"team_id": self.team, "title": "x"})
                    if answer.status_code == 201:
                        self.acknowledged = time.monotonic()

    def serving(self, since: float) -> Callable[[], object]:
        return lambda: self.acknowledged > since

    def end(self) -> None:
        self._stopped.set()
        for writer in self._writers:
            writer.join()
        self.account.http.close()
        if self.system.process.poll() is None:
            self.system.kill()


@pytest.fixture
def started(services_root: Path) -> Iterator[Started]:
    with open_directory(services_root) as directory:
        one = Started(directory)
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(one.end)
            yield one


def api_of(system: System) -> int:
    """The main process of the API server now; 0 while there is none."""
    ours = [pid for pid in children(system.process.pid) if "taskforge api" in command_line(Path(f"/proc/{pid}"))]
    return ours[0] if ours else 0


def test_a_killed_main_process_of_the_api_is_replaced_and_serves_within_five_seconds(started: Started) -> None:
    """Its workers go with it: two servers on one port would share the requests."""
    eventually(started.serving(0.0), "it serves")
    main = api_of(started.system)
    workers = children(main)
    assert workers
    killed = time.monotonic()
    os.kill(main, signal.SIGKILL)
    eventually(lambda: api_of(started.system) not in (0, main), "another main process")
    assert not [pid for pid in workers if pid in children(1) and "taskforge" in command_line(Path(f"/proc/{pid}"))]
    replaced = time.monotonic()
    eventually(started.serving(replaced), "it serves again")
    assert started.acknowledged - killed < SERVING_SECONDS * started.system.slowness
    assert "could not be restarted" not in started.system.said()


def test_ctrl_c_ends_every_part_in_order_within_three_seconds(started: Started) -> None:
    eventually(started.serving(0.0), "it serves")
    began = time.monotonic()
    assert started.system.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < STOP_SECONDS * started.system.slowness
    said = started.system.said()
    ended = re.findall(r'"message":"(\w+) has ended \(code (-?\d+)\)"', said)
    assert ended == [(name, "0") for name in ("api", "worker", "kafka", "valkey", "postgres")]
    assert "was killed" not in said
    assert started.system.processes() == {}


def test_nothing_outlives_the_first_process_when_that_is_killed(started: Started) -> None:
    eventually(started.serving(0.0), "it serves")
    killed = time.monotonic()
    started.system.process.kill()
    started.system.process.wait()
    eventually(lambda: not started.system.processes(), "no process of the system is left", 60)
    assert time.monotonic() - killed < SERVING_SECONDS * started.system.slowness
