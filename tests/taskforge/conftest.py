"""Somebody at a terminal, for the commands that read and write data."""

from pathlib import Path

import pytest

from core.secret import Secret
from db.settings import DatabaseSettings, ValkeySettings
from streams.settings import KafkaSettings
from taskforge.settings import Settings
from tests.support.office import Office


@pytest.fixture
async def office(
    database: DatabaseSettings, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Office:
    """An empty directory, a fresh database and no account in it."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        database=database,
        valkey=ValkeySettings(url=Secret(valkey_url)),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"),
        keys=(Secret("a secret of at least thirty-two bytes"),),
    )
    return Office(settings, tmp_path)
