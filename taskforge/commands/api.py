"""`taskforge api`: Granian with the application, in one or more worker processes."""

import argparse
import asyncio
import logging
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from granian._internal import load_target
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from api.settings import OpsSettings
from core.errors import StorageUnavailable
from db.installation import check_database
from taskforge import logs
from taskforge.devstack.child import parent_tie
from taskforge.devstack.errors import DevstackError
from taskforge.devstack.ports import claim, free_port, is_free
from taskforge.limits import server_limits
from taskforge.parts.roles import refuse_roles
from taskforge.processes import API_OPS_PORT
from taskforge.settings import Settings
from taskforge.stopping import DrainingServer, undisturbed_loading
from taskforge.tuning import schedule_in_batches

__all__ = ["run"]

logger = logging.getLogger(__name__)

TARGET = "taskforge.asgi:app"
METRICS = "PROMETHEUS_MULTIPROC_DIR"

# Every open SSE stream and idle keep-alive connection holds one of these per worker; beyond it a client would hang.
CONNECTIONS_PER_WORKER = 16_384
BACKLOG = 4096
# Open streams end by themselves within a moment of the drain signal; this bounds those that do not.
WORKER_STOP_SECONDS = 8
SPARE_FILES = 512

# Granian's records go up to the root logger, which formats them like all others.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"level": "INFO", "propagate": True}, "granian.access": {"propagate": False}},
}


def run(_: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Raises `DevstackError` when the port is taken.

    Raises WrongFormat when this program is too old for the database, also after it has become so, and SettingsError for
    roles that production forbids.
    """
    http = settings.http
    # Granian listens with SO_REUSEPORT: without the claim, a second server would silently share the first one's port.
    claimed = claim(http.port, "api")
    if claimed is None or not is_free(http.port, http.host):
        raise DevstackError(
            f"cannot listen on {http.host}:{http.port}: the port is taken, or the address is not of this machine; "
            "set TASKFORGE_HTTP__PORT to a free one"
        )
    _raise_file_limit()
    with claimed, _operators_port(settings.ops), _metrics_directory():
        _refuse_unfit(settings)
        _server(settings).serve(target_loader=_Load(settings.log_level, settings.log_format), wrap_loader=True)
    _refuse_unfit(settings)
    return 0


def _refuse_unfit(settings: Settings) -> None:
    """One clear line instead of processes that each fail to start. A database that is down is waited for by them."""
    with suppress(StorageUnavailable):
        asyncio.run(_ask_database(settings))


async def _ask_database(settings: Settings) -> None:
    await check_database(settings.database.api_url)
    await refuse_roles(settings)


@contextmanager
def _operators_port(ops: OpsSettings) -> Iterator[None]:
    """The port on which every process of this server answers operators: the same for all, and for nobody else."""
    wanted = ops.api_port or free_port()
    with ExitStack() as stack:
        claimed = claim(wanted, "api-ops")
        while claimed is None and not ops.api_port:
            wanted = free_port()
            claimed = claim(wanted, "api-ops")
        if claimed is None or not is_free(wanted, ops.host):
            raise DevstackError(
                f"cannot listen for operators on {ops.host}:{wanted}: the port is taken, or the address is not of this "
                "machine; set TASKFORGE_OPS__API_PORT to a free one"
            )
        stack.enter_context(claimed)
        os.environ[API_OPS_PORT] = str(wanted)
        logger.info("operators' HTTP on %s:%d", ops.host, wanted)
        yield


def _server(settings: Settings) -> DrainingServer:
    return DrainingServer(
        TARGET,
        address=settings.http.host,
        port=settings.http.port,
        interface=Interfaces.ASGI,
        workers=settings.http.workers,
        loop=Loops.uvloop,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_PER_WORKER,
        websockets=True,
        log_level=LogLevels.debug if settings.log_level == "debug" else LogLevels.warning,
        log_dictconfig=LOGGING,
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=WORKER_STOP_SECONDS,
        **server_limits(settings.http),
    )


class _Load:
    """Loads the application inside a worker process."""

    def __init__(self, level: str, format: logs.Format) -> None:  # noqa: A002
        self._level = level
        self._format = format

    def __call__(self, target: str) -> Callable[..., Any]:
        # The handlers inherited from the main process would swallow a signal that comes while we import.
        undisturbed_loading()
        # A SIGKILL of the main process would otherwise leave workers that go on serving.
        parent_tie(signal.SIGTERM, parent=os.getppid())()
        schedule_in_batches()
        logs.configure(self._level, self._format)
        try:
            application: Callable[..., Any] = load_target(target)
        except Exception:
            # Left to the server it would be a line for each line of the traceback.
            logger.critical("the application cannot be loaded", exc_info=True)
            raise SystemExit(1) from None
        return application


@contextmanager
def _metrics_directory() -> Iterator[None]:
    """An empty directory in which the workers share their counters; files of earlier processes would be summed up."""
    given = os.environ.get(METRICS)
    directory = Path(given) if given else Path(tempfile.mkdtemp(prefix="taskforge-metrics-"))
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.db"):
        old.unlink()
    os.environ[METRICS] = str(directory)
    try:
        yield
    finally:
        if not given:
            shutil.rmtree(directory, ignore_errors=True)


def _raise_file_limit() -> None:
    """As many open files as connections are accepted, when the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_PER_WORKER + SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("only %s open files are allowed per process; raise `ulimit -n` to %s", allowed, wanted)
