"""The demo has something to look at, can be logged in to, and leaves alone what people changed."""

import stat
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.commands import DeleteTask, MoveTask
from core.task import STATUSES
from taskforge.commands.demo import EMAIL, REAL_DATA, Seeded, seed
from taskforge.transfer.samples import BUILT_IN, sample_wishes
from tests.support.office import Office, columns

pytestmark = pytest.mark.anyio


async def plant(office: Office, folder: Path | None = None) -> Seeded:
    async with office.open() as services:
        return await seed(services, office.directory / "data" / "demo.json", folder or office.directory)


async def test_the_demo_is_a_team_with_people_and_a_spread_of_tasks(office: Office) -> None:
    seeded = await plant(office)
    state = await office.team("Demo")
    assert seeded.tasks == len(state.tasks) == len(BUILT_IN) >= 24
    assert len(state.members) == 5
    tasks = list(state.tasks.values())
    assert {task.status for task in tasks} == set(STATUSES)
    assert len({task.priority for task in tasks}) >= 4
    assert len({task.assignee_id for task in tasks}) >= 4
    assert len(state.labels) >= 4
    for there in ("due_at", "label_ids", "parent_id", "blocked_by", "estimate", "description"):
        assert sum(bool(getattr(task, there)) for task in tasks) >= 5, there
    now = datetime.now(UTC)
    assert any(task.due_at is not None and task.due_at < now for task in tasks)


async def test_the_printed_login_works_and_lies_in_the_data_directory_for_its_owner_only(office: Office) -> None:
    seeded = await plant(office)
    file = office.directory / "data" / "demo.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert seeded.password is not None
    assert seeded.password in file.read_text()
    async with office.open() as services:
        known = await services.identity.credentials(EMAIL)
        assert known is not None
        assert (await services.passwords.verify(known.password_hash, seeded.password)).ok


async def test_a_second_run_adds_nothing_and_takes_nothing_back(office: Office) -> None:
    first = await plant(office)
    async with office.open() as services:
        known = await services.identity.credentials(EMAIL)
    assert known is not None
    tasks = list((await office.team("Demo")).tasks.values())
    moved = next(task for task in tasks if task.status == "open")
    await office.ask(MoveTask(task_id=moved.id, status="done"), known.user_id, "Demo")
    await office.ask(DeleteTask(tasks[-1].id), known.user_id, "Demo")
    before = await office.team("Demo")
    second = await plant(office)
    assert (second.password, second.team_id, second.tasks) == (first.password, first.team_id, 0)
    after = await office.team("Demo")
    assert (after.seq, columns(after)) == (before.seq, columns(before))


async def test_a_demo_that_was_cut_off_is_finished(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("taskforge.commands.demo.sample_wishes", lambda *args: sample_wishes(*args)[:9])
        await plant(office)
    second = await plant(office)
    assert second.tasks == len(BUILT_IN) - 9
    state = await office.team("Demo")
    assert len(state.tasks) == len(BUILT_IN)
    root = next(task for task in state.tasks.values() if task.external_id == "1")
    assert sum(task.parent_id == root.id for task in state.tasks.values()) == sum(one[3] == 1 for one in BUILT_IN)


async def test_a_lost_password_file_is_said_and_not_made_up(office: Office) -> None:
    await plant(office)
    (office.directory / "data" / "demo.json").unlink()
    assert (await plant(office)).password is None


async def test_real_tasks_are_used_when_they_lie_beside_the_checkout(office: Office) -> None:
    if not (REAL_DATA / "mesos.csv").is_file():
        pytest.skip("the real data is not beside the checkout")
    seeded = await plant(office, REAL_DATA)
    state = await office.team("Demo")
    assert seeded.tasks == len(state.tasks) == 160
    spread = Counter(task.status for task in state.tasks.values())
    assert all(spread[status] >= 3 for status in STATUSES)


def test_the_spread_is_the_same_at_every_time_of_asking(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    one, other = (sample_wishes(tmp_path, ["a@example.com", "b@example.com"], now) for _ in range(2))
    assert one == other
