"""The door: what the edge asks before a request is answered, and what its answer says about limits.

Who is counted: before anybody has proven who they are, their client address (an IPv6 address stands for its /64);
afterwards the principal, a user or an API key, wherever it comes from. Endpoints of a class are counted by its policy
as well, and those about an account by the pair of address and account, whether there is such an account or not.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from time import perf_counter
from typing import Final
from uuid import UUID

from msgspec import Struct

from api.calls import Call
from api.limits.counter import Counter, Sharing
from api.limits.policies import BY_PRINCIPAL, WITH_ACCOUNT, LimitClass, PolicyName, RateHeaders, policies_of
from api.limits.rules import Limited, Rule, is_exempt, rules_of
from api.limits.settings import LimitSettings
from api.limits.shared import SharedCounts
from api.limits.tables import Table
from core.errors import RateLimited, Unauthenticated
from streams.feeds.open_feeds import network_of

__all__ = ["UNLIMITED", "LimitStatistics", "Limits"]

UNLIMITED: Final = LimitSettings(
    principal=0,
    address=0,
    login=0,
    login_account=0,
    signup=0,
    refresh=0,
    reset=0,
    reset_account=0,
    invitations=0,
    accept=0,
    password=0,
)
EXCHANGES: Final = 64
"""A request waits for no more of these before it is refused; each admits one of those that wait at least."""
NETWORKS: Final = 8_192
"""Most addresses whose network is remembered."""
ORDINARY: Final = Rule()


class LimitStatistics(Struct, frozen=True):
    """`subjects` are counted at this moment. So often requests waited for other processes, and were refused. `cut_off`
    says that Valkey does not answer."""

    subjects: int
    waited: int
    refused: int
    cut_off: bool


class Limits:
    """The limits of a process. `shared` is None where there are no others. `clock` is steady, in seconds."""

    def __init__(
        self,
        settings: LimitSettings = UNLIMITED,
        shared: SharedCounts | None = None,
        sharing: Sharing | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._tables = {name: Table(policy) for name, policy in policies_of(settings).items()}
        self._principals = self._tables.get("default")
        self._found = {} if self._principals is None else self._principals.counters
        self._shared, self._sharing, self._clock = shared, sharing or Sharing(), clock
        self._rules: Mapping[tuple[str, str], Rule] = {}
        self._networks: dict[str, str] = {}
        self._waited = self._refused = 0

    def learn(self, operations: Iterable[Limited]) -> None:
        """Which endpoints there are, and how they are counted."""
        self._rules = rules_of(operations)

    def ready(self, principal_id: UUID, now: float) -> RateHeaders | None:
        """Count a request that memory has answered already: its headers, or None, for which see `admit`.

        On the way of every hot read. `now` is of the clock that the limits were made with.
        """
        counter = self._found.get(principal_id)
        if counter is not None and counter.free > 0 and now < counter.stale:
            counter.free -= 1
            return counter.headers
        table = self._principals
        if table is None:
            return ()
        counter = table.counter(principal_id, now)
        return counter.headers if self._take(counter, now) else None

    async def admit(self, call: Call) -> None:
        """Count a request before its handler runs; `call.limits` are its headers from then on.

        Raises RateLimited, and Unauthenticated for bad credentials where good ones are needed.
        """
        if is_exempt(call.route):
            call.limits = self.look_at(call.client)
            return
        rule = self._rules.get(("GET" if call.method == "HEAD" else call.method, call.route), ORDINARY)
        call.limits = ()
        try:
            principal = call.principal() if rule.secured else None
        except Unauthenticated:
            await self._count(call, "address", self._network(call))
            raise
        by_address = self._network(call) if principal is None else principal.id
        if rule.limit is not None:
            subject = principal.id if principal is not None and rule.limit in BY_PRINCIPAL else self._network(call)
            await self._count(call, rule.limit, subject)
        await self._count(call, "address" if principal is None else "default", by_address)

    async def admit_account(self, call: Call, limit: LimitClass, account: str) -> None:
        """Count a request of this class about an account, which need not exist, from its client's address.

        Raises RateLimited. The account is what the client wrote, however it may be spelt.
        """
        digest = hashlib.sha256(account.strip().casefold().encode(errors="surrogatepass")).hexdigest()[:32]
        await self._count(call, WITH_ACCOUNT[limit], (self._network(call), digest))

    async def admit_handshake(self, client: str) -> RateHeaders:
        """Count the opening of a WebSocket by its client's address: its headers. Raises RateLimited."""
        table = self._tables.get("address")
        return () if table is None else await self._admit(table.counter(self._network_of(client), self._clock()))

    def look_at(self, client: str) -> RateHeaders:
        """The headers about this client address, which is not counted by that."""
        return self._look("address", self._network_of(client))

    def refused_before(self, call: Call) -> RateHeaders:
        """Count a request that is answered before anybody asks who sends it (a bad head, a preflight). It is never
        refused for that."""
        table = self._tables.get("address")
        if table is None:
            return ()
        counter = table.counter(self._network(call), self._clock())
        self._take(counter, self._clock())
        return counter.headers

    def check_address(self, call: Call) -> None:
        """Raise RateLimited for an address whose requests without good credentials are used up. Counts nothing.

        For who verifies credentials at a cost, such as a look-up in the database, before they are known to be good.
        """
        table = self._tables.get("address")
        if table is not None:
            now = self._clock()
            counter = table.counter(self._network(call), now)
            call.limits = counter.look(now, self._sharing)
            if not counter.remaining(self._sharing):
                raise self._refusal(counter, now)

    def statistics(self) -> LimitStatistics:
        subjects = sum(len(table.counters) for table in self._tables.values())
        return LimitStatistics(subjects, self._waited, self._refused, self._sharing.state == "cut-off")

    def forget_idle(self) -> None:
        """Let go of subjects that have not asked for a whole window."""
        now = self._clock()
        for table in self._tables.values():
            table.forget_idle(now)

    async def _count(self, call: Call, name: PolicyName, subject: Hashable) -> None:
        table = self._tables.get(name)
        if table is None:
            return
        counter = table.counter(subject, self._clock())
        try:
            headers = await self._admit(counter)
        except RateLimited:
            call.limits = counter.headers
            raise
        call.limits = _both(call.limits or (), headers)

    async def _admit(self, counter: Counter) -> RateHeaders:
        """Raises RateLimited. Waits only while the quota has room and this process' share of it has not."""
        if self._take(counter, self._clock()):
            return counter.headers
        for _ in range(EXCHANGES):
            shared = self._shared
            if shared is None or self._sharing.state == "cut-off" or not counter.remaining(self._sharing):
                break
            await shared.exchanged(counter)
            self._waited += 1
            if self._take(counter, self._clock()):
                return counter.headers
        raise self._refusal(counter, self._clock())

    def _take(self, counter: Counter, now: float) -> bool:
        if counter.free > 0 and now < counter.stale:
            counter.free -= 1
            return True
        admitted = counter.admit(now, self._sharing)
        if admitted and self._shared is not None:
            self._shared.note(counter)
        return admitted

    def _look(self, name: PolicyName, subject: Hashable) -> RateHeaders:
        table = self._tables.get(name)
        if table is None:
            return ()
        found = table.counters.get(subject)
        if found is None:
            return table.policy.headers(table.policy.quota, table.policy.seconds)
        return found.look(self._clock(), self._sharing)

    def _refusal(self, counter: Counter, now: float) -> RateLimited:
        self._refused += 1
        policy = counter.policy
        return RateLimited(policy.name, policy.quota, counter.seconds_left(now))

    def _network(self, call: Call) -> str:
        return self._network_of(call.client)

    def _network_of(self, client: str) -> str:
        found = self._networks.get(client)
        if found is None:
            if len(self._networks) >= NETWORKS:
                self._networks.clear()
            found = self._networks[client] = network_of(client)
        return found


def _both(first: RateHeaders, second: RateHeaders) -> RateHeaders:
    """Headers that state two policies: each is a list (RFC 9651, 3.1)."""
    if not first or not second:
        return first or second
    return tuple((name, one + b", " + other) for (name, one), (_, other) in zip(first, second, strict=True))
