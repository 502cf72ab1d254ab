"""PostgreSQL refuses to run as root. Who it runs as instead, when we are root."""

import asyncio
import logging
import os
import pwd
import shutil
import signal
from pathlib import Path

import msgspec

from taskforge.devstack import private
from taskforge.devstack.child import Account, Child, Launch
from taskforge.devstack.errors import DevstackError

__all__ = ["RunAs", "choose_account"]

logger = logging.getLogger(__name__)

NOBODY = 65_534
TRIAL_SECONDS = 10.0


class RunAs(msgspec.Struct, frozen=True):
    """A command prefix (user namespace) or an account (ordinary user), or neither: as ourselves."""

    prefix: tuple[str, ...] = ()
    account: Account | None = None

    def own(self, *paths: Path) -> None:
        """Give files that we made to the account."""
        if self.account is not None:
            for path in paths:
                os.chown(path, self.account.uid, self.account.gid)


async def choose_account(binaries: Path, cluster: Path) -> RunAs:
    """How to run PostgreSQL's `binaries` here.

    As root first in a user namespace where we are `nobody` but files stay ours, then, where such namespaces are
    forbidden, as the user who owns the cluster or as `nobody`. Raises `DevstackError` when neither can run.
    """
    if os.geteuid() != 0:
        return RunAs()
    for candidate in _candidates(cluster):
        if not await _can(candidate, binaries / "postgres", "--version"):
            continue
        if candidate.account is not None:
            private.let_pass(cluster.parent)
        if await _can(candidate, "/bin/sh", "-c", 'cd "$1"', "sh", cluster.parent):
            return candidate
        uid = candidate.account.uid if candidate.account else NOBODY
        raise DevstackError(
            f"PostgreSQL does not run as root, and user {uid} cannot reach {cluster.parent}: "
            "run TaskForge as an ordinary user, or choose a data directory that other users may enter"
        )
    raise DevstackError(
        "PostgreSQL does not run as root, user namespaces are forbidden here, and an unprivileged user cannot read "
        f"{binaries}: run TaskForge as an ordinary user, or place it and its .venv outside of root's home"
    )


def _candidates(cluster: Path) -> list[RunAs]:
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner != 0:  # Once made for a user, the files are out of reach for a namespace that maps root alone.
        return [_ordinary(owner)]
    return [*_namespace(), _ordinary(None)]


def _namespace() -> list[RunAs]:
    unshare = shutil.which("unshare")
    return [RunAs(prefix=(unshare, "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}"))] if unshare else []


def _ordinary(uid: int | None) -> RunAs:
    try:
        # initdb wants a user with an entry in the password file.
        entry = pwd.getpwnam("nobody") if uid is None else pwd.getpwuid(uid)
    except KeyError as error:
        raise DevstackError("there is no unprivileged user to run PostgreSQL as; run TaskForge as one") from error
    return RunAs(account=Account(uid=entry.pw_uid, gid=entry.pw_gid))


async def _can(run_as: RunAs, *argv: str | Path) -> bool:
    try:
        child = await Child.spawn(
            Launch(
                argv=[*run_as.prefix, *argv],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                log=Path(os.devnull),
                account=run_as.account,
                death_signal=signal.SIGKILL,
            )
        )
    except OSError:
        return False
    try:
        return await asyncio.wait_for(child.wait(), TRIAL_SECONDS) == 0
    except TimeoutError:
        return False
    finally:
        await child.stop(signal.SIGKILL, 1.0)
