"""What an event did, for people: every kind of change has words, and what nobody can say any more says so."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import structs

from core.codec import Encoded, decode, encode
from core.commands import ArchiveTask, CreateColumn, DeleteTask, MoveTask, RestoreTask, UpdateTask
from core.events import EVENT_TYPES, AnyTaskEvent
from core.sentences import Change, Named, Names, changes_of, references_of, sentence
from core.task import STATUSES, Task, TaskPatch
from core.team import TeamState
from tests.support.core_team import MEMBER, OWNER, SALT, CoreTeam, every_event

DUE = datetime(2026, 3, 3, 23, 30, tzinfo=UTC)


def names_of(state: TeamState, zone: str = "Europe/Berlin") -> Names:
    people = {member.user_id: member.name for member in state.members.values()}
    labels = {label.id: label.name for label in state.labels.values()}
    columns = {column.id: column.name for column in state.columns.values()}
    tasks = {task.id: task.key for task in state.tasks.values()}
    return Names({**columns, **people, **labels, **tasks}, ZoneInfo(zone))


def last(team: CoreTeam) -> tuple[Encoded, AnyTaskEvent]:
    """The newest event, as it is read from the journal."""
    encoded = team.journal[-1]
    event = decode(encoded.row)
    assert isinstance(event, AnyTaskEvent)
    return encoded, event


def said(team: CoreTeam) -> str:
    encoded, event = last(team)
    return sentence(encoded.row, event, names_of(team.state))


@pytest.fixture
def team() -> CoreTeam:
    return CoreTeam()


def patched(team: CoreTeam, task: Task, **fields: Any) -> str:
    team.ask(UpdateTask(task.id, TaskPatch(**fields)))
    return said(team)


def test_what_happens_to_a_task_as_a_whole_is_said(team: CoreTeam) -> None:
    task = team.task()
    assert said(team) == "Olga created it."
    team.task("Another")
    team.ask(MoveTask(task_id=task.id))
    assert said(team) == "Olga moved it within Open."
    team.ask(MoveTask(task_id=task.id, status="in_progress"), MEMBER)
    assert said(team) == "Member moved it from Open to In progress."
    team.ask(ArchiveTask(task.id))
    assert said(team) == "Olga archived it."
    team.ask(RestoreTask(task.id))
    assert said(team) == "Olga restored it."


def test_columns_are_called_by_their_names(team: CoreTeam) -> None:
    task = team.task()
    (made,) = team.ask(CreateColumn(name="Fridge", category="open"))
    team.ask(MoveTask(task_id=task.id, column_id=made.subject))
    assert said(team) == "Olga moved it from Open to Fridge."


def test_each_field_has_its_words(team: CoreTeam) -> None:
    task, other = team.task(), team.task("Other")
    bug, docs = team.label("bug"), team.label("docs")
    assert patched(team, task, title="New") == "Olga renamed it from “Paint the shed” to “New”."
    assert patched(team, task, status="done") == "Olga moved it from Open to Done."
    assert patched(team, task, priority="high") == "Olga set the priority to high."
    assert patched(team, task, priority="none") == "Olga took away the priority."
    assert patched(team, task, assignee_id=MEMBER) == "Olga assigned it to Member."
    assert patched(team, task, assignee_id=None) == "Olga took it from Member."
    assert patched(team, task, assignee_id=OWNER) == "Olga took it on."
    assert patched(team, task, due_at=DUE) == "Olga set due to 4 March 2026, 00:30 (Europe/Berlin)."
    assert patched(team, task, due_at=None) == "Olga took away the due date."
    assert patched(team, task, estimate=2.5) == "Olga set the estimate to 2.5."
    assert patched(team, task, estimate=None) == "Olga took away the estimate."
    assert patched(team, task, label_ids=(bug, docs)) == "Olga added the labels bug and docs."
    assert patched(team, task, label_ids=(bug,)) == "Olga removed the label docs."
    assert patched(team, task, label_ids=(docs,)) == "Olga added the label docs and removed the label bug."
    assert patched(team, task, parent_id=other.id) == "Olga made it a subtask of ENG-2."
    assert patched(team, task, parent_id=None) == "Olga took it out of ENG-2."
    assert patched(team, task, blocked_by=(other.id,)) == "Olga made it wait for ENG-2."
    assert patched(team, task, blocked_by=None) == "Olga made it wait no longer for ENG-2."
    assert patched(team, task, description="Long") == "Olga changed the description."
    said = patched(team, task, title="Last", priority="low", estimate=1.0)
    assert said == "Olga renamed it from “New” to “Last”, set the priority to low and set the estimate to 1."


def test_changes_have_names_in_place_of_ids(team: CoreTeam) -> None:
    task, other = team.task(), team.task("Other")
    bug = team.label("bug")
    patched(team, task, assignee_id=MEMBER, label_ids=(bug,), parent_id=other.id, due_at=DUE)
    _, event = last(team)
    changes = {change.field: (change.before, change.after) for change in changes_of(event, names_of(team.state))}
    assert changes == {
        "assignee_id": (None, Named(MEMBER, "Member")),
        "label_ids": ([], [Named(bug, "bug")]),
        "parent_id": (None, Named(other.id, "ENG-2")),
        "due_at": (None, DUE),
    }
    assert references_of(event) == {OWNER, MEMBER, bug, other.id, task.column_id}
    assert msgspec.to_builtins(Change("title", "a", "b")) == {"field": "title", "from": "a", "to": "b"}


def test_what_nobody_remembers_is_said_to_be_gone(team: CoreTeam) -> None:
    task = team.task(label_ids=(team.label("bug"),))
    patched(team, task, label_ids=None)
    encoded, event = last(team)
    assert sentence(encoded.row, event, Names({}, UTC)) == "Somebody removed the label something that is gone."


def test_a_redacted_event_says_so_and_nothing_else(team: CoreTeam) -> None:
    team.task("Secret")
    encoded, event = last(team)
    row = structs.replace(encoded.row, salt=b"")
    assert sentence(row, event, names_of(team.state)) == "Olga created it."


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("comment.added", "added a comment that was deleted"),
        ("comment.edited", "edited a comment that was deleted"),
        ("comment.deleted", "deleted a comment"),
        ("attachment.added", "attached a file"),
        ("task.moved", "moved it"),
        ("task.updated", "changed something that is forgotten for good"),
    ],
)
def test_a_redacted_event_says_what_kind_it_was(team: CoreTeam, kind: str, said: str) -> None:
    team.task("Secret")
    encoded, _ = last(team)
    row = structs.replace(encoded.row, salt=b"", type=kind)
    assert sentence(row, None, names_of(team.state)) == f"Olga {said}."


def test_every_type_of_event_has_a_sentence_and_an_unknown_one_its_name() -> None:
    team, lived = every_event(ended=True), every_event()
    names, types = names_of(lived.state), set[str]()
    for encoded in team.journal:
        event = decode(encoded.row)
        text = sentence(encoded.row, event, names)
        types.add(event.type)
        assert text.endswith(".")
        assert "None" not in text
    assert types == EVENT_TYPES.keys()
    later = structs.replace(team.journal[-1].row, type="task.frozen")
    assert sentence(later, None, names) == "Olga caused task.frozen."
    added = structs.replace(later, type="comment.added")
    assert sentence(added, None, names) == "Olga commented on it."
    attached = [sentence(one.row, one.event, names) for one in team.journal if one.row.type.startswith("attachment.")]
    assert all("“" in text for text in attached)


def test_every_field_of_a_task_can_be_said() -> None:
    """A field that tasks get later has a sentence too, if a plain one."""
    team = CoreTeam()
    task = team.task()
    assert {status.replace("_", " ").capitalize() for status in STATUSES} == {
        "Open", "In progress", "In review", "Done", "Cancelled",
    }  # fmt: skip
    event = structs.replace(last(team)[1], previous={name: getattr(task, name) for name in Task.__struct_fields__})
    row = encode(event, salt=SALT).row
    assert sentence(row, event, names_of(team.state)).startswith("Olga created it")


def test_a_task_that_is_deleted_for_good_is_said_to_be(team: CoreTeam) -> None:
    task = team.task()
    team.ask(DeleteTask(task.id))
    assert sentence(team.journal[-1].row, None, names_of(team.state)) == "Olga deleted it for good."
    assert names_of(team.state).of(UUID(int=7)) == "something that is gone"
