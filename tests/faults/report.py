"""What a run has found, in numbers: of everything that must not be, how often it was, and where."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

__all__ = ["KINDS", "RECOVERY_SECONDS", "Kind", "Report"]

Kind = Literal[
    "lost", "doubled", "hole", "reset", "stale", "unequal", "contents", "refused", "effects", "unanswered", "slow"
]
KINDS: Final[dict[Kind, str]] = {
    "lost": "acknowledged, and not in the journal",
    "doubled": "in the journal or a feed twice, or without anybody's acknowledgement",
    "hole": "a feed or the journal goes on with another seq than the next",
    "reset": "a feed was reset without a reason, or not although there was one",
    "stale": "a read shows less than was acknowledged before it",
    "unequal": "board, journal, topic, or the consumer's board differ",
    "contents": "an event id with two contents",
    "refused": "an answer that a well-behaved client must not get",
    "effects": "an effect that is missing, or not recorded together with its event",
    "unanswered": "not acknowledged, however often it was asked for",
    "slow": "not within the seconds that it may take",
}
RECOVERY_SECONDS: Final = 10.0 if os.environ.get("FAULTS") == "small" else 5.0
"""From the end of a fault to the first acknowledged write of every team. Twice as long at the small size, which every
change passes on any day: days differ by a factor of two."""
SHOWN: Final = 12


class Recovery(Struct, frozen=True):
    fault: str
    seconds: float


class Finding(Struct, frozen=True):
    kind: Kind
    round: str
    text: str


class Report:
    """Collected by everybody who takes part in a run."""

    def __init__(self) -> None:
        self.rounds: list[str] = []
        self.findings: list[Finding] = []
        self.recoveries: list[Recovery] = []
        self.left_out: list[str] = []
        self.acknowledged = self.replays = self.reads = self.resets = self.taken_back = 0

    def begin(self, name: str) -> None:
        """Whatever is found from here on belongs to this round."""
        self.rounds.append(name)

    def note(self, kind: Kind, text: str) -> None:
        round_ = f"{len(self.rounds)} {self.rounds[-1]}" if self.rounds else "before the first"
        self.findings.append(Finding(kind, round_, text))

    def recovered(self, fault: str, seconds: float) -> None:
        self.recoveries.append(Recovery(fault, seconds))
        if seconds > RECOVERY_SECONDS:
            self.note("slow", f"{seconds:.1f} s until every team's writes were acknowledged again")

    @property
    def red(self) -> bool:
        return bool(self.findings)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{len(self.rounds)} rounds, {self.acknowledged} acknowledged writes, {self.replays} replays"
        yield f"{self.reads} reads, {self.taken_back} writes taken back by a restore, {self.resets} resets for it"
        counts = Counter(finding.kind for finding in self.findings)
        yield "  ".join(f"{kind} {counts[kind]}" for kind in KINDS)
        worst: dict[str, float] = {}
        for recovery in self.recoveries:
            worst[recovery.fault] = max(worst.get(recovery.fault, 0.0), recovery.seconds)
        if worst:
            slowest = max(worst, key=lambda name: worst[name])
            yield f"recovery at worst {worst[slowest]:.2f} s ({slowest})"
            yield ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(worst.items()))
        yield from (f"left out: {what}" for what in self.left_out)
        for finding in self.findings[:SHOWN]:
            yield f"{finding.kind}: {finding.text} (round {finding.round}; {KINDS[finding.kind]})"
        if len(self.findings) > SHOWN:
            yield f"and {len(self.findings) - SHOWN} more"
