"""What all processes have admitted together, through Valkey, in the background.

Every tenth of a second a process adds what it has admitted meanwhile to a count per subject, and learns the sum: one
command for many subjects, none while nobody asks. The names there are keyed digests, so that they say nothing of
addresses and accounts. The counts cannot be signed, since they are added up there: they may only tighten what is
admitted here (`counter.py`), and one beyond what is possible is replaced.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus
from valkey.asyncio import Valkey

from api.limits.counter import Counter, Sharing
from db.keyset import Keyset
from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors

__all__ = ["SharedCounts"]

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 15.0
WAIT_SECONDS: Final = 0.25
"""A request waits no longer than this for Valkey."""
AT_ONCE: Final = 256
"""Counters in one command."""
POSSIBLE: Final = 4
"""So many times the quota, and `MARGIN`, can be a count that honest processes have made; more cannot."""
MARGIN: Final = 64
DIGEST: Final = slice(8, 24)
"""Of a signature of the keyset: the first half of the HMAC, after the key's id."""

# For each key: what to add, the milliseconds that a new window has, those of a whole one, and the most that is
# possible. Gives back the sum, the milliseconds that its window still has, and whether what was there was not ours.
_ADD: Final = """
local answer = {}
for place, key in ipairs(KEYS) do
  local added, begins, whole = tonumber(ARGV[4 * place - 3]), ARGV[4 * place - 2], tonumber(ARGV[4 * place - 1])
  local sum, strange = redis.pcall('INCRBY', key, added), 0
  if type(sum) ~= 'number' or sum < added or sum > tonumber(ARGV[4 * place]) then
    redis.call('SET', key, added, 'PX', begins)
    sum, strange = added, 1
  end
  local left = redis.call('PTTL', key)
  if left < 0 or left > whole then
    redis.call('PEXPIRE', key, begins)
    left = tonumber(begins)
  end
  answer[3 * place - 2], answer[3 * place - 1], answer[3 * place] = sum, left, strange
end
return answer
"""


class SharedCounts:
    """The exchange of counts. `clock` gives seconds, and is the one that the counters are asked with."""

    def __init__(self, valkey: Valkey, keys: Keyset, sharing: Sharing, clock: Callable[[], float]) -> None:
        self._keys, self._sharing, self._clock = keys, sharing, clock
        self._add: Any = valkey.register_script(_ADD)
        self._waiting: list[Counter] = []
        self._some, self._hurry, self._round = anyio.Event(), anyio.Event(), anyio.Event()
        self._log = QuietLog(logger)

    def note(self, counter: Counter) -> None:
        """Tell the others of this counter in the next round."""
        if not counter.waiting:
            counter.waiting = True
            self._waiting.append(counter)
            self._some.set()

    async def exchanged(self, counter: Counter) -> bool:
        """Have the next round now, and wait for it; False when Valkey does not answer in time."""
        counter.asked = True
        self.note(counter)
        self._hurry.set()
        with anyio.move_on_after(WAIT_SECONDS) as waited:
            await self._round.wait()
        if waited.cancelled_caught:
            self._sharing.state = "cut-off"
        return self._sharing.state == "shared"

    async def run(
        self, *, sweep: Callable[[], None], task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Exchange until cancelled, and sweep now and then."""
        task_status.started()
        swept = self._clock()
        while True:
            with anyio.move_on_after(SWEEP_SECONDS):
                await self._some.wait()
            if self._clock() - swept >= SWEEP_SECONDS:
                sweep()
                swept = self._clock()
            if not self._some.is_set():
                continue
            with anyio.move_on_after(INTERVAL_SECONDS):
                await self._hurry.wait()
            if not await self._exchange():
                await anyio.sleep(RETRY_SECONDS)

    async def _exchange(self) -> bool:
        """One round with all that wait. Whether Valkey answered."""
        counters, self._waiting = self._waiting, []
        self._some, self._hurry = anyio.Event(), anyio.Event()
        told = True
        for batch in _batches(_due(counters)):
            if told and not (told := await self._tell(batch)):
                for counter in batch:  # Others wait again once they admit something: a flood is not kept here.
                    self.note(counter)
        self._round.set()
        self._round = anyio.Event()
        return told

    async def _tell(self, batch: list[Counter]) -> bool:
        sent, now = [counter.unsent for counter in batch], self._clock()
        args: list[int] = []
        for counter in batch:
            counter.key = counter.key or self._key(counter)
            whole, possible = counter.policy.seconds * 1000, POSSIBLE * counter.policy.quota + MARGIN
            begins = max(1, min(whole, int((counter.ends - now) * 1000)))
            args += [counter.unsent, begins, whole, possible]
        try:
            with valkey_errors():
                answer: list[int] = await self._add(keys=[counter.key for counter in batch], args=args)
        except ValkeyUnavailable as error:
            self._sharing.state = "cut-off"
            self._log.warning("limits are not shared, this process admits its own part only: %s", error)
            return False
        self._sharing.state, now = "shared", self._clock()
        for place, counter in enumerate(batch):
            total, left, strange = answer[3 * place : 3 * place + 3]
            if strange:
                self._log.warning("a count of the limit %s in Valkey was not ours", counter.policy.name)
            counter.account()
            counter.learn(now, sent[place], total, left / 1000)
        return True

    def _key(self, counter: Counter) -> bytes:
        name = f"limit {counter.policy.name} {counter.subject}".encode()
        return b"taskforge:limit:" + self._keys.sign("valkey", name)[DIGEST].hex().encode()


def _due(counters: Iterable[Counter]) -> Iterator[Counter]:
    """Those that have something to tell. All of them look again before they admit more."""
    for counter in counters:
        counter.waiting, counter.stale = False, 0.0
        counter.account()
        if counter.due():
            yield counter


def _batches(counters: Iterator[Counter]) -> Iterator[list[Counter]]:
    batch: list[Counter] = []
    for counter in counters:
        batch.append(counter)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
