"""Where effects of consumers can be seen: a system's door, its store, a mail server and an endpoint for webhooks."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct, structs

from actors.system import TeamSystem
from core.commands import AnyCommand, Batch, CreateTask, CreateTeam
from core.secret import Secret
from core.task import Task, TaskFields
from db.ids import new_id
from db.object_store import ObjectStore
from db.pool import Pools
from db.settings import ObjectSettings
from streams.settings import MailSettings, WebhookSettings
from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.mail_sink import Sink, mail_sink
from tests.support.receivers import Receiver, receiving

__all__ = ["Stage", "Team", "environment_of", "fingerprint", "staging"]

AT_ONCE = 100


def fingerprint(data: bytes) -> str:
    """Short, and the same for the same bytes only."""
    return hashlib.sha256(data).hexdigest()[:16]


class Team(Struct, frozen=True):
    """A team and its owner."""

    id: UUID
    owner: UUID


class Stage(Struct, frozen=True):
    """`settings` are those of every process on it; `superuser` sees and changes every row."""

    settings: Settings
    teams: TeamSystem
    pools: Pools
    store: ObjectStore
    sink: Sink
    receiver: Receiver
    superuser: "asyncpg.Connection[Any]"

    async def user(self) -> UUID:
        """Somebody new, whose address says who."""
        user_id = new_id()
        query = "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Ann', now(), now())"
        await self.superuser.execute(query, user_id, f"{user_id}@example.org")
        return user_id

    async def team(self) -> Team:
        team = Team(new_id(), await self.user())
        await self.ask(team, CreateTeam(team.id, "Effects", "EFF", "Ann"))
        return team

    async def ask(self, team: Team, command: AnyCommand) -> Any:
        return await self.teams.ask(team.id, command, by(team.owner))

    async def tasks(self, team: Team, number: int, **fields: Any) -> list[Task]:
        """So many new tasks of the team, each with a title of its own."""
        made: list[Task] = []
        while len(made) < number:
            some = range(len(made), min(number, len(made) + AT_ONCE))
            batch = Batch(tuple(CreateTask(TaskFields(title=f"Cause {n}", **fields)) for n in some))
            made += [item.task for item in (await self.ask(team, batch)).items]
        return made


@asynccontextmanager
async def staging(settings: Settings, superuser: "asyncpg.Connection[Any]", folder: Path) -> AsyncIterator[Stage]:
    """The stage, with a process that decides for teams and no worker."""
    with mail_sink(folder, tls="none") as (sink, url, _):
        settings = structs.replace(
            settings,
            mail=MailSettings(url=Secret(url), from_="TaskForge <hello@tasks.example>"),
            objects=ObjectSettings(url=(folder / "objects").as_uri()),
            webhooks=WebhookSettings(loopback=True),
        )
        async with receiving() as receiver, running(settings, API) as process:
            services = process.services
            assert services.objects is not None
            yield Stage(settings, services.teams, services.pools, services.objects, sink, receiver, superuser)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The same settings for another process, as far as a stage sets them."""
    return {
        "TASKFORGE_DATABASE__OWNER_URL": settings.database.owner_url.reveal(),
        "TASKFORGE_DATABASE__API_URL": settings.database.api_url.reveal(),
        "TASKFORGE_DATABASE__WRITER_URL": settings.database.writer_url.reveal(),
        "TASKFORGE_DATABASE__WORKER_URL": settings.database.worker_url.reveal(),
        "TASKFORGE_VALKEY__URL": settings.valkey.url.reveal(),
        "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "TASKFORGE_KAFKA__IDEMPOTENT": str(settings.kafka.idempotent).lower(),
        "TASKFORGE_KEYS": msgspec.json.encode([key.reveal() for key in settings.keys]).decode(),
        "TASKFORGE_MAIL__URL": settings.mail.url.reveal(),
        "TASKFORGE_MAIL__FROM": settings.mail.from_,
        "TASKFORGE_OBJECTS__URL": settings.objects.url,
        "TASKFORGE_WEBHOOKS__LOOPBACK": str(settings.webhooks.loopback).lower(),
        "TASKFORGE_OPS__PORT": "0",
    }
