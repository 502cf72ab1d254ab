"""`taskforge demo`, and `taskforge up --demo`: an account, colleagues and a team with something to look at."""

import argparse
import asyncio
import os
import secrets
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct
from rich.console import Console

from api.services import Services
from core.ask import Ask
from core.commands import AddMember, CreateTeam
from core.errors import Conflict
from core.principal import Principal
from db.people import directory
from db.people.sessions import Client
from db.readmodel import my_teams
from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.transfer.importing import Importer
from taskforge.transfer.samples import sample_wishes
from taskforge.transfer.targets import SECONDS, Target
from taskforge.wiring import running

__all__ = ["Seeded", "run", "seed"]

TEAM, KEY = "Demo", "DEMO"
EMAIL, NAME = "demo@example.com", "Dana Demo"
COLLEAGUES = {
    "amir@example.com": "Amir Haddad",
    "berit@example.com": "Berit Lund",
    "chidi@example.com": "Chidi Okafor",
    "doris@example.com": "Doris Keller",
}
REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


class Login(Struct):
    """What lies in the data directory, readable by its owner only."""

    email: str
    password: str


class Seeded(Struct, frozen=True):
    """The demo as it stands; `tasks` is what was added now, `password` None when it is not known here."""

    email: str
    password: str | None
    team_id: UUID
    tasks: int


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit code 0. A second run adds only what an earlier one did not finish."""
    seeded = asyncio.run(_run(settings, args.data))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"demo: {seeded.tasks} tasks added to the team {TEAM} ({seeded.team_id})", markup=False)
    if seeded.password is None:
        console.print(
            f"  log in as {seeded.email}; its password was made elsewhere and is not known here", markup=False
        )
    else:
        console.print(f"  log in as {seeded.email} with {seeded.password}", markup=False)
    return 0


async def _run(settings: Settings, data: Path) -> Seeded:
    async with running(settings, API) as process:
        return await seed(process.services, data / "demo.json", REAL_DATA)


async def seed(services: Services, login_file: Path, real_data: Path) -> Seeded:
    """Make what is missing of account, colleagues, team and tasks. Whatever people changed meanwhile stays."""
    owner_id, password = await _owner(services, login_file)
    people = {email: await _colleague(services, email, name) for email, name in COLLEAGUES.items()}
    team_id = await _team(services, owner_id)
    view, by_owner = await services.teams.view(team_id, deadline=SECONDS), Ask(Principal.of_user(owner_id))
    for email, user_id in people.items():
        if user_id not in view.state.members:
            await services.teams.ask(team_id, AddMember(user_id, COLLEAGUES[email], "member"), by_owner)
    wishes = sample_wishes(real_data, [EMAIL, *COLLEAGUES], services.clock.now())
    if view.state.top_number >= len(wishes):
        return Seeded(EMAIL, password, team_id, 0)
    importer = Importer(services, Target(team_id, owner_id), advance=lambda _: None, keep=True)
    tally = await importer.run(wishes)
    return Seeded(EMAIL, password, team_id, tally.created)


async def _owner(services: Services, login_file: Path) -> tuple[UUID, str | None]:
    """The account one logs in with. Its password is stored before it is used, so that it is never lost."""
    known = (await directory.find_users(services.pools.worker, [EMAIL])).get(EMAIL)
    if known is not None:
        return known.id, _stored(login_file)
    password = _stored(login_file) or _store(login_file, secrets.token_urlsafe(12))
    return await _sign_up(services, EMAIL, NAME, password), password


async def _colleague(services: Services, email: str, name: str) -> UUID:
    known = (await directory.find_users(services.pools.worker, [email])).get(email)
    return known.id if known is not None else await _sign_up(services, email, name, secrets.token_urlsafe(32))


async def _sign_up(services: Services, email: str, name: str, password: str) -> UUID:
    try:
        await services.identity.sign_up(email, name, await services.passwords.hash(password), Client("taskforge demo"))
    except Conflict as conflict:  # Another demo was quicker.
        if conflict.reason != "email-taken":
            raise
    found = await directory.find_users(services.pools.worker, [email])
    return found[email].id


async def _team(services: Services, owner_id: UUID) -> UUID:
    for mine in await my_teams(services.pools.api, owner_id, limit=100):
        if mine.team.key == KEY:
            return mine.team.id
    team_id = services.new_id()
    await services.teams.ask(team_id, CreateTeam(team_id, TEAM, KEY, NAME), Ask(Principal.of_user(owner_id)))
    return team_id


def _stored(login_file: Path) -> str | None:
    try:
        return msgspec.json.decode(login_file.read_bytes(), type=Login).password
    except FileNotFoundError:
        return None


def _store(login_file: Path, password: str) -> str:
    login_file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(login_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(Login(EMAIL, password)))
    return password
