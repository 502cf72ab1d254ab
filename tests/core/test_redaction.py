"""What is left of events once a task is deleted for good or a user erased: everything but what was written in them."""

from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.codec import JournalRow, decode, readable
from core.ended import DELETED_TEAM, GONE_KEY
from core.events import EVENT_TYPES, MemberEvent, TaskEvent
from core.redaction import (
    DELETED_TASK,
    DELETED_USER,
    MEMBER_TEXTS,
    OF_TEAM,
    TASK_TEXTS,
    redacted,
    redacted_with_team,
)
from core.team import TeamState, evolve
from tests.fixtures.foundation.reading import golden_row, lines_of
from tests.support.columns import placed
from tests.support.core_team import ADMIN, TEAM, CoreTeam, every_event

CANARY = "Ünïcødé"
OLD_DELETED = [row for line in lines_of("events.jsonl") if (row := golden_row(line)).type == "task.deleted"]


@pytest.fixture(scope="module")
def history() -> CoreTeam:
    return every_event()


def rows_of(history: CoreTeam, *subjects: UUID) -> list[JournalRow]:
    """The journal once the subjects are forgotten."""
    rows = []
    for encoded in history.journal:
        payload = redacted(encoded.row.type, encoded.row.payload, subjects)
        rows.append(encoded.row if payload is None else structs.replace(encoded.row, payload=payload, salt=b""))
    return rows


def deleted_task(history: CoreTeam) -> UUID:
    return next(one.row.subject for one in history.journal if one.row.type == "task.deleted")


def test_every_type_of_event_says_what_of_it_is_forgotten(history: CoreTeam) -> None:
    """`redacted` is closed over nouns: a type of a new one fails here before it can be written."""
    subjects = {one.row.subject for one in history.journal}
    changed = {one.row.type for one in history.journal if redacted(one.row.type, one.row.payload, subjects) is not None}
    assert changed == {name for name, event in EVENT_TYPES.items() if issubclass(event, TaskEvent | MemberEvent)}, (
        "labels and teams belong to the team, and a deleted task has no text"
    )


def test_nothing_that_was_written_in_the_task_is_left(history: CoreTeam) -> None:
    task_id = deleted_task(history)
    assert any(CANARY.encode() in one.row.payload for one in history.journal)
    left = [row for row in rows_of(history, task_id) if row.subject == task_id]
    assert not any(CANARY.encode() in row.payload for row in left)
    for row in left:
        data = msgspec.json.decode(row.payload)
        if "title" in data["task"]:
            assert {name: data["task"][name] for name in TASK_TEXTS} == TASK_TEXTS
            assert row.redacted


def test_previous_values_are_forgotten_and_their_names_are_kept() -> None:
    payload = msgspec.json.encode(
        {"task": {"id": str(TEAM), "title": "new"}, "previous": {"title": "old", "external_id": "7", "estimate": 3.5}}
    )
    left = redacted("task.updated", payload, {TEAM})
    assert left is not None
    assert msgspec.json.decode(left) == {
        "task": {"id": str(TEAM), "title": DELETED_TASK},
        "previous": {"title": DELETED_TASK, "external_id": None, "estimate": 3.5},
    }


def test_a_user_is_called_deleted_user_in_every_event_about_them(history: CoreTeam) -> None:
    about = [row for row in rows_of(history, ADMIN) if row.subject == ADMIN]
    assert {msgspec.json.decode(row.payload)["member"]["name"] for row in about} == {DELETED_USER}
    others = [one.row for one in history.journal if one.row.subject != ADMIN]
    assert [row for row in rows_of(history, ADMIN) if row.subject != ADMIN] == others
    assert MEMBER_TEXTS == {"name": DELETED_USER}


def test_events_about_others_are_left_alone(history: CoreTeam) -> None:
    stranger = UUID(int=404)
    assert rows_of(history, stranger) == [one.row for one in history.journal]


def test_what_is_forgotten_once_is_the_same_when_it_is_forgotten_again(history: CoreTeam) -> None:
    task_id = deleted_task(history)
    for row in rows_of(history, task_id, ADMIN):
        again = redacted(row.type, row.payload, {task_id, ADMIN})
        assert again is None or again == row.payload


def test_a_redacted_history_folds_to_the_same_board(history: CoreTeam) -> None:
    state = TeamState()
    for row in rows_of(history, deleted_task(history), ADMIN):
        evolve(state, decode(row))
    assert state.seq == history.state.seq
    assert list(state.tasks.values()) == list(history.state.tasks.values())
    assert (state.columns, placed(state)) == (history.state.columns, placed(history.state))
    assert state.members == history.state.members
    assert state.external.as_dict() == history.state.external.as_dict()
    assert state.top_number == history.state.top_number


def test_a_member_whose_history_is_redacted_has_no_name_left() -> None:
    team = CoreTeam()
    team.redact(ADMIN)
    assert team.state.members[ADMIN].name == DELETED_USER
    assert team.state.members[ADMIN].role == "admin"


@pytest.mark.parametrize("row", OLD_DELETED, ids=lambda row: f"seq {row.seq}")
def test_a_deleted_task_of_before_is_read_without_its_content(row: JournalRow) -> None:
    """Its row stays as it was written until the task is redacted; nobody is shown more than ids, number and key."""
    row = structs.replace(row, salt=bytes(16), digest=bytes(32))
    shown = readable(row)
    task = msgspec.json.decode(shown.payload)["task"]
    assert task.keys() == {"id", "team_id", "number", "key"}
    assert (shown.redacted, shown.schema_version, shown.digest) == (True, 2, row.digest)
    assert decode(shown) == decode(row)
    left = redacted(row.type, row.payload, {row.subject})
    assert left is not None
    assert msgspec.json.decode(left)["task"]["title"] == DELETED_TASK


def test_other_rows_are_read_as_they_are(history: CoreTeam) -> None:
    assert all(readable(one.row) is one.row for one in history.journal)


# A team that was deleted


def forgotten(team: CoreTeam) -> list[JournalRow]:
    """The journal once nothing is known of the team."""
    rows = []
    for one in team.journal:
        payload = redacted_with_team(one.row.type, one.row.payload)
        rows.append(one.row if payload is None else structs.replace(one.row, payload=payload, salt=b""))
    return rows


def test_nothing_that_was_written_in_a_team_is_left_and_all_else_is() -> None:
    team = every_event(ended=True)
    written = ("Ünïcødé", "Other", "renamed", "quotes", "Filler", "Olga", "Vera", "Bl", "Engineering", "ENG", '"N"')
    before = b"".join(one.row.payload for one in team.journal).decode()
    assert [text for text in written if text not in before] == [], "the search can be believed"
    rows = forgotten(team)
    after = b"".join(row.payload for row in rows).decode()
    assert [text for text in written if text in after] == []
    for row, one in zip(rows, team.journal, strict=True):
        old, new = msgspec.json.decode(one.row.payload), msgspec.json.decode(row.payload)
        assert old.keys() == new.keys(), "which the database insists on"
        for name, thing in new.items():
            if name in OF_TEAM:
                assert {key for key in thing if thing[key] != old[name][key]} <= {*OF_TEAM[name], "key"}
        assert redacted_with_team(row.type, row.payload) is None, "forgotten once more, it stays as it is"
    assert {row.type for row in rows if not row.redacted} == {"team.deleted", "team.restored", "history.redacted"}


def test_a_forgotten_history_folds_to_a_team_that_has_ended() -> None:
    team, folded = every_event(ended=True), TeamState()
    team.redact(TEAM)
    for row in forgotten(team):
        evolve(folded, decode(row))
    assert (folded.seq, folded.ended, folded.top_number) == (team.state.seq, True, team.state.top_number)
    assert folded.team == team.state.team
    assert folded.team is not None
    assert (folded.team.name, folded.team.key) == (DELETED_TEAM, GONE_KEY)
    assert (len(folded.tasks), dict(folded.members), dict(folded.labels), dict(folded.columns)) == (0, {}, {}, {})
