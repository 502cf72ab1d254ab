"""Files into teams: upsert, one bad row among good ones, and the journal as the only way in."""

import asyncio
import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from actors.envelope import CommandResult
from actors.system import TeamSystem
from core.commands import AddMember, ArchiveTask, CreateLabel, CreateTask, CreateTeam, UpdateTask
from core.errors import DomainError, Forbidden, NotFound, StorageUnavailable
from core.task import TaskFields, TaskPatch
from taskforge.transfer.files import TransferError
from taskforge.transfer.targets import key_of
from tests.support.asking import by
from tests.support.columns import limited
from tests.support.office import MAX, OLGA, Office, by_title, columns

pytestmark = pytest.mark.anyio
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"

FOREIGN = "key,title,description,estimate\nX-1,First,one,2\nX-2,Second,,\n"


@pytest.fixture
async def olga(office: Office) -> UUID:
    return await office.sign_up(OLGA, "Olga")


async def test_a_foreign_file_makes_a_task_of_every_row_and_nothing_the_second_time(office: Office, olga: UUID) -> None:
    file = office.file("tracker.csv", FOREIGN)
    tally = await office.load(file)
    assert str(tally) == "created 2, updated 0, unchanged 0, failed 0"
    state = await office.team()
    first = by_title(state)["First"]
    assert (first.external_source, first.external_id) == ("tracker", "X-1")
    assert (first.description, first.estimate, first.created_by) == ("one", 2.0, olga)
    assert columns(state)["open"] == ["First", "Second"]
    again = await office.load(file)
    assert str(again) == "created 0, updated 0, unchanged 2, failed 0"
    assert (await office.team()).seq == state.seq


async def test_only_the_given_columns_of_what_differs_are_updated(office: Office, olga: UUID) -> None:
    await office.load(office.file("tracker.csv", FOREIGN))
    task = by_title(await office.team())["First"]
    await office.ask(UpdateTask(task.id, TaskPatch(description="by hand", priority="high")), olga)
    tally = await office.load(office.file("tracker.csv", "key,title,estimate\nX-1,First!,\nX-2,Second,\nX-3,Third,1\n"))
    assert str(tally) == "created 1, updated 1, unchanged 1, failed 0"
    task = by_title(await office.team())["First!"]
    assert (task.description, task.priority, task.estimate) == ("by hand", "high", None)


async def test_a_date_is_a_day_of_the_teams_calendar_and_no_moment(office: Office, olga: UUID) -> None:
    file = office.file("dates.csv", "external_id,title,due_at\nZ-1,Due on the 31st,2026-12-31\n")
    await office.load(file)
    task = by_title(await office.team())["Due on the 31st"]
    assert (task.due_at, task.due_on) == (None, date(2026, 12, 31))
    assert str(await office.load(file)) == "created 0, updated 0, unchanged 1, failed 0"


@pytest.mark.parametrize(
    ("row", "due_at", "due_on"),
    [
        ("2026-12-31T10:00:00Z,", datetime(2026, 12, 31, 10, tzinfo=UTC), None),
        ("2026-12-30,", None, date(2026, 12, 30)),
        (",2026-12-29", None, date(2026, 12, 29)),
        (",", None, None),
    ],
)
@pytest.mark.parametrize("before", ["2026-01-01,", "2026-01-01T00:00:00Z,", ",2026-01-01", ","])
async def test_what_a_row_says_of_when_it_is_due_replaces_either_form(
    office: Office, olga: UUID, before: str, row: str, due_at: datetime | None, due_on: date | None
) -> None:
    for due in (before, row):
        tally = await office.load(office.file("t.csv", f"external_id,title,due_at,due_on\nX-1,T,{due}\n"))
        assert tally.failed == 0
    task = by_title(await office.team())["T"]
    assert (task.due_at, task.due_on) == (due_at, due_on)


async def test_a_tracker_that_takes_a_date_away_takes_it_away_here(office: Office, olga: UUID) -> None:
    for due in ("2026-12-31", ""):
        await office.load(office.file("t.csv", f"external_id,title,due_at\nX-1,T,{due}\n"))
    task = by_title(await office.team())["T"]
    assert (task.due_at, task.due_on) == (None, None)


async def test_a_row_that_is_due_twice_is_refused(office: Office, olga: UUID) -> None:
    tally = await office.load(office.file("t.csv", "title,due_at,due_on\nT,2026-12-31T10:00:00Z,2026-12-31\n"))
    assert (tally.created, tally.failed) == (0, 1)


async def test_all_columns_of_ours_are_understood(office: Office, olga: UUID) -> None:
    await office.load(office.file("start.csv", "title\nOld task\n"))
    max_id = await office.sign_up(MAX, "Max")
    await office.join(max_id, olga)
    text = (
        "external_id,title,status,priority,assignee,labels,due_at,estimate,parent,blocked_by\n"
        'A,Parent,in_progress,urgent,MAX@example.com,"bug; Docs",2026-05-01,0.5,,\n'
        'B,Child,,,,"[""a;b"", ""BUG""]",2026-05-01T10:00:00+02:00,,A,WORK-1;C\n'
        "C,Last,done,low,,,,,A,\n"
    )
    tally = await office.load(office.file("ours.csv", text), source="plan")
    assert str(tally) == "created 3, updated 0, unchanged 0, failed 0", office.said
    state = await office.team()
    tasks = by_title(state)
    parent, child, last = tasks["Parent"], tasks["Child"], tasks["Last"]
    names = {label.id: label.name for label in state.labels.values()}
    assert sorted(names.values()) == ["Docs", "a;b", "bug"]
    assert [names[label_id] for label_id in child.label_ids] == ["a;b", "bug"]
    assert (parent.status, parent.priority, parent.assignee_id, parent.estimate) == (
        "in_progress",
        "urgent",
        max_id,
        0.5,
    )
    assert (parent.due_at, parent.due_on) == (None, date(2026, 5, 1))
    assert child.due_at == datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert (child.parent_id, last.parent_id) == (parent.id, parent.id)
    assert set(child.blocked_by) == {tasks["Old task"].id, last.id}
    assert last.completed_at is not None
    again = await office.load(office.file("ours.csv", text), source="plan")
    assert str(again) == "created 0, updated 0, unchanged 3, failed 0"


async def test_a_row_that_refers_to_later_rows_is_linked_when_they_are_there(office: Office, olga: UUID) -> None:
    lines = [{"external_id": str(n), "title": f"T{n}", "parent": str(n + 1) if n < 149 else None} for n in range(150)]
    text = "\n".join(json.dumps(line) for line in lines)
    tally = await office.load(office.file("chain.jsonl", text))
    assert (tally.created, tally.failed) == (150, 0)
    tasks = by_title(await office.team())
    assert all(tasks[f"T{n}"].parent_id == tasks[f"T{n + 1}"].id for n in range(149))


async def test_a_bad_row_is_reported_and_its_neighbours_are_imported(office: Office, olga: UUID) -> None:
    text = (
        "external_id,title,status,estimate,assignee,parent\n"
        "1,Good,open,1,,\n"
        "2,,open,1,,\n"
        "3,Bad status,todo,1,,\n"
        "4,Bad number,open,many,,\n"
        "5,Nobody,open,1,nobody@example.com,\n"
        "6,Stranger,open,1,max@example.com,\n"
        "7,Orphan,open,1,,NOPE-1\n"
        "1,Twin,open,1,,\n"
        "8,Too few\n"
        "9,Last,open,1,,\n"
    )
    await office.sign_up(MAX, "Max")
    tally = await office.load(office.file("mixed.csv", text))
    assert str(tally) == "created 2, updated 0, unchanged 0, failed 8"
    assert columns(await office.team())["open"] == ["Good", "Last"]
    with (office.directory / "mixed.rejects.csv").open(newline="") as file:
        rejects = {row["_row"]: row["_reason"] for row in csv.DictReader(file)}
    assert set(rejects) == {"3", "4", "5", "6", "7", "8", "9", "10"}
    for number, words in {
        "3": "title",
        "4": "status: Invalid enum value 'todo'",
        "5": "estimate",
        "6": "nobody@example.com",
        "7": "not a member",
        "8": "NOPE-1",
        "9": "row 2 is about the same task",
        "10": "2 cells",
    }.items():
        assert words in rejects[number]
        assert f"row {number}: " in office.said


async def test_a_mended_rejects_file_can_be_imported(office: Office, olga: UUID) -> None:
    await office.load(office.file("in.csv", "external_id,title,status\n1,A,todo\n2,B,open\n"), source="in")
    rejects = office.directory / "in.rejects.csv"
    rejects.write_text(rejects.read_text().replace("1,A,todo", "1,A,done"))
    assert str(await office.load(rejects, source="in")) == "created 1, updated 0, unchanged 0, failed 0"


async def test_a_full_column_refuses_only_the_rows_that_do_not_fit(office: Office, olga: UUID) -> None:
    await office.load(office.file("one.csv", "external_id,title\n0,Start\n"))
    for command in limited(await office.team(), in_progress=2):
        await office.ask(command, olga)
    text = "external_id,title,status\n" + "".join(
        f"{n},T{n},{'in_progress' if n % 2 else 'open'}\n" for n in range(1, 9)
    )
    tally = await office.load(office.file("wip.csv", text))
    assert (tally.created, tally.failed) == (6, 2)
    assert columns(await office.team())["in_progress"] == ["T1", "T3"]
    assert "In progress holds its limit" in office.said


async def test_linking_that_would_close_a_circle_is_a_failure_of_that_row(office: Office, olga: UUID) -> None:
    text = "external_id,title,parent\n1,A,2\n2,B,1\n"
    tally = await office.load(office.file("circle.csv", text))
    assert str(tally) == "created 1, updated 0, unchanged 0, failed 1"
    assert "row 3: the task is there, but not linked to the others: A task cannot be its own ancestor." in office.said


async def test_a_byte_order_mark_quoted_newlines_and_huge_fields_are_read(office: Office, olga: UUID) -> None:
    huge = "x" * 65_000
    text = f'\ufeffkey,title,description,estimate\r\n1,"Two\r\nlines, ""quoted""",{huge},\r\n2,Ünï,{huge}{huge},\r\n'
    tally = await office.load(office.file("odd.csv", text))
    assert (tally.created, tally.failed) == (1, 1)
    (task,) = (await office.team()).tasks.values()
    assert (task.title, task.description) == ('Two lines, "quoted"', huge)
    assert "row 3: description" in office.said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "key,title\n", "no row"),
        ("a.csv", "key,titel\n1,T\n", "unknown column 'titel'; there are assignee, blocked_by"),
        ("a.csv", "title,title\nA,B\n", "twice"),
        ("a.csv", 'title\n"open\n', "not valid CSV"),
        ("a.csv", b"title\n\xff\n", "not UTF-8 (byte 6)"),
        ("a.txt", "title\nA\n", "--format"),
    ],
)
async def test_a_file_that_is_wrong_as_a_whole_changes_nothing(
    office: Office, olga: UUID, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(TransferError) as refused:
        await office.load(office.file(name, text))
    assert words in refused.value.detail


async def test_json_lines_report_their_bad_lines_by_number(office: Office, olga: UUID) -> None:
    good = '{"external_id":"1","title":"A","labels":["x"]}'
    text = good + '\n\n[1]\n{"title":\n{"titel":"B"}\n{"external_id":2,"title":"C"}\n'
    tally = await office.load(office.file("lines.jsonl", text))
    assert (tally.created, tally.failed) == (2, 3)
    for number in (3, 4, 5):
        assert f"row {number}: " in office.said
    assert len((office.directory / "lines.rejects.jsonl").read_text().splitlines()) == 3


async def test_an_archived_task_is_compared_with_and_not_brought_back(office: Office, olga: UUID) -> None:
    await office.load(office.file("t.csv", FOREIGN))
    task = by_title(await office.team())["First"]
    await office.ask(ArchiveTask(task.id), olga)
    assert (await office.load(office.file("t.csv", FOREIGN))).unchanged == 2
    tally = await office.load(office.file("t.csv", "key,title\nX-1,Renamed\n"))
    assert tally.failed == 1
    assert "archived" in office.said


async def test_a_dry_run_tells_what_would_be_and_writes_nothing(office: Office, olga: UUID) -> None:
    await office.load(office.file("t.csv", FOREIGN))
    before = (await office.team()).seq
    text = "key,title,labels,parent\nX-1,Changed,new label,\nX-2,Second,,\nX-3,Third,,X-4\nX-4,Fourth,,NOPE-9\n"
    tally = await office.load(office.file("t.csv", text), dry_run=True)
    assert str(tally) == "created 1, updated 1, unchanged 1, failed 1"
    state = await office.team()
    assert (state.seq, state.labels) == (before, {})


async def test_the_team_must_be_told_apart(office: Office, olga: UUID) -> None:
    file = office.file("t.csv", FOREIGN)
    for options, words in (
        ({"create_team": False}, "--create-team"),
        ({"email": "nobody@example.com"}, "no account"),
        ({"dry_run": True}, "no team"),
    ):
        with pytest.raises(TransferError, match=words):
            await office.load(file, "Nowhere", **options)
    with pytest.raises(NotFound):
        await office.load(file, str(UUID(int=5)))
    max_id = await office.sign_up(MAX, "Max")
    with pytest.raises(TransferError, match="say with --as"):
        await office.load(file, "Nowhere", email=None)
    await office.load(file, "Twins")
    with pytest.raises(NotFound):
        await office.load(file, "Twins", email=MAX)
    await office.join(max_id, olga, "Twins")
    assert (await office.load(file, "twins", email=MAX)).unchanged == 2
    assert (await office.load(file, "TWIN", email=None)).unchanged == 2


async def test_two_teams_of_one_name_are_named_by_id(office: Office, olga: UUID) -> None:
    async with office.open() as services:
        for _ in range(2):
            team_id = services.new_id()
            await services.teams.ask(team_id, CreateTeam(team_id, "Twins", "TWN", "Olga"), by(olga))
    with pytest.raises(TransferError, match="several teams") as refused:
        await office.load(office.file("t.csv", FOREIGN), "twins")
    assert str(team_id) in refused.value.detail


async def test_without_any_account_no_team_can_be_made(office: Office) -> None:
    with pytest.raises(TransferError, match="sign up"):
        await office.load(office.file("t.csv", FOREIGN), email=None)


async def test_the_only_account_owns_a_new_team_unless_told_otherwise(office: Office, olga: UUID) -> None:
    await office.load(office.file("t.csv", FOREIGN), "New", email=None)
    assert (await office.team("New")).role_of(olga) == "owner"


async def test_a_viewer_imports_nothing(office: Office, olga: UUID) -> None:
    await office.load(office.file("t.csv", FOREIGN))
    max_id = await office.sign_up(MAX, "Max")
    await office.ask(AddMember(max_id, "Max", "viewer"), olga)
    with pytest.raises(Forbidden):
        await office.load(office.file("t.csv", FOREIGN), email=MAX)


async def test_another_writer_beside_the_import_loses_nothing(office: Office, olga: UUID) -> None:
    """Two processes on one team: the fence sends whoever comes late back to the journal."""
    await office.load(office.file("start.csv", "external_id,title\nstart,Start\n"))
    text = "external_id,title\n" + "".join(f"{n},T{n}\n" for n in range(600))
    file = office.file("many.csv", text)
    async with office.open() as beside:
        team_id = (await office.team()).team.id  # type: ignore[union-attr]

        async def write() -> None:
            for number in range(60):
                command = CreateTask(TaskFields(title=f"Beside {number}"))
                await beside.teams.ask(team_id, command, by(olga, deadline=30.0))

        tally, _ = await asyncio.gather(office.load(file), write())
    assert (tally.created, tally.failed) == (600, 0)
    state = await office.team()
    assert len(state.tasks) == state.top_number == 661


async def test_an_import_of_the_same_file_at_the_same_time_makes_each_task_once(office: Office, olga: UUID) -> None:
    await office.load(office.file("start.csv", "external_id,title\nstart,Start\n"))
    file = office.file("many.csv", "external_id,title\n" + "".join(f"{n},T{n}\n" for n in range(300)))
    one, other = await asyncio.gather(office.load(file), office.load(file))
    assert (one.failed, other.failed) == (0, 0)
    assert len((await office.team()).tasks) == 301


async def test_an_unknown_outcome_is_asked_for_again_and_never_doubled(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TeamSystem.ask
    lost: list[Any] = []

    async def lossy(self: TeamSystem, *args: Any, **options: Any) -> Any:
        result = await original(self, *args, **options)
        if len(lost) < 3 and args[2].key is not None:
            lost.append(result)
            raise StorageUnavailable("the answer was lost", retry_after=0)
        return result

    await office.load(office.file("start.csv", "external_id,title\nstart,Start\n"))
    monkeypatch.setattr(TeamSystem, "ask", lossy)
    tally = await office.load(office.file("plain.csv", "title,labels\nA,x\nB,\n"))
    assert (len(lost), tally.created, tally.failed) == (3, 2, 0)
    assert sorted(by_title(await office.team())) == ["A", "B", "Start"]


async def test_storage_that_stays_away_ends_the_import(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        raise StorageUnavailable("away", retry_after=0)

    await office.load(office.file("t.csv", FOREIGN))
    monkeypatch.setattr("actors.system.TeamSystem.ask", never)
    with pytest.raises(StorageUnavailable):
        await office.load(office.file("n.csv", "title\nNew\n"))


async def test_rows_without_any_name_are_imported_with_a_warning(office: Office, olga: UUID) -> None:
    tally = await office.load(office.file("plain.csv", "title\nA\nB\n"))
    assert tally.created == 2
    assert "2 new tasks have no external_id" in office.said


async def test_odd_cells_are_refused_with_the_name_of_their_column(office: Office, olga: UUID) -> None:
    lines = [
        {"id": "not an id", "title": "A"},
        {"external_id": 1.5, "title": "A"},
        {"external_id": "\u200b", "title": "A"},
        {"external_id": "x" * 201, "title": "A"},
        {"title": "A", "labels": "[odd"},
        {"title": "A", "labels": [" "]},
        {"title": "A", "labels": ["x" * 51]},
        {"title": "A", "blocked_by": [str(n) for n in range(51)]},
        {"title": 5},
    ]
    columns = ("id", "external_id", "external_id", "external_id", "labels", "labels", "labels", "blocked_by", "title")
    tally = await office.load(office.file("odd.jsonl", "\n".join(map(json.dumps, lines))), "Odd")
    assert str(tally) == "created 0, updated 0, unchanged 0, failed 9"
    for number, column in enumerate(columns, start=1):
        assert f"row {number}: {column}: " in office.said


async def test_control_characters_of_a_file_are_dropped_and_said(office: Office, olga: UUID) -> None:
    lines = [
        {"external_id": "I-1", "title": "\u200b"},
        {"external_id": "I-6", "title": "\u202eRTL override", "description": "one\r\ntwo\x1b"},
        {"external_id": "I-7", "title": "line\nbreak", "labels": ["a\x07b"]},
        {"external_id": "I-9", "title": "\u0627\u0644\u0639\u0631\u0628\u064a\u0629"},
        {"external_id": "I-10", "title": "e\u0301"},
    ]
    file = office.file("odd.jsonl", "\n".join(map(json.dumps, lines)))
    tally = await office.load(file)
    assert str(tally) == "created 4, updated 0, unchanged 0, failed 1"
    tasks = by_title(await office.team())
    assert set(tasks) == {"RTL override", "line break", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u00e9"}
    assert tasks["RTL override"].description == "one\ntwo"
    assert [label.name for label in (await office.team()).labels.values()] == ["ab"]
    assert "row 1: title: text must not be blank" in office.said
    assert "row 2: dropped 1 control or invisible steering characters of title" in office.said
    assert "row 3: dropped 1 control or invisible steering characters of labels" in office.said
    assert (await office.load(file)).unchanged == 4


async def test_somebody_is_found_by_any_spelling_of_their_domain(office: Office, olga: UUID) -> None:
    ada = await office.sign_up("ada@b\u00fccher.example", "Ada")
    await office.load(office.file("start.csv", "title\nOld task\n"))
    await office.ask(AddMember(ada, "Ada", "member"), olga)
    text = "external_id,title,assignee\n1,A,ada@xn--bcher-kva.example\n2,B,ada@B\u00dcCHER.example\n"
    assert (await office.load(office.file("a.csv", text))).created == 2
    assert {task.assignee_id for task in (await office.team()).tasks.values()} == {None, ada}


async def test_a_team_that_cannot_be_called_that_is_not_made(office: Office, olga: UUID) -> None:
    file = office.file("t.csv", FOREIGN)
    for name in (" ", "x" * 101):
        with pytest.raises(TransferError, match="name"):
            await office.load(file, name)


async def test_a_label_made_by_somebody_else_at_this_moment_is_used(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TeamSystem.ask
    made: list[CommandResult] = []

    async def race(self: TeamSystem, team_id: UUID, command: Any, *rest: Any) -> Any:
        if isinstance(command, CreateLabel) and not made:
            made.append(await original(self, team_id, command, by(olga)))
        return await original(self, team_id, command, *rest)

    monkeypatch.setattr(TeamSystem, "ask", race)
    tally = await office.load(office.file("l.csv", "external_id,title,labels\n1,A,bug\n"))
    assert (len(made), tally.created) == (1, 1)
    (task,) = (await office.team()).tasks.values()
    assert task.label_ids == (made[0].events[0].row.subject,)


async def test_a_refusal_whose_answer_was_lost_is_still_a_refusal(
    office: Office, olga: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TeamSystem.ask
    lost: list[Any] = []

    async def lossy(self: TeamSystem, *args: Any, **options: Any) -> Any:
        try:
            return await original(self, *args, **options)
        except DomainError as error:
            if len(lost) < 2:
                lost.append(error)
                raise StorageUnavailable("the answer was lost", retry_after=0) from error
            raise

    await office.load(office.file("start.csv", "external_id,title,status\nstart,Start,done\n"))
    for command in limited(await office.team(), done=1):
        await office.ask(command, olga)
    monkeypatch.setattr(TeamSystem, "ask", lossy)
    tally = await office.load(office.file("full.csv", "external_id,title,status\n1,A,done\n2,B,open\n"))
    assert (len(lost), tally.created, tally.failed) == (2, 1, 1)
    assert "row 2: The column Done holds its limit" in office.said


@pytest.mark.parametrize("name", ["mesos", "springxd", "duracloud"])
async def test_real_data_comes_in_whole_and_changes_nothing_again(office: Office, olga: UUID, name: str) -> None:
    file = REAL / f"{name}.csv"
    if not file.is_file():
        pytest.skip("the real data is not beside the checkout")
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    tally = await office.load(file, name)
    assert (tally.created, tally.failed) == (len(rows), 0), office.said
    state = await office.team(name)
    assert {task.external_id: task.title for task in state.tasks.values()} == {row["key"]: row["title"] for row in rows}
    assert (await office.load(file, name)).unchanged == len(rows)
    assert (await office.team(name)).seq == state.seq


@pytest.mark.parametrize(
    ("name", "key"),
    [("Platform Team", "PT"), ("mesos", "MESO"), ("Ünï", "N"), ("X", "XTEA"), ("4 You", "YTEA"), ("日本", "TEAM")],
)
def test_a_new_team_gets_a_key_from_its_name(name: str, key: str) -> None:
    assert key_of(name)[:1].isalpha()
    assert 2 <= len(key_of(name)) <= 10
    if name != "Ünï":
        assert key_of(name) == key
