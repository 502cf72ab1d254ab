"""Everything a request may reach, handed over once by `taskforge.wiring`. Plain data: no behaviour, no look-ups by name."""

from asyncio import Event
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from msgspec import Struct, field

from api.settings import AuthSettings, HttpSettings
from db.principal import Principal

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

    from actors.ports import Clock, Journal
    from actors.system import TeamSystem
    from db.pool import Pools
    from db.tickets import Tickets
    from streams.hub import Hub

__all__ = ["Authenticator", "Probe", "Services"]


class Authenticator(Protocol):
    """Turns the `Authorization` header into a principal. `api/auth.py` has the real one."""

    def recall(self, authorization: bytes) -> Principal | None:
        """The principal of a header value that was proven before and is still good; no await, no network: the hot path."""
        ...

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Prove the header value, which may be missing. Raises Unauthenticated."""
        ...


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
    identity: Authenticator
    tickets: "Tickets"
    clock: "Clock"
    new_id: Callable[[], UUID]
    probes: tuple[Probe, ...] = ()
    draining: Event = field(default_factory=Event)
