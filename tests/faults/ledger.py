"""What the clients of a team were promised, against what its journal has.

Every write carries a token of its own as the task's new title. So an event of the journal tells which write it comes
from, and the two must match one to one: a promise without its event is lost, an event without its promise is doubled.
"""

import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from tests.faults.report import Report

__all__ = ["Row", "TeamLedger", "Write"]

SETTLED_SECONDS = 1.0
"""An answer that comes later than this after a history was rewritten is not of the old one."""


class Write(Struct, frozen=True):
    """One acknowledged change of a task; times by the monotonic clock."""

    seq: int
    token: str
    sent: float
    answered: float


class Row(Struct, frozen=True):
    """One event of the journal; `token` is the title of its task, if it is about one."""

    seq: int
    type: str
    subject: str
    token: str | None


class TeamLedger:
    """One team's books. `standing` is what was checked: by seq, the token and the task."""

    def __init__(self, team_id: str, seq: int, report: Report) -> None:
        self.team_id = team_id
        self.seq = seq
        self.epoch = 1
        self.standing: dict[int, tuple[str, str]] = {}
        self.newest = float("-inf")
        """When the newest of all acknowledged requests was sent."""
        self._open: list[Write] = []
        self._report = report
        self._rewritten_at = float("-inf")
        self._restored_due = 0

    def acknowledge(self, writes: Iterable[Write]) -> None:
        """The client has the answer for these, all of one request."""
        for write in writes:
            self._open.append(write)
            self._report.acknowledged += 1
            self.newest = max(self.newest, write.sent)

    def rewritten(self) -> None:
        """The history was taken back to `seq` just now: what was promised since then is legitimately gone.

        That is where it was last compared. Its next event is to say so, in the next epoch.
        """
        self._rewritten_at = time.monotonic()
        self._restored_due += 1
        self.epoch += 1

    def compare(self, rows: Sequence[Row]) -> None:
        """Match what was promised with the events after `seq`; nothing may be under way."""
        note = self._report.note
        expected = list(range(self.seq + 1, self.seq + 1 + len(rows)))
        if [row.seq for row in rows] != expected:
            note("hole", f"the journal of team {self.team_id} goes on after {self.seq} with {rows[0].seq}")
        by_seq = {row.seq: row for row in rows}
        claimed: set[int] = set()
        for write in self._open:
            row = by_seq.get(write.seq)
            if row is not None and row.token == write.token:
                if write.seq in claimed:
                    note("doubled", f"two writes were promised the event {write.seq}")
                claimed.add(write.seq)
            elif write.answered <= self._rewritten_at + SETTLED_SECONDS:
                self._report.taken_back += 1
            else:
                there = "nothing" if row is None else f"{row.type} {row.token}"
                note("lost", f"{write.token} was acknowledged as {self.team_id}:{write.seq}, where {there} is")
        for row in rows:
            if row.seq in claimed:
                self.standing[row.seq] = (row.token or "", row.subject)
            elif row.type == "team.restored":
                self._restored_due -= 1
            else:
                note("doubled", f"nobody was told of {row.type} {row.token} ({self.team_id}:{row.seq})")
        if self._restored_due:
            found = [row.seq for row in rows if row.type == "team.restored"]
            note("unequal", f"team {self.team_id} was restored at {found}: {self._restored_due:+} is missing")
            self._restored_due = 0
        self._open.clear()
        self.seq = max([self.seq, *by_seq])

    def titles(self) -> dict[str, str]:
        """Of every task that the clients wrote, the title that it must have now."""
        return {subject: token for _, (token, subject) in sorted(self.standing.items())}
