"""A migrated database with people in it, and imports into it as the command line makes them."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from api.services import Services
from core.commands import AddMember, AnyCommand
from core.task import Task, TaskFields
from core.team import TeamState
from db.people.sessions import Client
from taskforge.commands.import_data import Job, import_file
from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.transfer.importing import Tally
from taskforge.transfer.targets import the_team
from taskforge.wiring import running
from tests.support.asking import by

OLGA, MAX = "olga@example.com", "max@example.com"


class Office:
    """Somebody at a terminal in an empty directory."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings, self.directory, self.said = settings, directory, ""

    def file(self, name: str, text: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    async def load(self, file: Path, team: str = "Work", **options: Any) -> Tally:
        out = io.StringIO()
        job = Job(file=file, team=team, **{"email": OLGA, "create_team": True, **options})
        try:
            return await import_file(job, self.settings, Console(file=out, width=500, soft_wrap=True))
        finally:
            self.said = out.getvalue()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        async with running(self.settings, API) as process:
            yield process.services

    async def sign_up(self, email: str, name: str) -> UUID:
        async with self.open() as services:
            grant = await services.identity.sign_up(email, name, "no hash", Client())
        return grant.principal.user_id

    async def team(self, name: str = "Work") -> TeamState:
        async with self.open() as services:
            team_id = await the_team(services, name)
            assert team_id is not None, f"there is no team {name}"
            return (await services.teams.view(team_id)).state.detach()

    async def ask(self, command: AnyCommand, actor_id: UUID, name: str = "Work") -> None:
        async with self.open() as services:
            team_id = await the_team(services, name)
            assert team_id is not None
            await services.teams.ask(team_id, command, by(actor_id))

    async def join(self, user_id: UUID, owner_id: UUID, name: str = "Work") -> None:
        await self.ask(AddMember(user_id, "Max", "member"), owner_id, name)


def by_title(state: TeamState) -> dict[str, Task]:
    return {task.title: task for task in state.tasks.values()}


def told(state: TeamState, task: Task) -> dict[str, Any]:
    """What a client may say of the task, with names instead of this team's ids."""
    fields = {name: getattr(task, name) for name in TaskFields.__struct_fields__}
    titles = {other.id: other.title for other in state.tasks.values()}
    fields["label_ids"] = [state.labels[label_id].name for label_id in task.label_ids]
    fields["parent_id"] = titles.get(task.parent_id) if task.parent_id else None
    fields["blocked_by"] = sorted(titles[blocker] for blocker in task.blocked_by)
    fields.pop("column_id")  # By name once a team has columns of its own; these are the five of every team.
    return fields


def columns(state: TeamState) -> dict[str, list[str]]:
    return {column.category: [task.title for task in state.ordered(column.id)] for column in state.columns.values()}
