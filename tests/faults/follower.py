"""The consumer that the guide for data teams shows, following the topic as a process of theirs would."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.faults.feeds import Contents
from tests.faults.report import Report
from tests.support.example_consumer import example

__all__ = ["Follower"]

PAUSE = 0.1


class Follower:
    """Keeps the boards of all teams from the topic alone."""

    def __init__(self, bootstrap: str, report: Report, contents: Contents) -> None:
        self._bootstrap, self._report = bootstrap, report
        self.boards = _noting(contents)

    async def run(self) -> None:
        """Until cancelled. The example is to outlive whatever happens to the broker."""
        while True:
            try:
                await example().follow(self._bootstrap, self.boards)
            except Exception as error:  # noqa: BLE001 (it is told whatever it is)
                self._report.note("unequal", f"the consumer ended: {type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE)

    def at(self, team: str) -> tuple[int, int]:
        """Epoch and seq of the team's last event that it has."""
        teams = self.boards.teams
        return teams[team].at if team in teams else (0, 0)


def _noting(contents: Contents) -> Any:
    class Noting(example().Boards):  # type: ignore[misc] # A module that is in no package.
        def take(self, event: dict[str, Any], headers: Mapping[str, bytes]) -> None:
            contents.note(event)
            super().take(event, headers)

    return Noting()
