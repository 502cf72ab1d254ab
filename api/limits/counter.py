"""One subject under one policy, in one process: pure numbers; the time, in seconds of any steady clock, is an argument.

A window begins with the first request after the last one has ended. Two counts stand against the quota, and the
greater one decides:

- `used`: admitted here, in this process's own window. Nothing from outside changes it, nor when the window ends.
- `known + unsent`: admitted by all processes as far as Valkey has said, and what was admitted here since then. It
  counts until Valkey's window ends.

So whatever Valkey says, a process never admits more than the quota in one of its windows. When Valkey has lost a count
before its time, nobody knows what the others have admitted: to the end of the window the process admits its part only,
as when it is cut off.
"""

import math
from typing import Final, Literal

from api.limits.policies import Policy, RateHeaders

__all__ = ["Counter", "Sharing"]

FREE_FRACTION: Final = 8
"""A process admits at most so small a part of what remains before it has told the others: an eighth."""
SILENT_FRACTION: Final = 64
"""What was admitted is told to the others once it is so small a part of the quota; of a small quota at once."""
STEPS: Final = 100
"""The remaining number is said in steps of a hundredth of the quota, rounded down, so that headers stay ready."""


class Sharing:
    """How this process knows of the others.

    `alone`: there are no others. `shared`: through Valkey. `cut-off`: Valkey does not answer, so that this process
    admits its part of the quota only, as one of so many `processes`.
    """

    __slots__ = ("processes", "state")

    def __init__(self, state: Literal["alone", "shared", "cut-off"] = "alone", processes: int = 1) -> None:
        self.state: Literal["alone", "shared", "cut-off"] = state
        self.processes = processes


class Counter:
    """What the subject has used. `free` requests may be admitted before `stale` without a further look: each takes one
    from `free`, and answers with `headers`.

    `asked` says that a request waits for the next exchange with Valkey, `waiting` that the counter is due for it, and
    `key` is its name there, made for the first exchange.
    """

    __slots__ = (
        "_doubted",
        "_granted",
        "_mine",
        "_until",
        "asked",
        "ends",
        "free",
        "headers",
        "key",
        "known",
        "policy",
        "stale",
        "subject",
        "unsent",
        "used",
        "waiting",
    )

    def __init__(self, policy: Policy, subject: object, now: float) -> None:
        self.policy, self.subject, self.key = policy, subject, b""
        self.free = self._granted = self.used = self.unsent = self.known = self._mine = 0
        self.stale, self.ends, self._until = 0.0, now + policy.seconds, 0.0
        self.asked = self.waiting = self._doubted = False
        self.headers: RateHeaders = ()

    def account(self) -> None:
        """Count what was taken from `free` since the last time."""
        taken = self._granted - self.free
        self.used += taken
        self.unsent += taken
        self._granted = self.free

    def admit(self, now: float, sharing: Sharing) -> bool:
        """Admit one request, or not; `headers` say how it stands afterwards."""
        self.account()
        self._begin(now)
        allowed = self._allowed(sharing)
        if allowed > 0:
            self.used += 1
            self.unsent += 1
        self._show(now, max(0, allowed - 1), sharing)
        return allowed > 0

    def look(self, now: float, sharing: Sharing) -> RateHeaders:
        """The headers as it stands, without admitting anything."""
        self.account()
        self._begin(now)
        self._show(now, max(0, self._allowed(sharing)), sharing)
        return self.headers

    def remaining(self, sharing: Sharing) -> int:
        """How many more requests the window admits, as far as is known here; at least 0."""
        left = self.policy.quota - max(self.used, self.known + self.unsent)
        if sharing.state == "cut-off" or self._doubted:
            left = min(left, -(-self.policy.quota // sharing.processes) - self.used)
        return max(0, left)

    def seconds_left(self, now: float) -> int:
        """Until the count that decides begins anew: whole seconds, at least 1."""
        ends = self._until if self.known + self.unsent > self.used and self._until > now else self.ends
        return max(1, math.ceil(ends - now))

    def due(self) -> bool:
        """Whether there is enough to tell the others, or somebody waits for that."""
        return self.unsent > 0 and (self.asked or self.unsent * SILENT_FRACTION >= self.policy.quota)

    def learn(self, now: float, sent: int, total: int, seconds: float) -> None:
        """`sent` was told to Valkey, which counts `total` for `seconds` more."""
        lost = self._mine if total < self._mine + sent and now < self._until - 1 else 0
        self._doubted = self._doubted or lost > 0
        self._mine = sent if total == sent else self._mine + sent
        self.unsent = max(0, self.unsent - sent) + lost  # What Valkey has forgotten before its time is told again.
        self.known, self._until = total, now + min(max(seconds, 0.0), self.policy.seconds)
        self.asked, self.stale = False, 0.0

    def idle(self, now: float) -> bool:
        """Whether it says no more than a new counter would."""
        return now >= self.ends and now >= self._until

    def _begin(self, now: float) -> None:
        if self.idle(now):
            self.unsent = 0  # What has not been told yet was of windows that are over.
        if now >= self.ends:
            self.used, self.ends, self._doubted = 0, now + self.policy.seconds, False
        if now >= self._until:
            self.known = self._mine = 0

    def _allowed(self, sharing: Sharing) -> int:
        """How many may be admitted now without asking anybody."""
        left = self.remaining(sharing)
        if sharing.state != "shared":
            return left
        share = max(1, (self.policy.quota - self.known) // FREE_FRACTION)
        return min(left, share - self.unsent)

    def _show(self, now: float, allowed: int, sharing: Sharing) -> None:
        """Make the headers, and say how long they stay true."""
        left, seconds = self.remaining(sharing), self.seconds_left(now)
        shown = left - left % max(1, self.policy.quota // STEPS)
        self.free = self._granted = min(allowed, left - shown)
        self.stale = min(now + 1, self.ends, self._until if self._until > now else self.ends)
        self.headers = self.policy.headers(shown, seconds)
