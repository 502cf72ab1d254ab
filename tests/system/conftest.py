"""The whole system as processes, once per module, and somebody who uses it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.directories import open_directory
from tests.support.system import Person, System


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest, services_root: Path) -> Iterator[System]:
    """`taskforge up`, with the arguments that the module names as `UP`; it must end well."""
    with open_directory(services_root) as directory:
        system = System(directory, *getattr(request.module, "UP", ()))
        try:
            system.start()
            yield system
        finally:
            code = system.stop()
        assert code == 0, system.log.read_text()[-4000:]


@pytest.fixture
def person(system: System) -> Iterator[Person]:
    person = Person(system.url)
    with contextlib.closing(person.http):
        yield person
