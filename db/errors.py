"""The one place where driver and system errors become ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from core.errors import StorageUnavailable
from core.writes import TeamLocked

__all__ = ["UNREACHABLE", "constraint_of", "forbidden_row", "storage_errors", "unavailable"]

logger = logging.getLogger(__name__)

RIGHTS_CHECK: Final = "aclcheck_error"
"""The function of the server that reports a right that is missing, whatever the language of its messages."""

DETAIL: Final = "The database cannot be reached; nothing was changed."
UNFINISHED_DETAIL: Final = "The database is not whole: it may be being restored; nothing was changed."
LOCKED: Final = "Somebody else holds what is to be changed; nothing was changed."

# What a restore looks like to those who are connected while it is at work: it brings tables first, then their rows,
# then keys and indexes, and rights last. Until it is done the database is as good as away.
UNFINISHED: Final[tuple[type[asyncpg.PostgresError], ...]] = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidColumnReferenceError,  # "on conflict" without the key that it names
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCachedStatementError,
)
# Everything that says "the server or the way to it, not the statement": lost and refused connections, a server that
# starts or stops, no room for one more, a read-only server after a failover, time limits, a rollback to be retried, and
# a database that is not whole.
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
    asyncpg.InternalServerError,  # A table that is dropped and made again under a statement.
    *UNFINISHED,
)


def unavailable(error: BaseException) -> StorageUnavailable:
    """Ours for one of `UNREACHABLE`. The driver's text goes to the log only: it may name hosts and users."""
    if isinstance(error, asyncpg.LockNotAvailableError):
        return TeamLocked(LOCKED)
    if isinstance(error, UNFINISHED):
        logger.error("the database is not whole: %s: %s", type(error).__name__, error)
        return StorageUnavailable(UNFINISHED_DETAIL)
    logger.warning("database unavailable: %s: %s", type(error).__name__, error)
    return StorageUnavailable(DETAIL)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn `UNREACHABLE` into StorageUnavailable; for work whose failure means that nothing was written."""
    try:
        yield
    except UNREACHABLE as error:
        if isinstance(error, ValueError) or forbidden_row(error):  # Our mistake, not the server's.
            raise
        raise unavailable(error) from error


def forbidden_row(error: BaseException) -> bool:
    """Whether row-level security refused it: the same code as a right that is missing, and quite another thing."""
    return isinstance(error, asyncpg.InsufficientPrivilegeError) and error.server_source_function != RIGHTS_CHECK


def constraint_of(error: asyncpg.IntegrityConstraintViolationError) -> str:
    """The name of the violated constraint; the column's for NOT NULL, which has none."""
    return error.constraint_name or error.column_name or type(error).__name__
