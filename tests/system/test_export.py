"""Exports in a whole system whose worker is killed while it makes them: each is there, once and whole."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.support.account import Account
from tests.support.long_work import files_in
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PEOPLE = 5
KILLS = 3


@pytest.fixture
def people(system: System) -> Iterator[list[Account]]:
    with ExitStack() as stack:
        found = [Account(system.url) for _ in range(PEOPLE)]
        for account in found:
            stack.enter_context(closing(account.http))
        yield found


def ended(account: Account, operation_id: str) -> Any:
    """The operation once it has ended."""

    def now() -> Any:
        operation = account.call("GET", f"/v1/operations/{operation_id}")
        return operation if operation["ended_at"] else None

    return eventually(now, "the export has ended", 90)


def stored_in(system: System) -> set[str]:
    """The objects of the system, other tests' included."""
    return {path.parent.name for path in files_in(system.data / "objects") if "#" not in path.name}


def test_an_export_is_made_once_although_the_worker_is_killed(system: System, people: list[Account]) -> None:
    before = stored_in(system)
    for account in people:
        account.team(f"A task of {account.name}")
    started = {account: account.call("POST", "/v1/me/export")["id"] for account in people}
    for _ in range(KILLS):
        system.kill_part("taskforge worker")
        eventually(lambda: system.status("/readyz", "ops") == 200, "the worker is ready again", 60)
    for account, operation_id in started.items():
        operation = ended(account, operation_id)
        assert operation["status"] == "succeeded", operation
        answer = account.http.get(operation["result"]["download_url"])
        assert hashlib.sha256(answer.content).hexdigest() == operation["result"]["sha256"]
        with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
            (task,) = json.loads(files.read("tasks.json"))
            (export,) = json.loads(files.read("operations.json"))
        assert (task["title"], export["id"]) == (f"A task of {account.name}", operation_id)
    # An attempt that was cut off may have left a key of its own, which goes with its object.
    assert len(stored_in(system) - before) == PEOPLE
