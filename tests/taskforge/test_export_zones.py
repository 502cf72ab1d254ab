"""When a task is due goes out and comes in again as it was, whatever clocks do in the zones of the two teams."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import available_timezones

import pytest

from core.commands import UpdateTeam
from core.task import Task
from taskforge.commands import export_data
from taskforge.transfer.cells import COLUMNS, EXPORTED, read_wish, row_of
from taskforge.transfer.files import Format, read_table, write_rows
from tests.support.clocks import DAY, pieces
from tests.support.office import OLGA, Office

NAMES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
ODD = ("Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Apia", "America/St_Johns")
FORMATS: tuple[Format, ...] = ("csv", "jsonl")


def dues() -> list[tuple[datetime | None, date | None]]:
    """Every change of a clock anywhere within two years, its neighbours by a microsecond, and the days around it."""
    found = set[tuple[datetime | None, date | None]]()
    for name in NAMES:
        for _, (start, shift) in pairwise(pieces(name, 2026, 2028, DAY)):
            moments = (start - timedelta(microseconds=1), start, start + timedelta(microseconds=1))
            found |= {(moment.replace(tzinfo=UTC), None) for moment in moments}
            found |= {(None, (start + shift).date() + DAY * distance) for distance in (-1, 0, 1)}
    return sorted(found, key=repr)


def a_task(due_at: datetime | None, due_on: date | None) -> Task:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    return Task(
        id=uuid4(), team_id=UUID(int=1), number=1, key="T-1", title="T", column_id=UUID(int=2), rank="a0",
        created_by=UUID(int=3), created_at=moment, updated_at=moment, version=1, due_at=due_at, due_on=due_on,
    )  # fmt: skip


def read_back(rows: list[dict[str, Any]], form: Format, path: Path) -> list[tuple[Any, Any]]:
    """What a file with these rows says of when its tasks are due."""
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, form, EXPORTED, rows)
    wishes = [read_wish(row, "", foreign=False, adopt=False) for row in read_table(path, form, COLUMNS).rows]
    return [(wish.patch.due_at or None, wish.patch.due_on or None) for wish in wishes]


@pytest.mark.parametrize("form", FORMATS)
def test_every_due_date_of_every_zone_is_read_as_it_was_written(form: Format, tmp_path: Path) -> None:
    wanted = dues()
    tasks = [a_task(*due) for due in wanted]
    rows = [row_of(task, form, labels={}, columns={}, keys={}, emails={}) for task in tasks]
    assert len(wanted) > 300
    assert read_back(rows, form, tmp_path / f"tasks.{form}") == wanted


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMATS)
async def test_teams_in_other_zones_exchange_due_dates_unchanged(office: Office, form: Format) -> None:
    olga, wanted = await office.sign_up(OLGA, "Olga"), dues()[::9]
    lines = ["external_id,title,due_at,due_on"]
    lines += [f"{number},T{number},{at.isoformat() if at else ''},{on or ''}" for number, (at, on) in enumerate(wanted)]
    await office.load(office.file("dues.csv", "\n".join(lines)))
    team, path = "Work", office.directory / f"out.{form}"
    for number, zone in enumerate(ODD):
        await office.ask(UpdateTeam(time_zone=zone), olga, team)
        await export_data._export(office.settings, team, path, form)
        team = f"Team {number}"
        tally = await office.load(path, team)
        assert (tally.created, tally.failed) == (len(wanted), 0), office.said
        after = {task.title: (task.due_at, task.due_on) for task in (await office.team(team)).tasks.values()}
        assert after == {f"T{number}": due for number, due in enumerate(wanted)}
