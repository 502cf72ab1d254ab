"""The composition root: opens what a process needs, introduces it to each other, closes it last in, first out.

API processes, workers, commands and tests call it, each for its roles. No globals, no look-ups by name: what is not
handed over is out of reach.
"""

from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

from api.health import Health
from api.metrics import Metrics
from db.highest_epoch import HighestEpoch
from db.installation import check_format
from db.keyset import Keyset
from db.pool import open_pools
from db.signed import Signer
from db.valkey import open_valkey
from taskforge.parts.composition import Composition
from taskforge.parts.draining import started
from taskforge.parts.history_watch import settle_history
from taskforge.parts.names import API, PARTS, ROLES, TEAMS
from taskforge.parts.process import Process
from taskforge.parts.roles import refuse_roles_of_pools
from taskforge.settings import Settings

__all__ = ["running"]


@asynccontextmanager
async def running(
    settings: Settings, roles: Set[str], *, health: Health | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Process]:
    """A process with the parts of these roles, until the block ends; then it drains (see `taskforge.parts.draining`).

    Raises StorageUnavailable, UnsafeServer or WrongFormat when the database cannot be used, SettingsError in production
    when a role is above row-level security; Valkey and Kafka may be away. What the block raises comes out as itself.
    `health` and `metrics` are given by those who show them before and afterwards, too.
    """
    if unknown := roles - ROLES:
        raise ValueError(f"no such role: {', '.join(sorted(unknown))}")
    async with (
        open_valkey(settings.valkey.url.reveal()) as valkey,
        open_pools(settings.database, deadline_seconds=settings.actors.deadline_seconds) as pools,
    ):
        await check_format(pools.writer)
        await refuse_roles_of_pools(settings, pools)
        keys = Keyset(settings.keys)
        highest = HighestEpoch(valkey, Signer(keys), settings.database.name)
        await settle_history(pools.writer, highest)
        format_pool = pools.api if roles.isdisjoint(PARTS) else pools.worker
        made = Composition(
            settings, pools, valkey, health or Health(), metrics or Metrics(), format_pool, keys, highest
        )
        _compose(made, roles)
        process = made.process()
        with process.health.probing(made.probes), process.metrics.showing(made.samples):
            async with started(process.tiers):
                try:
                    yield process
                finally:
                    process.health.draining.set()


def _compose(made: Composition, roles: Set[str]) -> None:
    """Make the parts of each role.

    What a role needs is loaded with it: an API process has no use for Kafka's clients, a worker none for the web
    framework, and each costs a process half a second and some ten megabytes.
    """
    if not roles.isdisjoint(API):
        from taskforge.parts.serving import add_services

        add_services(made)
    if not roles.isdisjoint(TEAMS):
        _ = made.teams
    if names := [name for name in PARTS if name in roles]:
        from taskforge.parts.work import add_work

        add_work(made, names)
