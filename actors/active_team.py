"""A team's committed state while it is in memory: activated, kept in step with the journal, saved as snapshots."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.board import TeamView
from actors.context import ActorContext
from actors.prepared_batch import PreparedBatch, note_changed
from core.codec import Encoded, JournalRow, decode
from core.errors import NotFound, StorageUnavailable
from core.events import AnyEvent, HistoryRedacted
from core.team import TeamState, evolve
from core.upcasts import UnknownEvent
from core.writes import JournalPosition

__all__ = ["RESTORING", "ActiveTeam"]

log = logging.getLogger(__name__)

MAX_SNAPSHOT_LAG: Final = 2_000
"""With more events than this after it, a snapshot is slower than loading the tables."""
SNAPSHOT_SECONDS: Final = 10.0
"""A hot team is saved at most this often."""

RESTORING: Final = "The team's history was restored to an earlier state; look again, then try again."

ReceivedEvent = tuple[AnyEvent, bytes | None, bytes]
"""An event of another process, the JSON of its task where it came with it, and its row's digest."""


class ActiveTeam:
    """The view, if the team is in memory, and what is known of the journal beyond it."""

    def __init__(self, team_id: UUID, context: ActorContext, *, fresh: bool) -> None:
        self.team_id = team_id
        self.view: TeamView | None = TeamView(TeamState()) if fresh else None
        self.committed_events = 0
        """Events of this process that became durable."""
        self._context = context
        self._received: list[Encoded] = []
        self._known_seq = 0
        self._lost = False
        self._received_events = 0
        self._saved_events = 0
        self._redacted = False
        """Whether history was redacted since the last snapshot, which is to be replaced at once."""
        self._saved_at = context.clock.monotonic()

    @property
    def seq(self) -> int:
        """The seq in memory; 0 before activation."""
        return 0 if self.view is None else self.view.seq

    @property
    def is_behind(self) -> bool:
        """Whether there is news that is not in the view yet."""
        return bool(self._received or self._lost or (self._known_seq and self._known_seq > self.seq))

    def current(self) -> TeamView:
        """The view of a team that is in memory."""
        assert self.view is not None, "an active team has a view"
        return self.view

    def adopt(self, prepared: PreparedBatch) -> None:
        """After COMMIT: the fork becomes the state, feeds get the events, and callers their answers."""
        self.current().advance(prepared.state, prepared.changed)
        if prepared.events:
            self.committed_events += len(prepared.events)
            if prepared.beside_tasks:
                self._note_redaction(event.event for event in prepared.events)
            self._context.feed.publish(self.team_id, prepared.events)
        prepared.answer()

    def _note_redaction(self, events: Iterable[AnyEvent]) -> None:
        """Let go of every answer that was made of what is forgotten now, and of the snapshot."""
        if any(type(event) is HistoryRedacted for event in events):
            view = self.current()
            view.reload(view.state)
            self._redacted = True

    def receive(self, events: Sequence[Encoded]) -> None:
        """Keep other workers' events, in order, for the next `catch_up`."""
        self._received.extend(events)

    def note_position(self, seq: int) -> None:
        """The journal has reached `seq`; the next `catch_up` goes there."""
        self._known_seq = max(self._known_seq, seq)

    def note_lost(self) -> None:
        """The journal does not have what is in memory: the next `catch_up` starts over from the tables."""
        self._lost = True

    def forget(self) -> None:
        """Leave memory, because what is in the view can no longer be trusted."""
        self.view, self._received, self._known_seq, self._lost = None, [], 0, False

    async def abandon(self) -> None:
        """Start over from the tables, which are of another history.

        Where they are behind what was committed here, or wait for a new epoch, that begins first.
        """
        view = self.current()
        await self._context.journal.lose(self.team_id, JournalPosition(view.seq, view.epoch))
        await self.reload()

    async def reload(self) -> None:
        """Start over from the tables: the team's history was rewritten, and what is in memory is of the old one."""
        log.warning("another epoch, reloading the team", extra={"team_id": str(self.team_id)})
        self.forget()
        self.view = TeamView(await self._load())

    async def activate(self) -> TeamView:
        """Load the newest snapshot if it is near the journal's end, else the tables.

        Raises NotFound("team"), StorageUnavailable also while another process begins the team's new epoch.
        """
        now = await self._settled_position()
        state = await self._context.snapshots.get(self.team_id)
        if state is None or not _is_usable(state, now) or not await self._is_of_this_history(state):
            state = await self._load()
        elif await self._context.journal.is_redacted_since(self.team_id, state.seq):
            # The snapshot was on its way while another process redacted: it must not stay where it is either.
            state, self._redacted = await self._load(), True
        self.view = TeamView(state)
        self.note_position(now.seq)
        return self.view

    async def _settled_position(self) -> JournalPosition:
        """Where the journal is. A team that waits for a new epoch begins it: nobody may write it before that."""
        for _ in range(2):
            now = (await self._context.journal.position([self.team_id])).get(self.team_id)
            if now is None:
                raise NotFound("team")
            if not now.due:
                return now
            await self._context.journal.lose(self.team_id, now)
        raise StorageUnavailable(RESTORING)

    async def _is_of_this_history(self, snapshot: TeamState) -> bool:
        """Whether the journal has, at the snapshot's seq, the event that the snapshot was taken after.

        A restored database may have reached that seq again with other events, and says so nowhere else.
        """
        rows = await self._context.journal.read(self.team_id, snapshot.seq - 1, 1)
        if rows and rows[0].seq == snapshot.seq and rows[0].digest == snapshot.digest:
            return True
        log.warning("a snapshot of another history is not used", extra={"team_id": str(self.team_id)})
        return False

    async def catch_up(self, wanted: int = 0) -> None:
        """Apply what was received, then read the journal up to `wanted` and every position that was noted."""
        if self._lost:
            await self.abandon()
        wanted = max(wanted, self._known_seq, self.apply_received())
        while self.seq < wanted:
            rows = await self._context.journal.read(self.team_id, self.seq)
            if not rows:
                break
            await self.apply_rows(rows)
        self._known_seq = 0

    def apply_received(self) -> int:
        """Apply what was received as far as it is contiguous; the seq of its last event, 0 when there was none."""
        view, received, self._received = self.current(), self._received, []
        epoch, seq = view.epoch, view.seq
        news = [event for event in received if event.row.epoch == epoch and event.row.seq > seq]
        self._apply(view, [(event.event, event.task, event.row.digest) for event in news])
        return received[-1].row.seq if received else 0

    async def apply_rows(self, rows: Sequence[JournalRow]) -> None:
        """Apply journal rows.

        An event of a newer version, which cannot be read here, or one of another epoch makes it reload the tables.
        """
        view = self.current()
        if any(row.epoch != view.epoch for row in rows):
            await self.reload()
            return
        try:
            events = [(decode(row), None, row.digest) for row in rows]
        except (UnknownEvent, msgspec.MsgspecError):
            log.warning("unknown event, reloading the team", extra={"team_id": str(self.team_id)})
            view.reload(await self._load())
            return
        self._apply(view, events)

    def _apply(self, view: TeamView, events: Sequence[ReceivedEvent]) -> None:
        """Evolve over the contiguous part of `events`; the rest is left for the journal."""
        if not events:
            return
        before, state, changed = view.seq, view.state.fork(), dict[UUID, bytes | None]()
        for event, task, digest in events:
            if event.seq == state.seq + 1:
                evolve(state, event)
                state.digest = digest
                note_changed(changed, event, task)
        if state.seq > before:
            self._received_events += state.seq - before
            view.advance(state, changed)
            self._note_redaction(event for event, _, _ in events)

    async def _load(self) -> TeamState:
        state = await self._context.journal.load(self.team_id)
        if state is None:
            raise NotFound("team")
        return state

    def save_if_due(self) -> None:
        """Have a snapshot stored in the background after so many events, but not too often."""
        if self._redacted:
            self._context.spawn(self.save())
            return
        if self._unsaved_events() < self._context.settings.snapshot_every:
            return
        if self._context.clock.monotonic() - self._saved_at >= SNAPSHOT_SECONDS:
            self._context.spawn(self.save())

    async def save(self) -> None:
        """Store a snapshot of what is in memory, if anything changed since the last one."""
        unsaved = self._unsaved_events()
        if self.view is not None and (unsaved > 0 or self._redacted):
            self._redacted = False
            self._saved_events, self._saved_at = self._saved_events + unsaved, self._context.clock.monotonic()
            await self._context.snapshots.put(self.view.state.detach())

    def _unsaved_events(self) -> int:
        """Events applied since the last snapshot, of this process or another."""
        return self.committed_events + self._received_events - self._saved_events


def _is_usable(snapshot: TeamState, now: JournalPosition) -> bool:
    """Whether a snapshot is of the history that stands, and near enough to its end."""
    return snapshot.epoch == now.epoch and 0 < snapshot.seq <= now.seq <= snapshot.seq + MAX_SNAPSHOT_LAG
