"""Everything a request may reach, handed over once by `taskforge.wiring`. Plain data: no behaviour, no look-ups."""

from asyncio import Event
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct, field

from api.locations import Locations
from api.metrics import RequestMetrics
from api.settings import AuthSettings, HttpSettings

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

    from actors.ports import Clock, Journal
    from actors.system import TeamSystem
    from api.auth.passwords import Passwords
    from api.auth.tokens import AccessTokens, Revocations
    from db.people.identity import Identity
    from db.people.tickets import Tickets
    from db.pool import Pools
    from streams.feeds.hub import Hub

__all__ = ["Probe", "Services"]


class Probe(Struct, frozen=True):
    """One dependency as `/readyz` sees it. `check` returns when it is well and raises when it is not."""

    name: str
    check: Callable[[], Awaitable[object]]
    required: bool = True


class Services(Struct, kw_only=True):
    """The running parts of an API process. `draining` is set once it must not get new work any more."""

    http: HttpSettings
    auth: AuthSettings
    teams: "TeamSystem"
    hub: "Hub"
    journal: "Journal"
    pools: "Pools"
    valkey: "Valkey"
    identity: "Identity"
    tokens: "AccessTokens"
    revocations: "Revocations"
    passwords: "Passwords"
    tickets: "Tickets"
    clock: "Clock"
    new_id: Callable[[], UUID]
    locations: Locations = field(default_factory=Locations)
    probes: tuple[Probe, ...] = ()
    metrics: RequestMetrics = field(default_factory=RequestMetrics)
    draining: Event = field(default_factory=Event)
