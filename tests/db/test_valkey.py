"""The Valkey client: short patience, one exception, and warnings that do not flood."""

import logging

import pytest
import valkey.exceptions

from db.valkey import QuietLog, ValkeyUnavailable, open_valkey, valkey_errors
from taskforge.devstack import DevStack

pytestmark = pytest.mark.anyio


async def test_answers_are_bytes(valkey_url: str) -> None:
    async with open_valkey(valkey_url) as client:
        await client.set("key", "värde")
        assert await client.get("key") == "värde".encode()


async def test_opening_needs_no_server_and_asking_says_that_there_is_none() -> None:
    async with open_valkey("valkey://127.0.0.1:1/0") as client:
        with pytest.raises(ValkeyUnavailable), valkey_errors():
            await client.get("key")


async def test_a_killed_server_is_unavailable_and_is_found_again(services: DevStack, valkey_url: str) -> None:
    async with open_valkey(valkey_url) as client:
        await client.set("key", "value")
        await services.valkey.kill()
        with pytest.raises(ValkeyUnavailable), valkey_errors():
            await client.get("key")
        await services.valkey.start()
        assert await client.get("key") is None


@pytest.mark.parametrize(
    "error", [valkey.exceptions.ConnectionError("x"), valkey.exceptions.ResponseError("OOM"), OSError(), TimeoutError()]
)
def test_every_failure_of_the_server_is_one_exception(error: Exception) -> None:
    with pytest.raises(ValkeyUnavailable), valkey_errors():
        raise error


def test_our_own_mistakes_come_through() -> None:
    with pytest.raises(KeyError), valkey_errors():
        raise KeyError("x")


def test_the_same_trouble_is_logged_once_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 1_000.0
    log = QuietLog(logging.getLogger("quiet"), lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            log.warning("gone: %s", "why")
        now += 60
        log.warning("gone: %s", "why")
    assert caplog.messages == ["gone: why (0 alike left out)", "gone: why (99 alike left out)"]
