"""API keys in tests: made by the endpoint, used like any other token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from core.principal import Scope
from tests.support.desk import Desk
from tests.support.site import Person, Site

__all__ = ["Key", "asking_by_key", "make_key"]


class Key(Struct):
    """A key as its maker has seen it once."""

    id: str
    token: str
    owner: Person

    @property
    def person(self) -> Person:
        """Its user, asking by the key."""
        return Person(self.owner.user_id, self.token, "")

    @property
    def headers(self) -> dict[str, str]:
        return self.person.headers


async def make_key(site: Site, owner: Person, *scopes: Scope, **fields: Any) -> Key:
    """A new key of this user's; `fields` are further ones of its body."""
    body = {"name": "A key", "scopes": scopes or ("read",), **fields}
    answer = await site.client.post("/v1/me/api-keys", json=body, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Key(made["id"], made["token"], owner)


@asynccontextmanager
async def asking_by_key(
    desk: Desk, *scopes: Scope, team_id: str | None = None, who: str = "owner"
) -> AsyncIterator[Key]:
    """Whoever asks as this person in this block asks by a key of theirs."""
    person = desk[who]
    key = await make_key(desk.site, person, *scopes, team_id=team_id)
    desk.people[who] = key.person
    try:
        yield key
    finally:
        desk.people[who] = person
