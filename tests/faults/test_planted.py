"""The harness sees what it is there to see: each of these bugs turns it red, and the same rounds without one are green.

A bug is planted into every process of a system of its own (`planted/`); nothing of the product knows of it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults import faults
from tests.faults.report import Kind, Report
from tests.faults.rounds import play
from tests.faults.world import Pace, started
from tests.support.directories import open_directory
from tests.support.source import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(120)]

BUGS: dict[str, tuple[tuple[str, ...], frozenset[Kind]]] = {
    "fence_off": (("stop worker",), frozenset({"refused", "lost"})),
    "mac_unchecked": (("valkey forged",), frozenset({"contents", "unequal", "reset"})),
    "snapshot_unbound": (("restore under snapshots", "kill api main beyond"), frozenset({"unequal", "stale"})),
    "inbox_skipped": (("stop worker", "kill broker"), frozenset({"effects"})),
    "sent_before_acknowledged": (("stop broker and kill worker",), frozenset({"unequal"})),
    "keys_not_written": (("kill api worker",), frozenset({"doubled"})),
    "backfill_skipped": (("kill api worker",), frozenset({"hole"})),
    "positions_unchecked": (("valkey mute",), frozenset({"hole"})),
    "acknowledged_before_commit": (("kill postgres", "kill backend"), frozenset({"lost"})),
    "refill_left_out": (("kill broker",), frozenset({"unequal"})),
    "epoch_not_raised": (("rewind",), frozenset({"unequal"})),
    "min_seq_ignored": (("valkey mute",), frozenset({"stale"})),
    "reset_left_out": (("rewind",), frozenset({"reset"})),
}
"""By bug: the rounds that show it, and what at least one finding must say."""


async def played(root: Path, rounds: Sequence[str], bug: str = "") -> Report:
    """These rounds on a system of their own; the first finding is enough."""
    report = Report()
    start = Path(__file__).parent / "planted" / "start"
    environment = {"FAULTS_PLANTED": bug, "PYTHONPATH": os.pathsep.join([str(start), str(ROOT)])} if bug else {}
    with open_directory(root) as directory:
        async with started(directory, report, Pace(), environment=environment) as world:
            for name in rounds:
                if all(finding.kind == "slow" for finding in report.findings):
                    await play(world, faults.named(name))
    print(f"\n{bug or 'nothing planted'}: {report}")  # noqa: T201 (shown with pytest -s)
    return report


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_turns_the_report_red(bug: str, services_root: Path) -> None:
    rounds, kinds = BUGS[bug]
    report = await played(services_root, rounds, bug)
    assert kinds & {finding.kind for finding in report.findings}, str(report)


async def test_the_same_rounds_are_green_without_a_bug(services_root: Path) -> None:
    rounds = dict.fromkeys(name for names, _ in BUGS.values() for name in names)
    report = await played(services_root, list(rounds))
    # How long a recovery may take is asserted where nothing else is: here it is the same rounds as with a bug.
    assert not [finding for finding in report.findings if finding.kind != "slow"], str(report)
