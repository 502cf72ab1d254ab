"""All subjects of one policy, bounded: whoever leaves first is who has used least.

A table holds `most` counters. When it is full, counters whose windows have ended go first, then, oldest first, those
that have used less than half of their quota: what they have used is in Valkey, and comes back with their next request.
An attack under way has used more than that, and stays whatever comes. When all have, newcomers share one counter until
there is room: many addresses that nobody has seen before then have together what one has.
"""

from collections.abc import Hashable
from itertools import islice
from typing import Final

from api.limits.counter import Counter
from api.limits.policies import Policy

__all__ = ["MOST_COUNTERS", "Table"]

MOST_COUNTERS: Final = 32_768
"""In each table; some 15 MB when it is full."""
LOOK_SECONDS: Final = 1.0
"""A full table is searched for room no more often than this."""
ROOM: Final = 8
"""An eighth of a full table leaves at once."""


class Table:
    """The counters of a policy by their subjects."""

    def __init__(self, policy: Policy, most: int = MOST_COUNTERS) -> None:
        self.policy = policy
        self.counters: dict[Hashable, Counter] = {}
        self._most, self._looked = most, float("-inf")
        self._newcomers: Counter | None = None

    def counter(self, subject: Hashable, now: float) -> Counter:
        """The subject's counter, a new one for who has none."""
        found = self.counters.get(subject)
        if found is not None:
            return found
        if len(self.counters) >= self._most and not self._make_room(now):
            if self._newcomers is None:
                self._newcomers = Counter(self.policy, ("newcomers",), now)
            return self._newcomers
        found = self.counters[subject] = Counter(self.policy, subject, now)
        return found

    def forget_idle(self, now: float) -> None:
        """Let go of those whose windows have ended."""
        for subject in [subject for subject, counter in self.counters.items() if counter.idle(now)]:
            del self.counters[subject]

    def _make_room(self, now: float) -> bool:
        if now < self._looked + LOOK_SECONDS:
            return False
        self.forget_idle(now)
        if len(self.counters) >= self._most:
            quiet = (subject for subject, counter in self.counters.items() if _quiet(counter))
            for subject in list(islice(quiet, max(1, self._most // ROOM))):
                del self.counters[subject]
        full = len(self.counters) >= self._most
        self._looked = now if full else float("-inf")
        return not full


def _quiet(counter: Counter) -> bool:
    counter.account()
    return 2 * max(counter.used, counter.known + counter.unsent) < counter.policy.quota
