"""Which endpoint is counted how."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from api.limits.policies import LimitClass
from api.paths import ACCOUNT_PAGE, DEV_MAIL, PAGES, TEAM_SETTINGS_PAGE, WEBHOOKS_PAGE, pattern

__all__ = ["Rule", "is_exempt", "rules_of"]

EXEMPT: Final = frozenset(
    {
        *PAGES,
        ACCOUNT_PAGE,
        TEAM_SETTINGS_PAGE,
        WEBHOOKS_PAGE,
        DEV_MAIL,
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/asyncapi",
        "/asyncapi.json",
    }
)
EXEMPT_BELOW: Final = ("/assets/", "/docs/", "/problems/", "/schemas")
"""Probes come every few seconds from one address, and static files cost no more than a refusal."""


class Rule(Struct, frozen=True, gc=False):
    """`secured`: principals are counted. `limit` is the class of the endpoint, None for an ordinary one."""

    secured: bool = False
    limit: LimitClass | None = None


class Limited(Protocol):
    """What of `api.openapi.Operation` is needed here."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def secured(self) -> bool: ...
    @property
    def limit(self) -> LimitClass | None: ...


def rules_of(operations: Iterable[Limited]) -> Mapping[tuple[str, str], Rule]:
    """The rule of every (method, route)."""
    return {(one.method, pattern(one.path)): Rule(one.secured, one.limit) for one in operations}


def is_exempt(route: str) -> bool:
    """Whether requests for this route are answered without being counted."""
    return route in EXEMPT or route.startswith(EXEMPT_BELOW)
