"""A team that was due for a new epoch lost its fence to nobody, and was asked again at once, some 420 times a second.

Each answer to a change of it waited until another part of the process raised the epoch, or for its deadline.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.commands import CreateTask, CreateTeam
from core.errors import StorageUnavailable
from core.task import TaskFields
from core.writes import CommitOutcome, TeamWrites
from db.journal.journal import PostgresJournal
from db.people.sessions import Client
from db.settings import DatabaseSettings
from taskforge.parts import history_watch
from taskforge.parts.names import API
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.site import settings_for

pytestmark = pytest.mark.anyio


async def test_a_change_of_a_team_that_waits_takes_one_transaction_and_begins_its_epoch(
    database: DatabaseSettings, valkey_url: str, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_watch, "LOOK_SECONDS", 3_600.0)
    transactions = counted(monkeypatch)
    async with running(settings_for(database, valkey_url), API) as process:
        services = process.services
        owner = (await services.identity.sign_up("ada@example.com", "Ada", "hash", Client())).principal.user_id
        team = services.new_id()
        await services.teams.ask(team, CreateTeam(team, "Engineering", "ENG", "Ada"), by(owner))
        await superuser.execute("insert into epochs_due (team_id) values ($1)", team)
        transactions.clear()
        with pytest.raises(StorageUnavailable):
            await services.teams.ask(team, CreateTask(TaskFields(title="Too early")), by(owner))
        assert transactions == ["commit"]
        made = await services.teams.ask(team, CreateTask(TaskFields(title="In time")), by(owner))
        assert [(event.row.epoch, event.row.seq) for event in made.events] == [(2, 4)]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the journal was asked to write from here on."""
    asked = list[str]()
    commit, lock = PostgresJournal.commit, PostgresJournal.lock

    async def counting_commit(self: PostgresJournal, batches: Sequence[TeamWrites]) -> Mapping[UUID, CommitOutcome]:
        asked.append("commit")
        return await commit(self, batches)

    def counting_lock(self: PostgresJournal, team_id: UUID) -> Any:
        asked.append("lock")
        return lock(self, team_id)

    monkeypatch.setattr(PostgresJournal, "commit", counting_commit)
    monkeypatch.setattr(PostgresJournal, "lock", counting_lock)
    return asked
