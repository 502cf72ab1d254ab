"""Which team a file belongs to, and in whose name it is read in."""

from uuid import UUID

from msgspec import Struct

from api.auth.emails import clean_email
from api.services import Services
from core.ask import Ask
from core.commands import CreateTeam
from core.permissions import ROLES
from core.principal import Principal
from core.team import TeamState
from db.people import directory
from db.people.directory import KnownUser
from taskforge.transfer.files import TransferError
from taskforge.transfer.teams import team_called

__all__ = ["Target", "key_of", "the_target", "the_team"]

SECONDS = 30.0


class Target(Struct, frozen=True):
    """A team, and the member in whose name it is changed. `created` tells that the team is new."""

    team_id: UUID
    actor_id: UUID
    created: bool = False


async def the_team(services: Services, words: str) -> UUID | None:
    """The team with this id, key or name; None when there is none. Raises TransferError when several have the name."""
    return await team_called(services.pools.worker, words)


async def the_target(services: Services, words: str, email: str | None, *, create: bool) -> Target:
    """The team called `words`, made when there is none and `create` says so, and who asks: `email`, else an owner.

    Raises TransferError when the team or the person cannot be told, NotFound for a strange team id.
    """
    person = None if email is None else await _person(services, email)
    team_id = await the_team(services, words)
    if team_id is None:
        if not create:
            raise TransferError(f"there is no team {words!r}; add --create-team to make it")
        return await _new_team(services, words, person or await _only_person(services))
    view = await services.teams.view(team_id, deadline=SECONDS)
    actor_id = _owner(view.state) if person is None else person.id
    view.role_of(actor_id)
    return Target(team_id, actor_id)


async def _person(services: Services, email: str) -> KnownUser:
    address = clean_email(email) or email
    found = (await directory.find_users(services.pools.worker, [address])).get(address)
    if found is None:
        raise TransferError(f"there is no account {email!r}")
    return found


async def _only_person(services: Services) -> KnownUser:
    people = await directory.some_users(services.pools.worker, 2)
    if not people:
        raise TransferError("there is no account yet that could own a new team; sign up on the board page first")
    if len(people) > 1:
        raise TransferError("say with --as EMAIL who shall own the new team")
    return people[0]


async def _new_team(services: Services, name: str, owner: KnownUser) -> Target:
    team_id = services.new_id()
    try:
        command = CreateTeam(team_id, name, key_of(name), owner.name, owner.time_zone)
    except ValueError as error:
        raise TransferError(f"{name!r} cannot be the name of a team: {error}") from error
    if len(name) > 100:
        raise TransferError("the name of a team has at most 100 characters")
    await services.teams.ask(team_id, command, Ask(Principal.of_user(owner.id), deadline=SECONDS))
    return Target(team_id, owner.id, created=True)


def _owner(state: TeamState) -> UUID:
    """The member of the highest role who joined first."""
    members = sorted(state.members.values(), key=lambda member: (ROLES.index(member.role), member.joined_at))
    return members[0].user_id


def key_of(name: str) -> str:
    """A key for a team of this name: initials of its words, or the beginning of its only one."""
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in name.upper()).split()
    letters = "".join(word[0] for word in words) if len(words) > 1 else "".join(words)[:4]
    key = letters.lstrip("0123456789")[:10]
    return key if len(key) > 1 else (key + "TEAM")[:4]
