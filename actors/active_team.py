"""A team's committed state in this process, kept in step with the journal: activation, catching up, other workers."""

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.board import TeamView
from actors.ports import Journal, Snapshots
from actors.prepared_batch import note_changed
from core.codec import Encoded, JournalRow, decode
from core.errors import NotFound
from core.events import AnyEvent
from core.team import TeamState, evolve
from core.writes import JournalPosition

log = logging.getLogger(__name__)

MAX_SNAPSHOT_LAG: Final = 2_000
"""A snapshot further behind than this is slower than loading the tables."""


ReceivedEvent = tuple[AnyEvent, bytes | None]
"""An event and, where it came with it, the JSON of its task."""


class ActiveTeam:
    """The view, if the team is in memory, and what is known of the journal beyond it."""

    def __init__(self, team_id: UUID, journal: Journal, snapshots: Snapshots, *, fresh: bool) -> None:
        self.team_id = team_id
        self.view: TeamView | None = TeamView(TeamState()) if fresh else None
        self.received_events = 0
        self._journal = journal
        self._snapshots = snapshots
        self._received: list[Encoded] = []
        self._known_seq = 0

    @property
    def seq(self) -> int:
        """The seq in memory; 0 before activation."""
        return 0 if self.view is None else self.view.seq

    @property
    def is_behind(self) -> bool:
        """Whether there is news that is not in the view yet."""
        return bool(self._received or (self._known_seq and self._known_seq > self.seq))

    def current(self) -> TeamView:
        """The view of an active team."""
        assert self.view is not None, "an active actor has a view"
        return self.view

    def state(self) -> TeamState:
        """The committed state of an active team."""
        return self.current().state

    def receive(self, events: Sequence[Encoded]) -> None:
        """Other workers' events, in order; applied by the next `catch_up`."""
        self._received.extend(events)

    def note_position(self, seq: int) -> None:
        """The journal has reached `seq`."""
        self._known_seq = max(self._known_seq, seq)

    def forget(self) -> None:
        """Leave memory: what is in the view can no longer be trusted, or nobody needs it."""
        self.view, self._received, self._known_seq = None, [], 0

    async def reload(self) -> None:
        """Start over from the tables: the team's history was rewritten, and what is in memory is of the old one."""
        log.warning("another epoch, reloading the team", extra={"team_id": str(self.team_id)})
        self.forget()
        self.view = TeamView(await self._load())

    async def activate(self) -> TeamView:
        """From the snapshot and a short tail of the journal, else from the tables. Raises NotFound("team")."""
        now = (await self._journal.position([self.team_id])).get(self.team_id)
        if now is None:
            raise NotFound("team")
        state = await self._snapshots.get(self.team_id)
        if state is None or not _is_usable(state, now):
            state = await self._load()
        self.view = TeamView(state)
        self.note_position(now.seq)
        return self.view

    def apply_received(self) -> int:
        """Apply what was heard as far as it follows; gives the last seq heard of (0: nothing)."""
        view, received, self._received = self.current(), self._received, []
        epoch, seq = view.epoch, view.seq
        news = [event for event in received if event.row.epoch == epoch and event.row.seq > seq]
        self._advance(view, [(event.event, event.task) for event in news])
        return received[-1].row.seq if received else 0

    async def catch_up(self, wanted: int = 0) -> None:
        """Apply what was heard; fetch what is missing up to `wanted` and to every position heard of."""
        wanted = max(wanted, self._known_seq, self.apply_received())
        while self.seq < wanted:
            rows = await self._journal.read(self.team_id, self.seq)
            if not rows:
                break
            await self.advance_rows(rows)
        self._known_seq = 0

    async def advance_rows(self, rows: Sequence[JournalRow]) -> None:
        """Apply journal rows.

        An event of a newer version that cannot be read here, or one of another epoch, makes it reload the tables.
        """
        view = self.current()
        if any(row.epoch != view.epoch for row in rows):
            await self.reload()
            return
        try:
            events = [(decode(row), None) for row in rows]
        except (KeyError, msgspec.MsgspecError):
            log.warning("unknown event, reloading the team", extra={"team_id": str(self.team_id)})
            view.reload(await self._load())
            return
        self._advance(view, events)

    def _advance(self, view: TeamView, events: Sequence[ReceivedEvent]) -> None:
        """Evolve over the contiguous part of `events`; what does not follow is left for the journal."""
        if not events:
            return
        before, state, changed = view.seq, view.state.fork(), dict[UUID, bytes | None]()
        for event, task in events:
            if event.seq == state.seq + 1:
                evolve(state, event)
                note_changed(changed, event, task)
        if state.seq > before:
            self.received_events += state.seq - before
            view.advance(state, changed)

    async def _load(self) -> TeamState:
        state = await self._journal.load(self.team_id)
        if state is None:
            raise NotFound("team")
        return state


def _is_usable(snapshot: TeamState, now: JournalPosition) -> bool:
    """Whether a snapshot is of the history that stands, and near enough to its end."""
    return snapshot.epoch == now.epoch and 0 < snapshot.seq <= now.seq <= snapshot.seq + MAX_SNAPSHOT_LAG
