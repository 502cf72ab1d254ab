"""What the roles of a process may not be in production; row-level security would not hold them back."""

from collections.abc import Mapping
from typing import Final

from db.pool import Pool, Pools
from db.roles import excess_rights, excess_rights_of
from taskforge.settings import Settings, SettingsError

__all__ = ["refuse_roles", "refuse_roles_of_pools"]

NAMES: Final = ("api", "writer", "worker")


async def refuse_roles(settings: Settings) -> None:
    """For who has no pools yet. Raises SettingsError with a line for each role, StorageUnavailable without database."""
    if settings.mode == "production":
        urls = settings.database
        _refuse({name: await excess_rights_of(getattr(urls, f"{name}_url")) for name in NAMES})


async def refuse_roles_of_pools(settings: Settings, pools: Pools) -> None:
    """The same over pools that are open."""
    if settings.mode == "production":
        given: dict[str, Pool] = {name: getattr(pools, name) for name in NAMES}
        _refuse({name: await excess_rights(pool) for name, pool in given.items()})


def _refuse(found: Mapping[str, str]) -> None:
    lines = [
        f"TASKFORGE_DATABASE__{name.upper()}_URL: {excess}; production needs the role that `taskforge migrate` makes"
        for name, excess in found.items()
        if excess
    ]
    if lines:
        raise SettingsError(lines)
