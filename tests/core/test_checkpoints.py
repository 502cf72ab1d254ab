"""What a copy of a history must add up to: every way to spoil a copy is found, and none is imagined."""

from uuid import UUID

import pytest
from msgspec import structs

from core.checkpoints import Ledger, canonical, event_of
from core.codec import JournalRow
from core.commands import DeleteTask, MoveTask, RemoveMember
from core.events import HistoryRedacted
from tests.support.checkpoints import by_pages, forgotten, ledger_of
from tests.support.core_team import MEMBER, CoreTeam, every_event

PAGES = (1, 2, 3, 7, 1_000)


def a_history() -> tuple[list[JournalRow], set[UUID]]:
    """Of tasks, comments, files, labels and members, some of them gone, and who and what is to be forgotten of it."""
    team = CoreTeam()
    kept, gone = team.task(estimate=2.0), team.task("Secret", estimate=0.5)
    for task in (kept, gone):
        team.comment(task.id)
        team.attach(task.id)
    team.label()
    team.ask(RemoveMember(MEMBER))
    team.ask(DeleteTask(gone.id))
    team.redact(gone.id, MEMBER)
    team.task("Later")
    return [encoded.row for encoded in team.journal], {gone.id, MEMBER}


@pytest.mark.parametrize("size", PAGES)
def test_a_copy_agrees_with_a_checkpoint_that_was_made_by_pages(size: int) -> None:
    rows, _ = a_history()
    for count in range(1, len(rows) + 1):
        assert ledger_of(rows[:count]).differences(by_pages(rows[:count], size)) == []


def test_a_redacted_history_has_the_same_chain_always_and_the_same_state_once_it_says_so() -> None:
    rows, subjects = a_history()
    after = forgotten(rows, subjects)
    assert [row for row, one in zip(rows, after, strict=True) if row != one], "something was forgotten"
    told = next(row.seq for row in rows if row.type == HistoryRedacted.type)
    for count in range(1, len(rows) + 1):
        checkpoint = by_pages(after[:count], 3)
        found = ledger_of(rows[:count]).differences(checkpoint)
        assert found == [] if count >= told else set(found) <= {"state"}
        assert checkpoint.redacted_seq == (told if count >= told else 0)


def test_neighbours_whose_rank_was_spread_anew_are_other_things_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.ranking.LONGEST", 2)
    team = CoreTeam()
    tasks = [team.task(str(number)) for number in range(4)]
    for number in range(12):
        team.ask(MoveTask(task_id=tasks[number % 2].id, before_id=tasks[2].id))
    rows = [encoded.row for encoded in team.journal]
    assert [row for row in rows if event_of(row).data.get("ranks")], "some ranks were spread"
    ledger = ledger_of(rows)
    for size in PAGES:
        assert ledger.differences(by_pages(rows, size)) == []
    for task in team.state.tasks.values():
        thing = ledger.things.there["task", task.id]
        assert (thing["rank"], thing["version"]) == (task.rank, task.version)


def test_an_event_that_is_altered_dropped_or_doubled_is_found() -> None:
    rows, _ = a_history()
    checkpoint = by_pages(rows, 5)
    changed = structs.replace(rows[3], payload=rows[3].payload.replace(b"name", b"game"), digest=bytes(32))
    assert "chain" in ledger_of([*rows[:3], changed, *rows[4:]]).differences(checkpoint)
    with pytest.raises(ValueError, match="does not follow"):
        ledger_of([*rows[:3], *rows[4:]])
    with pytest.raises(ValueError, match="does not follow"):
        ledger_of([*rows[:4], *rows[3:]])
    assert set(ledger_of(rows[:-1]).differences(checkpoint)) >= {"seq", "chain", "state", "things"}


def test_a_row_of_the_copy_that_is_altered_dropped_or_doubled_is_found() -> None:
    rows, _ = a_history()
    checkpoint = by_pages(rows, 5)
    for key in ledger_of(rows).things.there:
        altered, dropped, doubled = ledger_of(rows), ledger_of(rows), ledger_of(rows)
        name = next(iter(altered.things.there[key]))
        altered.things.there[key] = altered.things.there[key] | {name: "another"}
        assert altered.differences(checkpoint) == ["state"]
        del dropped.things.there[key]
        assert dropped.differences(checkpoint) == ["things", "state"]
        doubled.things.there[key[0], UUID(int=4711)] = doubled.things.there[key]
        assert doubled.differences(checkpoint) == ["things", "state"]


def test_an_event_without_salt_and_digest_proves_nothing() -> None:
    rows, _ = a_history()
    with pytest.raises(ValueError, match="neither a salt nor a digest"):
        Ledger().take(structs.replace(rows[0], salt=b"", digest=b""))


def test_json_is_canonical() -> None:
    rows, _ = a_history()
    row = structs.replace(rows[0], payload='{"b":[1.0,0.5,1e3,7],"a":"ü\\u0001\\n\\"<\\u007f","c":null}'.encode())
    assert canonical(event_of(row).data) == '{"a":"ü\\u0001\\n\\"<\x7f","b":[1,0.5,1000,7],"c":null}'


@pytest.mark.parametrize("size", PAGES)
def test_nothing_is_left_to_add_up_of_a_team_that_was_deleted(size: int) -> None:
    rows, ledger = [one.row for one in every_event(ended=True).journal], Ledger()
    for row in rows:
        ledger.take(row)
    assert ledger.things.there == {}
    checkpoint = by_pages(rows, size)
    assert ledger.differences(checkpoint) == []
    assert set(checkpoint.things.values()) == {0}
