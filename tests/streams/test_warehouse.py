"""The example warehouse, fed by hand: it adds up to what checkpoints say, and whatever is spoiled in it is found."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs, to_builtins

from core.checkpoints import Checkpoint
from core.codec import JournalRow
from core.commands import MoveTask, UpdateTask
from core.task import TaskPatch
from streams.bootstrap import FORMATS, write
from streams.cloud_events import cloud_event
from tests.core.test_checkpoints import a_history
from tests.support.bootstraps import spooled
from tests.support.checkpoints import by_pages, forgotten
from tests.support.core_team import MEMBER, TEAM, CoreTeam, every_event
from tests.support.warehouse import open_warehouse, part, taken

HISTORY = [encoded.row for encoded in every_event().journal]
HALF = 90


@pytest.fixture
def warehouse() -> Iterator[Any]:
    opened = open_warehouse()
    yield opened
    opened.close()


def differing(warehouse: Any, checkpoint: Checkpoint) -> list[str]:
    found: list[str] = part("proof").differences(warehouse, str(checkpoint.team), to_builtins(checkpoint))
    return found


def a_file(folder: Path, form: Any, rows: list[JournalRow]) -> Path:
    path = folder / f"file.{form}"
    with spooled(folder, rows) as spool:
        write(form, path, spool.checkpoint(), spool)
    return path


@pytest.mark.parametrize("size", [1, 7, 40, 1_000])
def test_all_events_of_a_team_add_up_to_its_checkpoints(warehouse: Any, size: int) -> None:
    taken(warehouse, HISTORY[:HALF], size)
    assert differing(warehouse, by_pages(HISTORY[:HALF], 7)) == []
    taken(warehouse, HISTORY[HALF:], size)
    assert differing(warehouse, by_pages(HISTORY, 7)) == []
    assert differing(warehouse, by_pages(HISTORY[:HALF], 7)) == ["seq", "chain", "things", "state"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_bootstrap_and_its_tail_add_up_to_the_same(warehouse: Any, tmp_path: Path, form: Any) -> None:
    with warehouse.transaction():
        team, checkpoint = warehouse.begin(a_file(tmp_path, form, HISTORY[:HALF]))
    assert (team, checkpoint["seq"]) == (str(TEAM), HALF)
    assert differing(warehouse, by_pages(HISTORY[:HALF], 7)) == []
    taken(warehouse, HISTORY[HALF:])
    assert differing(warehouse, by_pages(HISTORY, 7)) == []


def test_beginning_again_leaves_nothing_of_what_was_there(warehouse: Any, tmp_path: Path) -> None:
    taken(warehouse, HISTORY)
    with warehouse.transaction():
        warehouse.begin(a_file(tmp_path, "jsonl", HISTORY[:HALF]))
    assert differing(warehouse, by_pages(HISTORY[:HALF], 7)) == []


SPOILED = {
    "a thing altered": ("update things set thing = replace(thing, 'Other', 'Otter')", {"state"}),
    "a thing dropped": ("delete from things where kind = 'comment'", {"state", "things"}),
    "a thing doubled": ("insert into things select * from things where kind = 'member' limit 1", {"state", "things"}),
    "an event altered": ("update events set data = replace(data, 'Other', 'Otter')", {"chain"}),
    "an event dropped": ("delete from events where seq = 40", {"chain"}),
    "the last event dropped": (f"delete from events where seq = {len(HISTORY)}", {"chain"}),
    "an event doubled": ("insert into events select * from events where seq = 40", {"chain"}),
    "an event's digest altered": ("update events set digest = repeat('0', 64), salt = null where seq = 40", {"chain"}),
    "its place altered": ("update teams set seq = seq + 1", {"chain", "seq"}),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_spoiled_is_found(warehouse: Any, name: str) -> None:
    statement, found = SPOILED[name]
    taken(warehouse, HISTORY)
    warehouse.db.execute(statement)
    assert set(differing(warehouse, by_pages(HISTORY, 7))) == found


def test_every_single_row_that_is_altered_dropped_or_doubled_is_found(warehouse: Any) -> None:
    rows, _ = a_history()
    checkpoint = by_pages(rows, 7)
    taken(warehouse, rows)
    places = [("things", rowid) for (rowid,) in warehouse.rows("select rowid from things")]
    places += [("events", rowid) for (rowid,) in warehouse.rows("select rowid from events")]
    column = {"things": "thing", "events": "data"}
    for table, rowid in places:
        for statement in (
            f"update {table} set {column[table]} = replace({column[table]}, '2026', '2027') where rowid = {rowid}",
            f"delete from {table} where rowid = {rowid}",
            f"insert into {table} select * from {table} where rowid = {rowid}",
        ):
            warehouse.db.begin()
            before = warehouse.rows(f"select {column[table]} from {table}")
            warehouse.db.execute(statement)
            if warehouse.rows(f"select {column[table]} from {table}") != before:
                assert differing(warehouse, checkpoint), statement
            warehouse.db.rollback()
    assert differing(warehouse, checkpoint) == []


def test_what_the_journal_forgets_is_forgotten_here_and_stays_proven(warehouse: Any) -> None:
    rows, subjects = a_history()
    taken(warehouse, rows)
    texts = "".join(data or "" for (data,) in warehouse.rows("select data from events"))
    assert "Secret" not in texts
    assert warehouse.rows("select count(*) from events where data is null")[0][0] >= len(subjects)
    assert differing(warehouse, by_pages(rows, 7)) == []
    assert differing(warehouse, by_pages(forgotten(rows, subjects), 7)) == []


def test_a_redacted_history_is_taken_like_any_other(warehouse: Any) -> None:
    rows, subjects = a_history()
    taken(warehouse, forgotten(rows, subjects))
    assert differing(warehouse, by_pages(rows, 7)) == []


def test_events_that_do_not_follow_are_refused_and_change_nothing(warehouse: Any) -> None:
    taken(warehouse, HISTORY[:HALF])
    for wrong in (HISTORY[HALF + 1 :], HISTORY[HALF - 1 :], [HISTORY[HALF], HISTORY[HALF + 2]]):
        with pytest.raises(part("store").Broken):
            taken(warehouse, wrong)
    assert differing(warehouse, by_pages(HISTORY[:HALF], 7)) == []


def test_a_hole_is_named_and_what_closes_it_is_taken(warehouse: Any) -> None:
    """As the topic gives them, when it has forgotten the first ones, and later has them again."""
    topic = part("topic").Topic("nowhere", warehouse)
    events = [part("events").Event.of(cloud_event(row)) for row in HISTORY]
    topic._take_all(events[3:8])
    assert (topic._run.lacking, topic._again, topic._run.taken) == ({str(TEAM): 4}, True, 0)
    topic._take_all(events[:8])
    assert (topic._run.lacking, topic._run.taken) == ({}, 8)
    topic._take_all(events)
    assert differing(warehouse, by_pages(HISTORY, 7)) == []


def test_a_file_that_is_damaged_begins_nothing(warehouse: Any, tmp_path: Path) -> None:
    path = a_file(tmp_path, "jsonl", HISTORY[:HALF])
    path.write_bytes(path.read_bytes().replace(b'"wip":"block"', b'"wip":"warn"'))
    with pytest.raises(part("store").Broken, match="damaged: state"):
        part("__main__").begun(warehouse, path)
    assert warehouse.teams() == []


def test_pages_are_taken_apart_to_the_byte() -> None:
    items_of = part("api").items_of
    one, two = b'{"a":[1,{"b":"],}\\u2028"}],"c":2.50}', '{"d":"\u2028"}'.encode()
    assert items_of(b'{"items":[' + one + b"," + two + b'],"next_cursor":"1:7"}') == ([one, two], "1:7")
    assert items_of(b'{"items":[],"next_cursor":null}') == ([], None)


@pytest.mark.parametrize("name", ["throughput", "time_in_columns", "workload"])
def test_every_question_has_an_answer(warehouse: Any, name: str) -> None:
    taken(warehouse, HISTORY)
    query = (part("__main__").QUERIES / f"{name}.sql").read_text()
    assert warehouse.db.execute(query).description is not None


def test_the_answers_are_right(warehouse: Any) -> None:
    team = CoreTeam()
    done, late = team.task("Done"), team.task("Late", estimate=3.0)
    team.ask(UpdateTask(late.id, TaskPatch(assignee_id=MEMBER, due_at=team.now + timedelta(hours=1))))
    team.ask(MoveTask(task_id=done.id, status="in_progress"))
    team.ask(MoveTask(task_id=done.id, status="done"))
    taken(warehouse, [encoded.row for encoded in team.journal])
    queries = part("__main__").QUERIES
    ((_, _, completed, _),) = warehouse.rows((queries / "throughput.sql").read_text())
    stays = {row[1]: row[2] for row in warehouse.rows((queries / "time_in_columns.sql").read_text())}
    ((_, name, open_tasks, estimate, overdue, weeks),) = warehouse.rows((queries / "workload.sql").read_text())
    assert (completed, stays) == (1, {"open": 1, "in_progress": 1})
    assert (name, open_tasks, estimate, overdue, weeks) == ("Member", 1, 3.0, 1, None)
    assert structs.asdict(by_pages([e.row for e in team.journal], 7))["things"]["task"] == 2


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_team_that_ends_leaves_nothing_and_is_forgotten_whole(warehouse: Any, size: int) -> None:
    team = every_event(ended=True)
    team.redact(TEAM)
    rows = [encoded.row for encoded in team.journal]
    taken(warehouse, rows, size)
    assert differing(warehouse, by_pages(rows, 7)) == []
    assert warehouse.rows("select count(*) from things") == [(0,)]
    assert warehouse.rows("select seq from events where data is not null") == [(rows[-1].seq,)]
