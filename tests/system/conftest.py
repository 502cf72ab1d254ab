"""The whole system as processes, and somebody who uses it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.account import Account
from tests.support.browser import chromium, new_browser
from tests.support.directories import open_directory
from tests.support.system import System

__all__ = ["account", "chromium", "new_browser", "system", "systems"]


@pytest.fixture(scope="package")
def systems(services_root: Path) -> Iterator[Callable[..., System]]:
    """`taskforge up`, one for each choice of arguments; all must end well.

    One that a test has ended is started again, on its data.
    """
    running: dict[tuple[str, ...], System] = {}
    with contextlib.ExitStack() as stack:

        def running_with(*arguments: str) -> System:
            last = running.get(arguments)
            if last is None or last.process.poll() is not None:
                directory = last.directory if last else stack.enter_context(open_directory(services_root))
                running[arguments] = System(directory, *arguments)
                stack.callback(running[arguments].kill)
                running[arguments].start()
            return running[arguments]

        yield running_with
        codes = {arguments: system.stop() for arguments, system in running.items() if system.process.poll() is None}
        assert not any(codes.values()), [running[arguments].said()[-4000:] for arguments, code in codes.items() if code]


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest, systems: Callable[..., System]) -> System:
    """The system with the arguments that the module names as `UP`, shared with others that name the same."""
    return systems(*getattr(request.module, "UP", ()))


@pytest.fixture
def account(system: System) -> Iterator[Account]:
    account = Account(system.url)
    with contextlib.closing(account.http):
        yield account
