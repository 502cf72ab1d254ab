"""Everything that may happen to a whole system, round after round under load: nothing promised is lost, nothing twice.

`make faults` plays all rounds (about ten minutes), `make faults SIZE=small` those of `SMALL` (about a minute).
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.faults import faults
from tests.faults.disk import small_disk
from tests.faults.faults import Fault
from tests.faults.report import Report
from tests.faults.rounds import look_at_all, play
from tests.faults.world import Pace, started
from tests.support.directories import open_directory

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(900)]

SMALL = (
    "kill api worker",
    "stop postgres",
    "disk full",
    "valkey mute",
    "kill broker",
    "rewind",
    "valkey forged",
    "kill postgres",
    "restore",
)
SIZE = os.environ.get("FAULTS", "")
FULL = Pace(before=250, after=600, interval=0.3, topic_seconds=30)
ROUNDS, WRITES = 60, 50_000
"""At least, at full size: the list of faults comes again until there are so many rounds."""


def wanted() -> list[Fault]:
    if only := os.environ.get("FAULTS_ONLY"):
        return [faults.named(name.strip()) for name in only.split(",")]
    if SIZE == "small":
        return [faults.named(name) for name in SMALL]
    times = -(-ROUNDS // len(faults.ALL))
    return [*faults.ALL] * times


async def test_nothing_promised_is_lost_and_nothing_happens_twice(services_root: Path) -> None:
    report, pace = Report(), Pace(topic_seconds=20) if SIZE == "small" else FULL
    with open_directory(services_root) as directory, small_disk(directory / "data") as disk:
        try:
            async with started(directory, report, pace, disk=disk) as world:
                for fault in wanted():
                    if fault.name == "disk full" and disk is None:
                        report.left_out.append("disk full: nobody may mount a small disk here")
                        continue
                    await play(world, fault)
                await look_at_all(world)
        finally:
            if kept := os.environ.get("FAULTS_LOG"):
                shutil.copy(directory / "up.log", kept)
            print(f"\n{report}")  # noqa: T201 (the report is what the run is for)
    assert not report.red, str(report)
    if SIZE != "small" and not os.environ.get("FAULTS_ONLY"):
        assert len(report.rounds) >= ROUNDS
        assert report.acknowledged >= WRITES
