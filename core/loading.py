"""Building a team's state from what is stored, a slice of the board at a time."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from uuid import UUID

from core.columns import Column
from core.events import Label, Member, Team
from core.layered import Layered
from core.ranking import Place
from core.sorted_runs import SortedRuns
from core.task import ExternalKey, Task, external_key
from core.team import TeamState

__all__ = ["PAUSE_SECONDS", "SLICE_TASKS", "TeamLoader", "load_team"]

SLICE_TASKS: Final = 500
"""Tasks in one step: some 0.6 ms of the event loop, and as much again to make them of what is stored."""

MERGED_AT_ONCE: Final = 5_000
"""Places in a column; most of its runs are much shorter in the beginning."""

PAUSE_SECONDS: Final = 0.002
"""What large work on the event loop leaves to others after each of its slices.

A turn of the loop alone is not enough: a request crosses threads and processes on its way, and each of them needs the
interpreter or the core, which a loop that is never idle lets go of only when it is made to. With 50,000 tasks loaded
and three feeds replayed beside them, other teams' PATCHes had a p99 of 500 ms with turns, and of 35 with pauses; of 11
alone.
"""


class TeamLoader:
    """Add the board's tasks slice by slice, then take the steps of `finish`; `state` is complete after the last."""

    def __init__(
        self,
        *,
        team: Team | None,
        seq: int,
        epoch: int,
        top_number: int,
        members: Iterable[Member],
        labels: Iterable[Label],
        columns: Iterable[Column],
        digest: bytes,
    ) -> None:
        state = self.state = TeamState()
        state.team, state.seq, state.epoch, state.digest, state.top_number = team, seq, epoch, digest, top_number
        state.members = {member.user_id: member for member in members}
        state.labels = {label.id: label for label in labels}
        state.with_columns(columns)
        self._tasks: dict[UUID, Task] = {}
        self._external: dict[ExternalKey, UUID] = {}
        self._places: dict[UUID, SortedRuns[Place]] = defaultdict(SortedRuns)

    def add(self, tasks: Iterable[Task]) -> None:
        """Some tasks of the board, in any order."""
        places: dict[UUID, list[Place]] = defaultdict(list)
        for task in tasks:
            self._tasks[task.id] = task
            self.state.latest_at = max(self.state.latest_at, task.updated_at)
            places[task.column_id].append((task.rank, task.id))
            if (key := external_key(task)) is not None:
                self._external[key] = task.id
        for column_id, run in places.items():
            self._places[column_id].add(run)

    def add_archived(self, external: Mapping[ExternalKey, UUID]) -> None:
        """External ids of archived tasks."""
        self._external = {**external, **self._external}

    def finish(self) -> Iterator[None]:
        """The rest, step by step."""
        merged = 0
        for runs in self._places.values():
            while looked_at := runs.merge():
                merged += looked_at
                if merged >= MERGED_AT_ONCE:
                    merged = 0
                    yield
        self.state.tasks, self.state.external = Layered(self._tasks), Layered(self._external)
        self.state.places = {column_id: runs.result() for column_id, runs in self._places.items()}


def load_team(
    *,
    team: Team | None,
    seq: int,
    epoch: int,
    top_number: int,
    members: Iterable[Member],
    labels: Iterable[Label],
    columns: Iterable[Column],
    tasks: Iterable[Task],
    archived_external: Mapping[ExternalKey, UUID],
    digest: bytes = b"",
) -> TeamState:
    """A state from stored rows, in one go: `tasks` are the board's, `archived_external` the ids of archived imports."""
    loader = TeamLoader(
        team=team,
        seq=seq,
        epoch=epoch,
        top_number=top_number,
        members=members,
        labels=labels,
        columns=columns,
        digest=digest,
    )
    loader.add_archived(archived_external)
    loader.add(tasks)
    for _ in loader.finish():
        pass
    return loader.state
