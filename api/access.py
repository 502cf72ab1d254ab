"""Which team a request is about, and whether the caller is a member: the one guarded door of the team endpoints.

A foreign id must look exactly like a random one, in time too: whenever memory does not prove membership, Postgres is
asked in the name of that user, and a team that is not theirs is never activated for them.
"""

from typing import Final
from uuid import UUID

from actors.board import TeamView
from api.calls import Call
from api.services import Services
from core.errors import AheadOfHistory, HistoryRewritten, NotFound
from core.seq import ANYWHERE, Position
from core.writes import JournalPosition
from db import readmodel

__all__ = ["Access", "check_epoch", "team_of"]

WAIT_SECONDS: Final = 2.0
"""How long a request waits for a board to reach `TaskForge-Min-Seq`."""


class Access:
    """Finds teams and tasks for those who may read them."""

    def __init__(self, services: Services) -> None:
        self._teams = services.teams
        self._pool = services.pools.api
        self._locations = services.locations

    def ready(self, call: Call, team_id: UUID, *, at: Position = ANYWHERE) -> TeamView | None:
        """The board, if it is in memory, new enough, and the caller is a member; no await, no network.

        New enough is no earlier than `TaskForge-Min-Seq`, nor than `at`.

        Raises Unauthenticated, BadInput.
        """
        view, principal = self._teams.peek(team_id), call.principal()
        if view is None:
            return None
        state = view.state
        if principal.user_id not in state.members or not principal.reaches(team_id):
            return None
        if b"taskforge-min-seq" in call.headers and not _has_reached(view, call.min_seq()):
            return None
        if at is not ANYWHERE and not _has_reached(view, at):
            return None
        call.team, call.seq, call.epoch = self._locations.name(team_id), state.seq, state.epoch
        return view

    async def team(self, call: Call, team_id: UUID, *, at: Position = ANYWHERE) -> TeamView:
        """The board for a member, at `TaskForge-Min-Seq` or later, and no earlier than `at`.

        Raises NotFound("team") for everybody else, AheadOfHistory, HistoryRewritten, Unauthenticated, BadInput, an
        Unavailable.
        """
        view = self.ready(call, team_id, at=at)
        if view is not None:
            return view
        principal, wanted = call.principal(), call.min_seq()
        user_id = principal.user_id
        now = await readmodel.team_position(self._pool, user_id, team_id)
        if now is None or not principal.reaches(team_id):
            raise NotFound("team")
        call.team, call.seq, call.epoch = self._locations.name(team_id), now.seq, now.epoch
        for named in (wanted, at):
            check_epoch(named, now)
        least = max(now.seq, wanted.seq, at.seq)
        view = await self._teams.view(team_id, min_seq=least, epoch=now.epoch, deadline=WAIT_SECONDS)
        view.role_of(user_id)
        call.seq, call.epoch = view.seq, view.epoch
        return view

    async def team_at(self, call: Call, team_id: UUID, place: Position) -> TeamView:
        """The board for a member, at `place` or later, which the request names beside `TaskForge-Min-Seq`.

        Raises as `team` does.
        """
        view = await self.team(call, team_id)
        if _has_reached(view, place):
            return view
        now = await readmodel.team_position(self._pool, call.principal().user_id, team_id)
        if now is None:
            raise NotFound("team")
        check_epoch(place, now)
        wanted = max(now.seq, place.seq)
        return await self._teams.view(team_id, min_seq=wanted, epoch=now.epoch, deadline=WAIT_SECONDS)

    def ready_task(self, call: Call, task_id: UUID) -> TeamView | None:
        """The board that holds the task, on the same terms as `ready`: found by hint or memory."""
        hint = call.headers.get(b"taskforge-team")
        for team_id in (None if hint is None else self._locations.hinted(hint), self._locations.recall(task_id)):
            if team_id is None:
                continue
            view = self.ready(call, team_id)
            if view is not None and task_id in view.state.tasks:
                return view
        return None

    async def task(self, call: Call, task_id: UUID) -> tuple[UUID, TeamView]:
        """The team that has the task (on its board or archived), and its board.

        Raises NotFound("task") for a random and for a foreign id alike, and as `team` does.
        """
        view = self.ready_task(call, task_id)
        if view is None:
            team_id = await readmodel.task_location(self._pool, call.principal().user_id, task_id)
            if team_id is None:
                raise NotFound("task")
            view = await self._member_of(call, team_id)
            self._locations.remember(task_id, team_id)
        return team_of(view), view

    async def _member_of(self, call: Call, team_id: UUID) -> TeamView:
        try:
            return await self.team(call, team_id)
        except NotFound:
            raise NotFound("task") from None


def check_epoch(named: Position, now: JournalPosition) -> None:
    """Raise HistoryRewritten for a position of an epoch before the team's, AheadOfHistory for one of a later epoch."""
    if named.epoch is None or named.epoch == now.epoch:
        return
    if named.epoch < now.epoch:
        raise HistoryRewritten(now.epoch, now.seq)
    raise AheadOfHistory(named.seq, now.seq, epoch=now.epoch, wanted_epoch=named.epoch)


def _has_reached(view: TeamView, wanted: Position) -> bool:
    """Whether a board in memory is at a position or beyond. One of another epoch says nothing about it."""
    return view.seq >= wanted.seq and wanted.epoch in (None, view.epoch)


def team_of(view: TeamView) -> UUID:
    """The id of the team whose board this is."""
    assert view.state.team is not None, "a member's team exists"
    return view.state.team.id
