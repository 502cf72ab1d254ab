"""What goes out comes in again: the same tasks in another team, no change in the same one."""

import argparse
import asyncio
import csv
import io
import json
import os
import sys
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from core.commands import CreateColumn, MoveTask
from taskforge.commands import export_data
from taskforge.embedded import STAND_INS
from taskforge.transfer.cells import EXPORTED
from taskforge.transfer.files import Format, RowWriter, TransferError
from tests.support.office import MAX, OLGA, Office, by_title, columns, told

pytestmark = pytest.mark.anyio

RICH = (
    "external_id,title,description,status,priority,assignee,labels,due_at,estimate,parent,blocked_by\n"
    'A,Parent,"two\nlines, ""quoted""; and a tab\t",in_progress,urgent,olga@example.com,bug;docs,2026-05-01,0.1,,\n'
    'B,"Child; with, all",,open,none,,"[""semi;colon"", ""[odd""]",2026-05-01T10:00:00.123456+02:00,3,A,C\n'
    "C,=SUM(A1),🚀 \u2028 end,done,low,,,,,A,\n"
    "D,Fourth,,open,none,,,,,,\n"
)


@pytest.fixture
async def olga(office: Office) -> UUID:
    """Olga, whose team Work has tasks with everything a file can say."""
    olga = await office.sign_up(OLGA, "Olga")
    tally = await office.load(office.file("rich.csv", RICH))
    assert tally.created == 4, office.said
    tasks = by_title(await office.team())
    await office.ask(MoveTask(task_id=tasks["Fourth"].id, before_id=tasks["Child; with, all"].id), olga)
    return olga


async def save(office: Office, form: Format, name: str = "out", team: str = "Work") -> Path:
    path = office.directory / f"{name}.{form}"
    await export_data._export(office.settings, team, path, form)
    return path


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_an_export_makes_equal_tasks_in_an_empty_team(office: Office, olga: UUID, form: Format) -> None:
    before = await office.team()
    tally = await office.load(await save(office, form), "Copy")
    assert str(tally) == "created 4, updated 0, unchanged 0, failed 0", office.said
    after = await office.team("Copy")
    originals, copies = by_title(before), by_title(after)
    assert originals.keys() == copies.keys()
    for title, task in originals.items():
        assert told(after, copies[title]) == told(before, task)
    assert columns(after) == columns(before)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_importing_an_export_into_its_own_team_changes_nothing(office: Office, olga: UUID, form: Format) -> None:
    await office.load(office.file("nameless.csv", "title\nWithout an external id\n"))
    seq = (await office.team()).seq
    tally = await office.load(await save(office, form))
    assert str(tally) == "created 0, updated 0, unchanged 5, failed 0", office.said
    assert (await office.team()).seq == seq


async def test_tasks_without_an_external_id_are_made_again_unless_a_source_is_named(office: Office, olga: UUID) -> None:
    await office.load(office.file("nameless.csv", "title,parent\nOne,\n"), "Small")
    file = await save(office, "csv", team="Small")
    assert (await office.load(file, "Copy")).nameless == 1
    assert next(iter((await office.team("Copy")).tasks.values())).external_id is None
    for expected in ("created 1, updated 0, unchanged 0, failed 0", "created 0, updated 0, unchanged 1, failed 0"):
        assert str(await office.load(file, "Moved", source="old")) == expected


async def test_an_edited_export_updates_the_tasks_it_came_from(office: Office, olga: UUID) -> None:
    file = await save(office, "csv")
    file.write_text(file.read_text().replace("Fourth", "Edited"))
    assert str(await office.load(file)) == "created 0, updated 1, unchanged 3, failed 0"
    assert "Edited" in by_title(await office.team())


async def test_rows_are_in_board_order_and_have_every_column(office: Office, olga: UUID) -> None:
    with (await save(office, "csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == EXPORTED
    assert [row["title"] for row in rows] == ["Fourth", "Child; with, all", "Parent", "=SUM(A1)"]
    parent = rows[2]
    assert (parent["key"], parent["assignee"], parent["labels"]) == ("WORK-1", OLGA, "bug;docs")
    assert rows[1]["parent"] == "WORK-1"
    assert json.loads(rows[1]["labels"]) == ["semi;colon", "[odd"]


async def test_json_lines_keep_types(office: Office, olga: UUID) -> None:
    lines = [json.loads(line) for line in (await save(office, "jsonl")).read_text().splitlines()]
    parent = next(line for line in lines if line["title"] == "Parent")
    assert (parent["estimate"], parent["labels"], parent["due_on"]) == (0.1, ["bug", "docs"], "2026-05-01")
    assert parent["completed_at"] is None


async def test_an_assignee_of_the_old_team_must_be_a_member_of_the_new_one(office: Office, olga: UUID) -> None:
    file = await save(office, "csv")
    await office.sign_up(MAX, "Max")
    tally = await office.load(file, "Copy", email=MAX)
    assert tally.failed >= 1
    assert "not a member" in office.said


async def test_an_unknown_team_leaves_no_file(office: Office, olga: UUID) -> None:
    with pytest.raises(TransferError, match="no team"):
        await save(office, "csv", team="Nowhere")
    assert not list(office.directory.glob("*out*"))


async def test_a_failure_half_way_leaves_the_old_file(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await save(office, "csv")
    before = path.read_text()

    def breaks(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(RowWriter, "write", breaks)
    with pytest.raises(OSError, match="disk full"):
        await save(office, "csv")
    assert path.read_text() == before
    assert [one.name for one in office.directory.iterdir() if one.name.endswith(".part")] == []


def test_without_a_file_json_lines_go_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def export(settings: object, team: str, path: Path | None, form: Format) -> int:
        sys.stdout.write(f"{team} {path} {form}\n")
        return 0

    monkeypatch.setattr(export_data, "_export", export)
    args = argparse.Namespace(file=None, team="Work", format=None)
    assert export_data.run(args, None) == 0  # type: ignore[arg-type]
    assert capsys.readouterr().out == "Work None jsonl\n"


async def test_standard_output_gets_the_rows_and_nothing_else(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    assert await export_data._export(office.settings, "Work", None, "jsonl") == 4
    assert len([json.loads(line) for line in out.getvalue().splitlines()]) == 4


BOARD = """
insert into tasks (team_id, id, number, title, description, status, priority, rank, parent_id, assignee_id, created_by,
                   created_at, updated_at, label_ids, blocked_by, comment_count, attachment_count, version, column_id)
select $1, uuidv7(), 100 + n, 'Task ' || n, repeat('x', 500), case when n % 2 = 0 then 'open' else 'done' end, 'none',
       'b' || lpad(n::text, 6, '0'), (select id from tasks where team_id = $1 and number = 1), $2, $2, now(), now(),
       '{}', '{}', 0, 0, 1, $1
from generate_series(1, $3) n
"""
TASKS = 50_000


async def test_a_board_of_fifty_thousand_tasks_is_written_as_it_is_read(
    office: Office, olga: UUID, superuser: "asyncpg.Connection"
) -> None:
    """In a process of its own, whose memory is what the system counts for it."""
    team_id = await superuser.fetchval("select id from teams where name = 'Work'")
    await superuser.execute(BOARD, team_id, olga, TASKS)
    script = (
        "import asyncio, sys, time; from pathlib import Path; "
        "from taskforge.cli import _settings_of, parser; from taskforge.commands import export_data; "
        "settings = _settings_of(parser().parse_args(['export', '--team', 'Work'])); began = time.monotonic(); "
        "asyncio.run(export_data._export(settings, 'Work', Path(sys.argv[1]), 'jsonl')); "
        "print(time.monotonic() - began, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    path = office.directory / "big.jsonl"
    urls = office.settings.database
    given = {
        **STAND_INS,
        **{f"TASKFORGE_DATABASE__{name}_URL": getattr(urls, f"{name.lower()}_url").reveal()
           for name in ("API", "WRITER", "WORKER")},
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), env=os.environ | given, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    seconds, kilobytes = map(float, said.split())
    assert seconds < 15
    assert kilobytes < 100 * 1024, "at its largest (VmHWM)"
    with path.open() as file:
        rows = [(row["status"], row["title"], row["parent"], row["assignee"]) for row in map(json.loads, file)]
    assert len(rows) == TASKS + 4
    assert [title for status, title, *_ in rows if status == "done"][:2] == ["=SUM(A1)", "Task 1"]
    assert sorted({status for status, *_ in rows}) == ["done", "in_progress", "open"]
    assert {(parent, assignee) for _, title, parent, assignee in rows if title.startswith("Task ")} == {
        ("WORK-1", OLGA)
    }


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_columns_travel_by_name_and_dates_as_dates(office: Office, olga: UUID, form: Format) -> None:
    for team in ("Work", "Copy"):
        await office.load(office.file("first.csv", "external_id,title,due_on\n9,Dated,2026-05-01\n"), team)
        await office.ask(CreateColumn(name="Straße" if team == "Work" else "STRASSE", category="open"), olga, team)
    state = await office.team()
    column = next(column for column in state.columns.values() if column.name == "Straße")
    await office.ask(MoveTask(task_id=by_title(state)["Dated"].id, column_id=column.id), olga)
    file = await save(office, form)
    assert str(await office.load(file)) == "created 0, updated 0, unchanged 5, failed 0", office.said
    await office.load(file, "Copy")
    copied = await office.team("Copy")
    task = by_title(copied)["Dated"]
    assert (copied.columns[task.column_id].name, str(task.due_on), task.due_at) == ("STRASSE", "2026-05-01", None)
    assert "no such column" not in office.said
    tally = await office.load(file, "Third")
    assert tally.created == 5, office.said
    assert "no such column here: 'Straße'; its tasks went to the first column of their status" in office.said
    third = await office.team("Third")
    assert third.columns[by_title(third)["Dated"].column_id].name == "Open"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_series_of_tasks_travel_and_come_back_unchanged(office: Office, olga: UUID, form: Format) -> None:
    rule = '"FREQ=WEEKLY;BYDAY=MO,TH"'
    text = f"external_source,external_id,title,due_on,recurrence,recurrence_when\nS,R,Recurs,2026-03-02,{rule},done\n"
    await office.load(office.file("series.csv", text))
    await office.load(office.file("later.csv", "external_source,external_id,title,due_on\nS,R,Recurs,2026-03-04\n"))
    task = by_title(await office.team())["Recurs"]
    assert task.recurrence is not None
    assert (task.recurrence.rule, task.recurrence.when) == ("FREQ=WEEKLY;BYDAY=MO,TH", "done")
    assert (str(task.due_on), str(task.recurrence.on)) == ("2026-03-04", "2026-03-02"), "put off"
    exported = await save(office, form)
    assert str(await office.load(exported)).startswith("created 0, updated 0,"), office.said
    await office.load(exported, "Copy")
    copy = by_title(await office.team("Copy"))["Recurs"]
    assert copy.recurrence is not None
    assert (copy.recurrence.rule, copy.recurrence.when) == (task.recurrence.rule, "done")
