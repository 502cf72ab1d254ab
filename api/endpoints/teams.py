"""Teams, their members and labels. Reads come from the board in memory, changes are commands to the team."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Struct, UnsetType
from msgspec.json import Decoder

from actors.board import TeamView
from actors.envelope import CommandResult
from api import paths, rest_v1
from api.access import Access
from api.answers import Answer, about_team, encode, json
from api.asks import ask_of
from api.auth.time_zones import check_time_zone
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.changes import Changes, Render
from api.endpoints.team_docs import OPERATIONS
from api.etags import fresh, not_modified, team_headers, version_tag
from api.paging import FORMER_MEMBERS, LABELS, MEMBERS, TEAMS, Cursors, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.schemas import LabelPatch, MemberPatch, NewLabel, NewTeam, TeamPage, TeamPatch, team_answer
from api.services import Services
from api.used_keys import UsedKeys
from core.commands import (
    AnyCommand,
    ChangeRole,
    CreateLabel,
    CreateTeam,
    DeleteLabel,
    RemoveMember,
    UpdateLabel,
    UpdateTeam,
)
from core.errors import NotFound
from core.events import LabelEvent, MemberEvent, Team, TeamUpdated
from core.permissions import MATRIX, Permission, Role, allows
from db import readmodel
from db.people.former_members import former_members
from db.team_seen import Seen, seen_of
from db.transaction import reading

__all__ = ["OPERATIONS", "register"]

T = TypeVar("T", bound=Struct)
P = TypeVar("P", bound=tuple[Any, UUID])


class MemberQuery(PageQuery, frozen=True, kw_only=True):
    """`former`: those whose membership has ended, instead of the members."""

    former: Literal["true", "false"] = "false"


class Teams:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._access = Access(services)
        self._changes = Changes(services)
        self._new_team = decoder_for(NewTeam)
        self._team_patch = decoder_for(TeamPatch)
        self._member_patch = decoder_for(MemberPatch)
        self._new_label = decoder_for(NewLabel)
        self._label_patch = decoder_for(LabelPatch)

    # Teams

    async def create_team(self, request: Request) -> Response:
        """POST /v1/teams: the caller becomes the owner."""
        call = call_of(request)
        user_id = call.principal().user_id
        no_query(call)
        refuse_if_match(call)
        new = await body_of(request, self._new_team)
        wanted = None if isinstance(new.time_zone, UnsetType) else check_time_zone(new.time_zone)
        user = await self._services.identity.user(user_id)
        team_id = self._services.new_id()

        def render(result: CommandResult) -> Answer:
            team = next(one.event.team for one in result.events if isinstance(one.event, TeamUpdated))
            seen = Seen(team.id, 0, 0)
            own = ((b"location", link(paths.TEAM, team.id)), (b"etag", etag_of(team, "owner", result.epoch, seen)))
            headers = self._changes.headers(team.id, result, own)
            return Answer(201, encode(team_answer(team, "owner", permissions_of("owner"), seen)), headers)

        async with self._services.team_places.held(user_id, team_id):
            command = CreateTeam(team_id, new.name, new.key, user.name, wanted or user.time_zone)
            return await self._make(call, team_id, command, render)

    async def list_teams(self, request: Request) -> Response:
        """GET /v1/teams: those I am a member of, as far as my API key reaches."""
        principal = call_of(request).principal()
        query = query_of(request, PageQuery)
        after = None if query.cursor is None else TEAMS.read(query.cursor)
        found = await readmodel.my_teams(
            self._services.pools.api, principal.user_id, only=principal.team_id, after=after, limit=query.limit + 1
        )
        shown, last = page_of(found, query.limit)
        seen = await self._seen(principal.user_id, [mine.team.id for mine in shown])
        items = tuple(
            team_answer(mine.team, mine.role, permissions_of(mine.role), seen.get(mine.team.id)) for mine in shown
        )
        return json(200, TeamPage(items, None if last is None else TEAMS.write(last.team.id)))

    async def get_team(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}."""
        call, team_id = call_of(request), path_value(request, "team_id")
        user_id = call.principal().user_id
        no_query(call)
        view = await self._access.team(call, team_id)
        team, role = team_of(view), view.role_of(user_id)
        seen = (await self._seen(user_id, [team_id])).get(team_id)
        etag = etag_of(team, role, view.epoch, seen)
        if fresh(call, etag):
            return not_modified(call, etag).response()
        body = encode(team_answer(team, role, permissions_of(role), seen))
        return Answer(200, body, team_headers(call, etag)).response()

    async def _seen(self, user_id: UUID, team_ids: Sequence[UUID]) -> Mapping[UUID, Seen]:
        """What the user has looked at of the teams, and what is unread."""
        async with reading(self._services.pools.api, user_id) as tx:
            return await seen_of(tx, user_id, team_ids)

    async def update_team(self, request: Request) -> Response:
        """PATCH /v1/teams/{team_id}."""
        call, team_id, view = await self._changing(request)
        user_id = call.principal().user_id
        patch = await body_of(request, self._team_patch, *MERGE_PATCH)
        if not isinstance(patch.time_zone, UnsetType):
            check_time_zone(patch.time_zone)
        command = UpdateTeam(name=patch.name, wip=patch.wip, time_zone=patch.time_zone)

        def render(result: CommandResult) -> Answer:
            changed = [one.event.team for one in result.events if isinstance(one.event, TeamUpdated)]
            team, role = (changed[-1] if changed else team_of(view)), view.role_of(user_id)
            etag = etag_of(team, role, result.epoch)
            headers = self._changes.headers(team_id, result, ((b"etag", etag),))
            return Answer(200, encode(team_answer(team, role, permissions_of(role))), headers)

        return await self._make(call, team_id, command, render)

    # Members

    async def list_members(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/members: those of now, or the former ones."""
        call = call_of(request)
        call.principal()
        query = query_of(request, MemberQuery)
        if query.former == "true":
            return await self._former_members(request, query)
        return await self._page(request, query, MEMBERS, members_of, lambda one: (one.joined_at, one.user_id))

    async def _former_members(self, request: Request, query: PageQuery) -> Response:
        call, team_id = call_of(request), path_value(request, "team_id")
        await self._access.team(call, team_id)
        after = None if query.cursor is None else FORMER_MEMBERS.read(query.cursor)
        pool, user_id = self._services.pools.api, call.principal().user_id
        found = await former_members(pool, user_id, team_id, after=after, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        page = {"items": shown, "next_cursor": None if last is None else FORMER_MEMBERS.write(last.place)}
        return json(200, page, about_team(call.team, call.seq, call.epoch))

    async def update_member(self, request: Request) -> Response:
        """PATCH /v1/teams/{team_id}/members/{user_id}."""
        user_id = path_value(request, "user_id")

        def after(view: TeamView, result: CommandResult) -> rest_v1.Member:
            changed = [one.event.member for one in result.events if isinstance(one.event, MemberEvent)]
            shown: rest_v1.Member = rest_v1.member(changed[-1] if changed else view.state.members[user_id])
            return shown

        return await self._patch(request, self._member_patch, lambda patch: ChangeRole(user_id, patch.role), after)

    async def remove_member(self, request: Request) -> Response:
        """DELETE /v1/teams/{team_id}/members/{user_id}; of oneself: leave."""
        return await self._remove(request, lambda: RemoveMember(path_value(request, "user_id")))

    # Labels

    async def list_labels(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/labels."""
        return await self._list(request, LABELS, labels_of, lambda label: (label.name.casefold(), label.id))

    async def create_label(self, request: Request) -> Response:
        """POST /v1/teams/{team_id}/labels."""
        call, team_id, _ = await self._changing(request)
        new = await body_of(request, self._new_label)

        def render(result: CommandResult) -> Answer:
            label = next(one.event.label for one in result.events if isinstance(one.event, LabelEvent))
            own = ((b"location", link(paths.TEAM_LABEL, team_id, label.id)),)
            return Answer(201, encode(rest_v1.label(label)), self._changes.headers(team_id, result, own))

        return await self._make(call, team_id, CreateLabel(new.name, new.color), render)

    async def update_label(self, request: Request) -> Response:
        """PATCH /v1/teams/{team_id}/labels/{label_id}."""
        label_id = path_value(request, "label_id")

        def command(patch: LabelPatch) -> AnyCommand:
            return UpdateLabel(label_id=label_id, name=patch.name, color=patch.color)

        def after(view: TeamView, result: CommandResult) -> rest_v1.Label:
            changed = [one.event.label for one in result.events if isinstance(one.event, LabelEvent)]
            shown: rest_v1.Label = rest_v1.label(changed[-1] if changed else view.state.labels[label_id])
            return shown

        return await self._patch(request, self._label_patch, command, after)

    async def delete_label(self, request: Request) -> Response:
        """DELETE /v1/teams/{team_id}/labels/{label_id}."""
        return await self._remove(request, lambda: DeleteLabel(path_value(request, "label_id")))

    async def _list(
        self,
        request: Request,
        cursors: Cursors[P],
        things_of: Callable[[TeamView], Iterable[T]],
        place_of: Callable[[T], P],
    ) -> Response:
        """`_page` of an endpoint that has no other parameters."""
        call_of(request).principal()
        return await self._page(request, query_of(request, PageQuery), cursors, things_of, place_of)

    async def _page(
        self,
        request: Request,
        query: PageQuery,
        cursors: Cursors[P],
        things_of: Callable[[TeamView], Iterable[T]],
        place_of: Callable[[T], P],
    ) -> Response:
        """A page of what a team has in memory, in the order of the places."""
        call = call_of(request)
        view = await self._access.team(call, path_value(request, "team_id"))
        ordered = sorted(things_of(view), key=place_of)
        if query.cursor is not None:
            ordered = ordered[bisect_right(ordered, cursors.read(query.cursor), key=place_of) :]
        shown, last = page_of(ordered, query.limit)
        page = {"items": shown, "next_cursor": None if last is None else cursors.write(place_of(last))}
        return json(200, page, about_team(call.team, call.seq, call.epoch))

    async def _patch(
        self,
        request: Request,
        decoder: Decoder[T],
        command_of: Callable[[T], AnyCommand],
        after: Callable[[TeamView, CommandResult], object],
    ) -> Response:
        """A merge patch of one thing of a team; `after` finds it in the result, or unchanged in the team before."""
        call, team_id, view = await self._changing(request)
        patch = await body_of(request, decoder, *MERGE_PATCH)

        def render(result: CommandResult) -> Answer:
            return Answer(200, encode(after(view, result)), self._changes.headers(team_id, result))

        return await self._make(call, team_id, command_of(patch), render)

    async def _changing(self, request: Request) -> tuple[Call, UUID, TeamView]:
        """The call, its team and the team as it stands. Raises what signing in, conditions and membership demand."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        return call, team_id, await self._access.team(call, team_id)

    async def _remove(self, request: Request, command: Callable[[], AnyCommand]) -> Response:
        call, team_id, _ = await self._changing(request)

        def gone(result: CommandResult) -> Answer:
            return Answer(204, b"", self._changes.headers(team_id, result), b"")

        return await self._make(call, team_id, command(), gone)

    async def _make(self, call: Call, team_id: UUID, command: AnyCommand, render: Render) -> Response:
        return (await self._changes.make(await ask_of(call), team_id, command, render)).response()


def members_of(view: TeamView) -> Iterable[rest_v1.Member]:
    """All members, in no order."""
    return map(rest_v1.member, view.state.members.values())


def labels_of(view: TeamView) -> Iterable[rest_v1.Label]:
    """All labels, in no order."""
    return map(rest_v1.label, view.state.labels.values())


def team_of(view: TeamView) -> Team:
    """The team's settings."""
    if view.state.team is None:
        raise NotFound("team")
    return view.state.team


def permissions_of(role: Role) -> tuple[Permission, ...]:
    """What the role allows, in a fixed order."""
    return tuple(row.permission for row in MATRIX if allows(role, row.permission))


def etag_of(team: Team, role: Role, epoch: int, seen: Seen | None = None) -> bytes:
    """The answer names the role of the caller, and perhaps what they have seen, so its ETag must too."""
    looked = b"" if seen is None else b"-%d-%d" % (seen.seq, seen.unread)
    return version_tag(epoch, team.version)[:-1] + b'-%s%s"' % (role.encode(), looked)


def register(router: Router, services: Services) -> None:
    """The endpoints of teams, members and labels."""
    teams, keyed = Teams(services), UsedKeys(services).around
    router.add_post(pattern(paths.TEAMS), keyed(teams.create_team))
    router.add_get(pattern(paths.TEAMS), teams.list_teams)
    router.add_get(pattern(paths.TEAM), teams.get_team)
    router.add_patch(pattern(paths.TEAM), keyed(teams.update_team))
    router.add_get(pattern(paths.TEAM_MEMBERS), teams.list_members)
    router.add_patch(pattern(paths.TEAM_MEMBER), keyed(teams.update_member))
    router.add_delete(pattern(paths.TEAM_MEMBER), keyed(teams.remove_member))
    router.add_get(pattern(paths.TEAM_LABELS), teams.list_labels)
    router.add_post(pattern(paths.TEAM_LABELS), keyed(teams.create_label))
    router.add_patch(pattern(paths.TEAM_LABEL), keyed(teams.update_label))
    router.add_delete(pattern(paths.TEAM_LABEL), keyed(teams.delete_label))
