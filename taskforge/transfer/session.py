"""A command's work inside the composition root."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from api.services import Services
from core.errors import TaskForgeError
from taskforge.settings import Settings
from taskforge.wiring import running

__all__ = ["with_services"]

T = TypeVar("T")


async def with_services(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    """Do the work with everything running. An error of ours comes out as itself, not in an exception group."""
    failure: TaskForgeError | None = None
    async with running(settings) as services:
        try:
            return await work(services)
        except TaskForgeError as error:
            failure = error
    assert failure is not None, "the block returns or keeps its error"
    raise failure
