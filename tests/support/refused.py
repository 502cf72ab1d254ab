"""What the database itself refuses."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from core.errors import StorageUnavailable


@contextmanager
def refused() -> Iterator[None]:
    """A right is missing, which callers hear as a database that is not whole, or row-level security says no."""
    with pytest.raises((StorageUnavailable, asyncpg.InsufficientPrivilegeError)) as caught:
        yield
    error = caught.value
    cause = error.__cause__ if isinstance(error, StorageUnavailable) else error
    assert isinstance(cause, asyncpg.InsufficientPrivilegeError), cause
