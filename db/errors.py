"""The one place where driver and system errors become ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from core.errors import StorageUnavailable
from core.writes import TeamLocked

__all__ = ["UNREACHABLE", "constraint_of", "storage_errors", "unavailable"]

logger = logging.getLogger(__name__)

DETAIL: Final = "The database cannot be reached; nothing was changed."
LOCKED: Final = "Somebody else holds what is to be changed; nothing was changed."

# Everything that says "the server or the way to it, not the statement": lost and refused connections, a server that
# starts or stops, no room for one more, a read-only server after a failover, time limits, and a rollback to be retried.
UNREACHABLE: Final[tuple[type[BaseException], ...]] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.PostgresSystemError,
)


def unavailable(error: BaseException) -> StorageUnavailable:
    """Ours for one of `UNREACHABLE`. The driver's text goes to the log only: it may name hosts and users."""
    if isinstance(error, asyncpg.LockNotAvailableError):
        return TeamLocked(LOCKED)
    logger.warning("database unavailable: %s: %s", type(error).__name__, error)
    return StorageUnavailable(DETAIL)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn `UNREACHABLE` into StorageUnavailable; for work whose failure means that nothing was written."""
    try:
        yield
    except UNREACHABLE as error:
        if isinstance(error, ValueError):  # An argument that the driver cannot encode: our mistake, not the server's.
            raise
        raise unavailable(error) from error


def constraint_of(error: asyncpg.IntegrityConstraintViolationError) -> str:
    """The name of the violated constraint; the column's for NOT NULL, which has none."""
    return error.constraint_name or error.column_name or type(error).__name__
