"""Brute force against two worker processes is limited as against one, also while Valkey is frozen."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.account import NO_TLS
from tests.support.directories import open_directory
from tests.support.freezing import frozen
from tests.support.rates import few, variables_of
from tests.support.system import System, children

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

QUOTA, TRIES = 10, 60


@pytest.fixture(scope="module")
def system(services_root: Path) -> Iterator[System]:
    with open_directory(services_root) as directory:
        limits = variables_of(few(login=QUOTA, refresh=QUOTA, login_seconds=600, refresh_seconds=600))
        system = System(directory, "--workers", "2", environment=limits)
        try:
            system.start()
            yield system
            assert system.stop() == 0, system.said()[-4000:]
        finally:
            system.kill()


def statuses(system: System, path: str, body: dict[str, str]) -> Counter[int]:
    """Of so many tries at once, each on a connection of its own, so that either worker gets some."""

    def ask(_: int) -> int:
        return httpx.post(f"{system.url}{path}", json=body, verify=NO_TLS, timeout=20).status_code

    with ThreadPoolExecutor(16) as threads:
        return Counter(threads.map(ask, range(TRIES)))


def test_logins_over_two_processes_are_limited_together(system: System) -> None:
    assert len(children(system.pid_of("taskforge api"))) >= 2
    body = {"email": "nobody@example.com", "password": "a wrong guess"}
    found = statuses(system, "/v1/auth/login", body)
    assert found.keys() == {401, 429}
    assert QUOTA <= found[401] <= QUOTA + 1
    later = statuses(system, "/v1/auth/login", body)
    assert found[401] + later.get(401, 0) <= QUOTA + 1
    assert later.keys() <= {401, 429}


def test_refreshes_are_limited_while_valkey_is_frozen(system: System) -> None:
    with frozen(system.pid_of("valkey")):
        found = statuses(system, "/v1/auth/refresh", {"refresh_token": "tfr_guess"})
    assert found.keys() == {401, 429}
    assert found[401] <= QUOTA + 1
