"""Tasks and errors that something asynchronous leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def leak_free() -> AsyncIterator[None]:
    """Fails when the block leaks a task or leaves an error behind in the event loop."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    with _Listening(loop, complaints):
        before = asyncio.all_tasks()
        yield
        for _ in range(10):  # Tasks cancelled by the last fixture end within a few turns of the loop.
            await asyncio.sleep(0)
        leaked = [task for task in asyncio.all_tasks() - before if not _is_ours(task)]
    for task in leaked:
        task.cancel()
    assert not leaked, f"tasks without an owner at the end of the test: {leaked}"
    assert not complaints, f"errors in the event loop: {complaints}"


class _Listening:
    """Collects what the loop would only log, such as a pending task that was destroyed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, complaints: list[str]) -> None:
        self._loop = loop
        self._complaints = complaints
        self._next = loop.get_exception_handler()

    def __enter__(self) -> None:
        self._loop.set_exception_handler(self._hear)

    def __exit__(self, *_: object) -> None:
        self._loop.set_exception_handler(self._next)

    def _hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("exception") is None:
            self._complaints.append(str(context.get("message")))
        if self._next is not None:
            self._next(loop, context)


def _is_ours(task: "asyncio.Task[Any]") -> bool:
    """The task that runs this fixture, the test runner's own, and the session's supervisor."""
    driver = getattr(task.get_coro(), "__name__", "") == "_call_in_runner_task"
    return task is asyncio.current_task() or driver or task.get_name().startswith("devstack:")
