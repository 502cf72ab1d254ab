"""Tests in several processes at once (pytest-xdist): a stack of embedded services for each, files kept whole."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

WHOLE = {"", "not proof", "proof"}
"""What `-m` says in the runs that are not narrowed: `make test` and `make proofs`."""

MOST = 4
"""Processes; each of them runs a PostgreSQL, a Valkey and a broker of its own."""

LONGEST = (
    "tests/core/test_machine.py",
    "tests/system/test_schemathesis.py",
    "tests/system/test_import.py",
    "tests/taskforge/test_cli.py",
    "tests/system/test_board_page.py",
    "tests/system/test_sign_in.py",
    "tests/system/test_kill.py",
    "tests/system/test_transfer.py",
)
"""Started before all others, so that no process is still busy with one of them when the others have nothing left."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: one process per processor; none but this one for a narrowed run, which is ready sooner that way."""
    options = config.option
    narrowed = config.args_source is config.ArgsSource.ARGS or options.keyword or options.markexpr not in WHOLE
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if narrowed or processors == 1 else min(processors, MOST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Fixtures of a module are made once only where its tests stay together. Files start in the collected order."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of several: the longest files first."""
    if hasattr(config, "workerinput"):
        places = {file: place for place, file in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
