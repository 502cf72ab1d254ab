"""Whoever may ask the API, in each role and by each kind of key, and what about: a team of theirs, or a foreign one.

`expected` says from the table of permissions (`core/permissions.py`, `core/rights.py`) what they get.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from msgspec import Struct

from api.auth.tokens import AccessTokens
from api.openapi import Operation
from core.permissions import Right, Role, allows
from core.principal import Principal, Scope
from core.rights import Requirement
from db.people.external_identities import ExternalIdentity
from db.people.sessions import Client
from db.transaction import writing
from tests.support.desk import RANDOM, Desk
from tests.support.files import attached, begun, picture, uploaded
from tests.support.printed import kept_report
from tests.support.sagas import started

__all__ = ["ASKERS", "FORBIDDEN", "OK", "Asker", "Scene", "expected", "keys_of"]

OK, UNAUTHENTICATED, FORBIDDEN, UNKNOWN = 0, 401, 403, 404
SECRET = "Nothing for other eyes"
ENDED = "update operations set status = 'failed', ended_at = now() where user_id = $1 and ended_at is null"


class Asker(Struct, frozen=True):
    """Who asks: somebody at the desk (None: nobody signed in), in a role of the team, perhaps by a key of a scope."""

    name: str
    person: str | None
    role: Role | None = None
    scope: Scope | None = None

    def headers(self, desk: Desk) -> dict[str, str]:
        if self.person is None:
            return {}
        return {"Authorization": f"Bearer key-{self.person}-{self.scope}"} if self.scope else desk[self.person].headers

    def has(self, right: Right) -> bool:
        return self.role is not None and allows(self.role, right.permission) and self.reaches(right.scope)

    def reaches(self, scope: Scope) -> bool:
        return self.scope is None or scope in Principal.of_key(UUID(RANDOM), UUID(RANDOM), [self.scope]).scopes


ASKERS: Final = (
    Asker("owner", "owner", "owner"),
    Asker("admin", "admin", "admin"),
    Asker("member", "member", "member"),
    Asker("viewer", "viewer", "viewer"),
    Asker("stranger", "loner"),
    Asker("removed", "removed"),
    Asker("anonymous", None),
    Asker("key that reads", "owner", "owner", "read"),
    Asker("key that writes", "owner", "owner", "write"),
    Asker("key that manages", "owner", "owner", "admin"),
    Asker("key that may more than its user", "viewer", "viewer", "admin"),
)


@contextmanager
def keys_of(desk: Desk) -> Iterator[None]:
    """`Bearer key-<person>-<scope>` is a key of that person's: real ones have tests of their own."""
    known = AccessTokens.principal_of
    keys = {
        asker.headers(desk)["Authorization"].encode(): (uuids.uuid7(), UUID(desk[asker.person].user_id), asker.scope)
        for asker in ASKERS
        if asker.person is not None and asker.scope is not None
    }

    def principal_of(self: AccessTokens, header: bytes) -> Principal:
        key = keys.get(header)
        if key is None:
            return known(self, header)
        key_id, user_id, scope = key
        return Principal.of_key(key_id, user_id, [scope])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AccessTokens, "principal_of", principal_of)
        yield


def expected(requires: Requirement, asker: Asker, place: str, *, varies: bool) -> int:
    """The status, OK for any success. `varies`: the request names something, which is the asker's own or is not."""
    if requires.who == "anybody":
        return OK
    if asker.person is None:
        return UNAUTHENTICATED
    if requires.right is None:
        if asker.scope is not None and not (requires.keys and requires.scope and asker.reaches(requires.scope)):
            return FORBIDDEN
        return UNKNOWN if varies and place != "own" else OK
    if place != "own" or asker.role is None:
        return UNKNOWN
    return OK if asker.has(requires.right) and (requires.keys or asker.scope is None) else FORBIDDEN


class Scene:
    """A desk with more people: `loner` is in no team, `removed` was in the team, `guest` is somebody to act upon."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.foreign: dict[str, str] = {}
        self.lobby = ""
        self._number = 0

    @classmethod
    async def open(cls, desk: Desk) -> "Scene":
        scene = cls(desk)
        for name in ("loner", "removed", "guest", "outsider"):
            desk.people[name] = await desk.site.person()
        await desk.join(desk.team, "owner", "removed", "admin")
        await desk.delete(f"/v1/teams/{desk.team}/members/{desk['removed'].user_id}")
        team = await desk.new_team("outsider")
        task = await desk.site.task(desk["outsider"], team, SECRET)
        body = {"name": "foreign label", "color": "#000000"}
        label = (await desk.post(f"/v1/teams/{team}/labels", body, "outsider")).json()
        comment = (await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": SECRET}, "outsider")).json()
        file = await attached(desk, task["id"], SECRET.encode(), who="outsider")
        upload = (await begun(desk, task["id"], b"another", "outsider")).json()
        body = {"name": "foreign column", "category": "open"}
        column = (await desk.post(f"/v1/teams/{team}/columns", body, "outsider")).json()
        link = (await desk.post(f"/v1/teams/{team}/invitations", {"role": "viewer"}, "outsider")).json()
        scene.foreign = {
            "team_id": team,
            "task_id": task["id"],
            "comment_id": comment["id"],
            "label_id": label["id"],
            "attachment_id": file["id"],
            "upload_id": upload["upload_id"],
            "column_id": column["id"],
            "invitation_id": link["id"],
            "user_id": desk["outsider"].user_id,
            "session_id": await scene.session("outsider"),
            "key_id": await scene.key("outsider"),
            "identity_id": await scene.identity("outsider"),
            "operation_id": await scene.operation("outsider"),
            **await scene.webhook(team, "outsider"),
            "report_id": await kept_report(desk.site.services.pools.worker, desk["outsider"].user_id, team),
            "number": "1",
            "seq": "1",
        }
        made = await desk.post(f"/v1/teams/{await desk.new_team()}/invitations", {"role": "viewer", "max_uses": 100})
        scene.lobby = made.json()["token"]
        return scene

    @property
    def secrets(self) -> tuple[str, ...]:
        """What stands in nobody's answer but the outsider's."""
        return (SECRET, "foreign label", "foreign column", self.foreign["invitation_id"], self.foreign["label_id"])

    async def column(self) -> str:
        """A further column of the team, which has no other than that and those that every team begins with."""
        desk, path = self.desk, f"/v1/teams/{self.desk.team}/columns"
        for column in (await desk.get(path)).json()["items"]:
            if column["name"].startswith("swept"):
                await desk.delete(f"{path}/{column['id']}")
        body = {"name": f"swept {self.next()}", "category": "open"}
        return str((await desk.post(path, body)).raise_for_status().json()["id"])

    async def webhook(self, team_id: str, who: str = "owner") -> dict[str, str]:
        """A further webhook of the team, and a delivery of it; those of before go, so that no quota is reached."""
        desk, path = self.desk, "/v1/webhooks/subscriptions"
        for old in (await desk.get(f"{path}?team_id={team_id}&limit=100", who)).raise_for_status().json()["items"]:
            await desk.delete(f"{path}/{old['id']}", who)
        body = {"team_id": team_id, "url": "https://hooks.example.com/in", "description": "foreign webhook"}
        made = (await desk.post(path, body, who)).raise_for_status().json()
        tried = (await desk.post(f"{path}/{made['id']}/test", None, who)).raise_for_status().json()
        return {"subscription_id": made["id"], "delivery_id": tried["id"]}

    async def session(self, who: str) -> str:
        """A further session of somebody's."""
        grant = await self.desk.site.services.identity.sessions.start(UUID(self.desk[who].user_id), Client())
        return str(grant.principal.session_id)

    async def key(self, who: str) -> str:
        """A further API key of somebody's."""
        made = await self.desk.post("/v1/me/api-keys", {"name": "Swept", "scopes": ["read"]}, who)
        return str(made.raise_for_status().json()["id"])

    async def identity(self, who: str) -> str:
        """A further identity of somebody's at another issuer."""
        user_id, services = UUID(self.desk[who].user_id), self.desk.site.services
        identity = ExternalIdentity("https://issuer.example.org", f"subject {self.next()}", None, False, who)
        async with writing(services.pools.api, user_id) as tx:
            return str((await services.external.identities.link_in(tx, user_id, identity)).id)

    async def operation(self, who: str) -> str:
        """An operation of somebody's about the team, which a key may see, too."""
        services = self.desk.site.services
        return await started(services.pools, UUID(self.desk[who].user_id), UUID(self.desk.team))

    async def comment(self, who: str | None) -> str:
        """A further comment of somebody's, on a new task."""
        task = await self.desk.task(f"Task {self.next()}")
        made = await self.desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "so"}, who or "owner")
        return str(made.raise_for_status().json()["id"])

    async def no_export(self, who: str) -> None:
        """Nothing is on its way that would be in the way of another export or report."""
        async with writing(self.desk.site.services.pools.worker) as tx:
            await tx.execute(ENDED, UUID(self.desk[who].user_id))

    async def values(self, operation: Operation, asker: Asker, place: str) -> Mapping[str, str]:
        """The ids that the request names; those of one's own are new, so that what was done before is no matter."""
        if place == "random":
            return {**dict.fromkeys(self.foreign, RANDOM), "number": "1", "seq": "1"}
        return self.foreign if place == "foreign" else await self._own(operation, asker)

    async def _own(self, operation: Operation, asker: Asker) -> dict[str, str]:
        desk, values = self.desk, {"team_id": self.desk.team}
        if "{task_id}" in operation.path or "{number}" in operation.path:
            task = await desk.task(f"Task {self.next()}")
            values |= {"task_id": task["id"], "number": str(task["number"]), "seq": str(task["version"])}
            if operation.id == "restoreTask":
                assert (await desk.delete(f"/v1/tasks/{task['id']}")).is_success
        if "{comment_id}" in operation.path:
            values["comment_id"] = await self.comment("owner" if asker.role in {None, "viewer"} else asker.person)
        if "{attachment_id}" in operation.path:
            task = await desk.task(f"Task {self.next()}")
            values["attachment_id"] = await picture(desk, task["id"])
        if "{upload_id}" in operation.path:
            values["upload_id"] = (
                RANDOM if asker.person is None else await uploaded(desk, values["task_id"], asker.person)
            )
        if "{label_id}" in operation.path:
            body = {"name": f"label {self.next()}", "color": "#000000"}
            values["label_id"] = (await desk.post(f"/v1/teams/{desk.team}/labels", body)).json()["id"]
        if "/columns" in operation.path:
            values["column_id"] = await self.column()
        if "{invitation_id}" in operation.path:
            made = await desk.post(f"/v1/teams/{desk.team}/invitations", {"role": "viewer"})
            values["invitation_id"] = made.json()["id"]
        if "{user_id}" in operation.path:
            values["user_id"] = desk["guest"].user_id
            view = await desk.site.services.teams.view(UUID(desk.team))
            if UUID(desk["guest"].user_id) not in view.state.members:
                await desk.join(desk.team, "owner", "guest", "viewer")
        if "{subscription_id}" in operation.path or "{delivery_id}" in operation.path:
            values |= await self.webhook(desk.team)
        if "{session_id}" in operation.path:
            values["session_id"] = RANDOM if asker.person is None else await self.session(asker.person)
        if "{operation_id}" in operation.path:
            values["operation_id"] = RANDOM if asker.person is None else await self.operation(asker.person)
        if "{report_id}" in operation.path:
            owner = desk["owner"].user_id
            values["report_id"] = await kept_report(desk.site.services.pools.worker, owner, desk.team)
        if operation.id in {"exportMe", "makeReport", "makeBootstrap"} and asker.person is not None:
            await self.no_export(asker.person)
        if "{key_id}" in operation.path:
            values["key_id"] = RANDOM if asker.person is None else await self.key(asker.person)
        if "{identity_id}" in operation.path:
            values["identity_id"] = RANDOM if asker.person is None else await self.identity(asker.person)
        return values

    def next(self) -> int:
        """A number that nothing here has had."""
        self._number += 1
        return self._number
