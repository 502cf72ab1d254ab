"""Taking a change back: the task is as it was before, or the refusal names the fields that stand in the way."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.commands import (
    AnyCommand,
    ArchiveTask,
    Asking,
    Batch,
    CreateColumn,
    DeleteColumn,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RestoreTask,
    UndoTask,
    UpdateTask,
    UpdateTeam,
)
from core.decide import decide
from core.errors import Conflict, DomainError, InvalidReference, NotFound, StaleVersion
from core.events import AnyEvent, AnyTaskEvent, TaskEvent
from core.principal import Principal
from core.task import PRIORITIES, STATUSES, Task, TaskPatch
from core.task_history import TaskHistory, Wanted, changed_fields, history_of
from core.team import TeamState
from tests.support.core_team import ADMIN, MEMBER, MISSING, OWNER, START, VIEWER, CoreTeam

BOOKKEEPING = {"version", "updated_at"}


def content(task: Task) -> dict[str, Any]:
    """All of a task but what every change changes."""
    return {name: getattr(task, name) for name in Task.__struct_fields__ if name not in BOOKKEEPING}


def undo(task: Task, seq: int | None = None, user: UUID = OWNER) -> UndoTask:
    return UndoTask(task_id=task.id, user_id=user, seq=seq)


def refused(team: CoreTeam, command: AnyCommand, actor: UUID = OWNER) -> Conflict:
    with pytest.raises(Conflict) as refusal:
        team.ask(command, actor)
    return refusal.value


def test_an_undone_update_gives_every_field_its_old_value_in_an_event_of_the_same_type() -> None:
    team = CoreTeam()
    label = team.label()
    task = team.task(due_at=START, estimate=2.5, label_ids=(label,), assignee_id=MEMBER, description="old")
    patch = TaskPatch(
        title="Other", description=None, due_at=None, estimate=None, label_ids=None, assignee_id=None, priority="high"
    )
    team.ask(UpdateTask(task.id, patch))
    (event,) = team.ask(undo(task))
    assert isinstance(event, TaskEvent)
    assert event.type == "task.updated"
    assert event.previous["title"] == "Other"
    assert content(team.now_at(task.id)) == content(task)


def test_an_undone_move_puts_the_task_back_where_it_stood() -> None:
    team = CoreTeam()
    _, second, third = [team.task(title) for title in ("First", "Second", "Third")]
    team.ask(MoveTask(task_id=second.id, status="done"))
    assert team.now_at(second.id).completed_at is not None
    (event,) = team.ask(undo(second))
    assert event.type == "task.moved"
    assert team.titles() == ["First", "Second", "Third"]
    assert content(team.now_at(second.id)) == content(second)
    team.ask(MoveTask(task_id=third.id, before_id=second.id))
    team.ask(undo(third))
    assert team.titles() == ["First", "Second", "Third"]


def test_undoing_a_create_archives_and_undoing_that_brings_the_task_back() -> None:
    team = CoreTeam()
    task = team.task()
    (away,) = team.ask(undo(task))
    assert away.type == "task.archived"
    assert task.id not in team.state.tasks
    (back,) = team.ask(undo(task))
    assert back.type == "task.restored"
    assert content(team.now_at(task.id)) == content(task)


def test_archive_and_restore_are_taken_back_by_each_other_at_the_same_place() -> None:
    team = CoreTeam()
    first, _ = team.task("First"), team.task("Second")
    team.ask(ArchiveTask(first.id))
    archived = team.now_at(first.id)
    team.ask(undo(first))
    assert team.titles() == ["First", "Second"]
    assert content(team.now_at(first.id)) == content(first)
    team.ask(ArchiveTask(first.id))
    team.ask(RestoreTask(first.id))
    assert team.titles() == ["Second", "First"]
    (event,) = team.ask(undo(first))
    assert event.type == "task.archived"
    assert content(team.now_at(first.id)) | {"archived_at": None} == content(archived) | {"archived_at": None}


def test_the_newest_change_of_whoever_asks_is_taken_back_and_changes_of_others_stay() -> None:
    team = CoreTeam()
    task = team.task(actor=OWNER)
    team.ask(UpdateTask(task.id, TaskPatch(title="Mine")), MEMBER)
    team.ask(UpdateTask(task.id, TaskPatch(priority="high")), OWNER)
    team.ask(undo(task, user=MEMBER), MEMBER)
    now = team.now_at(task.id)
    assert (now.title, now.priority) == (task.title, "high")


def test_an_undo_can_be_undone_and_that_again() -> None:
    team = CoreTeam()
    task = team.task()
    team.ask(UpdateTask(task.id, TaskPatch(title="Changed")))
    titles = []
    for _ in range(4):
        team.ask(undo(task))
        titles.append(team.now_at(task.id).title)
    assert titles == [task.title, "Changed", task.title, "Changed"]


def test_later_changes_of_the_same_fields_by_anybody_are_named() -> None:
    team = CoreTeam()
    task = team.task()
    (event,) = team.ask(UpdateTask(task.id, TaskPatch(title="Mine", priority="low", estimate=1.0)))
    team.ask(UpdateTask(task.id, TaskPatch(title="Theirs", priority="high")), MEMBER)
    error = refused(team, undo(task, event.seq))
    assert (error.reason, error.fields) == ("undo-conflict", ("priority", "title"))
    assert team.now_at(task.id).title == "Theirs"


def test_where_a_task_stands_is_one_thing() -> None:
    team = CoreTeam()
    first, _ = team.task("First"), team.task("Second")
    (event,) = team.ask(MoveTask(task_id=first.id))
    team.ask(MoveTask(task_id=first.id, status="done"), MEMBER)
    error = refused(team, undo(first, event.seq))
    assert error.reason == "undo-conflict"
    assert "status" in error.fields


def test_what_was_restored_since_by_somebody_conflicts_with_undoing_its_creation() -> None:
    team = CoreTeam()
    task = team.task()
    team.ask(ArchiveTask(task.id), ADMIN)
    assert refused(team, undo(task)).fields == ("archived_at",)
    team.ask(RestoreTask(task.id), ADMIN)
    assert "archived_at" in refused(team, undo(task)).fields


def test_an_archived_task_keeps_its_fields_until_it_is_restored() -> None:
    team = CoreTeam()
    task = team.task()
    team.ask(UpdateTask(task.id, TaskPatch(title="Changed")))
    team.ask(ArchiveTask(task.id), ADMIN)
    assert refused(team, undo(task)).reason == "archived"


def test_a_value_that_refers_to_what_is_gone_is_a_conflict_of_its_field() -> None:
    team = CoreTeam()
    label = team.label()
    task, other = team.task(label_ids=(label,), assignee_id=MEMBER), team.task("Other")
    team.ask(UpdateTask(task.id, TaskPatch(label_ids=())))
    team.ask(DeleteLabel(label), ADMIN)
    assert refused(team, undo(task)).fields == ("label_ids",)
    team.ask(UpdateTask(task.id, TaskPatch(assignee_id=None)))
    team.ask(RemoveMember(MEMBER))
    assert refused(team, undo(task)).fields == ("assignee_id",)
    team.ask(UpdateTask(task.id, TaskPatch(parent_id=other.id)))
    (event,) = team.ask(UpdateTask(task.id, TaskPatch(parent_id=None)))
    team.ask(UpdateTask(other.id, TaskPatch(parent_id=task.id)))
    assert refused(team, undo(task, event.seq)).fields == ("parent_id",)


def test_a_column_that_is_full_by_now_takes_nothing_back() -> None:
    team = CoreTeam()
    task = team.task()
    team.ask(MoveTask(task_id=task.id, status="done"))
    team.task("Filler")
    team.ask(UpdateTeam(wip="block"))
    team.limit(open=1)
    assert refused(team, undo(task)).reason == "wip-limit"


def test_a_task_goes_back_into_no_column_that_is_gone() -> None:
    team = CoreTeam()
    task = team.task()
    (made,) = team.ask(CreateColumn(name="Later", category="open"))
    team.ask(MoveTask(task_id=task.id, column_id=made.subject))
    (moved,) = team.ask(MoveTask(task_id=task.id, status="done"))
    team.ask(DeleteColumn(column_id=made.subject))
    assert refused(team, undo(task, moved.seq)).fields == ("column_id",)


def test_between_columns_of_one_category_a_task_keeps_its_status_and_goes_back() -> None:
    team = CoreTeam()
    task = team.task()
    (made,) = team.ask(CreateColumn(name="Later", category="open"))
    (moved,) = team.ask(MoveTask(task_id=task.id, column_id=made.subject))
    assert isinstance(moved, AnyTaskEvent)
    assert "status" not in changed_fields(moved)
    team.ask(undo(task))
    assert content(team.now_at(task.id)) == content(task)


def test_a_task_that_is_gone_or_redacted_cannot_be_what_it_was() -> None:
    team = CoreTeam()
    task = team.task()
    team.ask(DeleteTask(task.id))
    assert refused(team, undo(task)).reason == "undo-redacted"
    other = team.task("Other")
    draft = team.state.fork()
    wanted = Wanted(other.id, None, OWNER)
    created = next(event for event in events_of(team) if event.subject == other.id)
    draft.histories = {wanted: history_of(wanted, [(created, True)])}
    with pytest.raises(Conflict) as refusal:
        decide(draft, undo(other), Asking(Principal.of_user(OWNER), team.now, team.new_id))
    assert refusal.value.reason == "undo-redacted"


def events_of(team: CoreTeam) -> list[AnyEvent]:
    return [encoded.event for encoded in team.journal]


def test_there_must_be_such_a_change() -> None:
    team = CoreTeam()
    task, other = team.task(), team.task("Other")
    assert refused(team, undo(task, user=MEMBER), MEMBER).reason == "nothing-to-undo"
    with pytest.raises(InvalidReference) as error:
        team.ask(undo(task, other.version))
    assert error.value.pointer == "/seq"
    with pytest.raises(NotFound):
        team.ask(UndoTask(task_id=MISSING, user_id=OWNER))
    with pytest.raises(StaleVersion):
        team.ask(UndoTask(task_id=task.id, user_id=OWNER, if_match=1))
    with pytest.raises(DomainError):
        team.ask(undo(task, user=VIEWER), VIEWER)


def test_what_is_as_it_was_before_needs_no_event() -> None:
    history = TaskHistory()
    assert history.after(Wanted(MISSING, None, OWNER), events_of(CoreTeam())[0]) == history
    team = CoreTeam()
    task = team.task()
    team.ask(Batch((UpdateTask(task.id, TaskPatch(title="A")), UpdateTask(task.id, TaskPatch(title="B")))))
    team.ask(undo(task))
    assert team.now_at(task.id).title == "A", "one change of the batch, and no other"


def test_changes_of_the_same_batch_are_known_to_an_undo_behind_them() -> None:
    """The journal is read before the batch is decided: what came first in it is no row yet."""
    team = CoreTeam()
    task = team.task()
    wanted = Wanted(task.id, None, OWNER)
    draft, _ = team.decide(undo(task))
    change = draft.histories[wanted].change
    assert change is not None
    assert change.type == "task.archived"


def any_change(team: CoreTeam, task_id: UUID, choose: random.Random) -> AnyCommand:
    """Something that somebody may do to the task."""
    others = [other for other in team.state.tasks.values() if other.id != task_id]
    anchor = choose.choice(others)
    labels = choose.sample(list(team.state.labels), k=min(2, len(team.state.labels)))
    patches: list[dict[str, Any]] = [
        {"title": choose.choice("ABC"), "priority": choose.choice(PRIORITIES)},
        {"status": choose.choice(STATUSES)},
        {"assignee_id": choose.choice([None, MEMBER, ADMIN]), "estimate": choose.choice([None, 1.5])},
        {"due_at": choose.choice([None, START + timedelta(days=choose.randrange(3))])},
        {"due_at": None, "due_on": START.date()},
        {"due_on": None, "due_at": START},
        {"due_on": choose.choice([None, START.date() + timedelta(days=choose.randrange(3))])},
        {"label_ids": tuple(labels), "description": choose.choice(["", "text"])},
        {"parent_id": choose.choice([None, anchor.id]), "blocked_by": choose.choice([None, (anchor.id,)])},
    ]
    kinds: list[AnyCommand] = [
        *(UpdateTask(task_id, TaskPatch(**patch)) for patch in patches),
        MoveTask(task_id=task_id, status=anchor.status, before_id=anchor.id),
        MoveTask(task_id=task_id, status=choose.choice(STATUSES)),
        ArchiveTask(task_id),
        RestoreTask(task_id),
        RestoreTask(task_id),
    ]
    return choose.choice(kinds)


def live(team: CoreTeam, choose: random.Random, steps: int) -> tuple[list[UUID], list[tuple[AnyEvent, Task]]]:
    """Random changes of some tasks; of each that was made, its event and the task before it."""
    tasks = [team.task(f"Task {number}").id for number in range(4)]
    team.task("Nobody touches this one")
    for name in ("bug", "docs"):
        team.label(name)
    made: list[tuple[AnyEvent, Task]] = []
    for _ in range(steps):
        task_id, actor = choose.choice(tasks), choose.choice([OWNER, ADMIN, MEMBER])
        before = team.now_at(task_id)
        try:
            events = team.ask(any_change(team, task_id, choose), actor)
        except DomainError:
            continue
        made += [(event, before) for event in events]
    return tasks, made


def outcome(team: CoreTeam, command: AnyCommand) -> tuple[Conflict | None, TeamState, list[AnyEvent]]:
    """What became of a command: a refusal, or the state after it and its events."""
    try:
        return (None, *team.decide(command, ADMIN))
    except Conflict as error:
        return error, team.state, []


@pytest.mark.parametrize("seed", range(150))
def test_over_random_histories_the_task_is_as_before_or_a_conflict_names_the_fields(seed: int) -> None:
    choose = random.Random(seed)
    team = CoreTeam()
    _, made = live(team, choose, 30)
    for event, before in choose.sample(made, k=min(8, len(made))):
        assert isinstance(event, AnyTaskEvent)
        changed = changed_fields(event)
        since = [later for later, _ in made if later.subject == event.subject and later.seq > event.seq]
        now, undoing = team.now_at(event.subject), undo(before, event.seq, ADMIN)
        refusal, draft, events = outcome(team, undoing)
        if refusal is not None:
            assert team.now_at(event.subject) == now, "a refusal leaves no trace"
            assert refusal.reason in {"undo-conflict", "archived"}
            references = {"assignee_id", "label_ids", "parent_id", "blocked_by"}
            together = {"rank", "status", "column_id", "completed_at"}, {"due_at", "due_on"}
            wider = changed.union(references, *(one for one in together if one & changed))
            assert set(refusal.fields) <= wider
            assert refusal.fields or refusal.reason == "archived"
            continue
        after = draft.tasks.get(event.subject) or draft.archived[event.subject]
        for name in changed - {"archived_at", "rank"}:
            assert getattr(after, name) == getattr(before, name), name
        assert (after.archived_at is None) == (before.archived_at is None) or not event.previous
        untouched = set(content(now)) - changed - {"rank"}
        assert all(getattr(after, name) == getattr(now, name) for name in untouched), "and nothing else changes"
        taken = {task.rank for task in team.state.ordered(before.column_id) if task.id != before.id}
        assert "rank" not in changed or after.rank == before.rank or before.rank in taken
        if not since and before.rank not in taken:
            assert content(after) | {"archived_at": None} == content(before) | {"archived_at": None}
        assert after.due_at is None or after.due_on is None
        assert all(one.type in {"task.updated", "task.moved", "task.archived", "task.restored"} for one in events)
