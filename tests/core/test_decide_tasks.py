"""Every task command against the rules of the board."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from msgspec import UNSET

from core.commands import (
    ArchiveTask,
    Batch,
    CreateTask,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RestoreTask,
    UpdateTask,
)
from core.errors import Conflict, Forbidden, InvalidReference, NotFound, StaleVersion
from core.events import DeletedTask, TaskArchived, TaskCreated, TaskDeleted, TaskMoved, TaskRestored, TaskUpdated
from core.task import TaskFields, TaskPatch
from tests.support.core_team import ADMIN, MEMBER, MISSING, OWNER, STRANGER, TEAM, VIEWER, CoreTeam, gone


@pytest.fixture
def team() -> CoreTeam:
    return CoreTeam()


def update(task_id: UUID, if_match: int | None = None, **patch: object) -> UpdateTask:
    return UpdateTask(task_id, TaskPatch(**patch), if_match)  # type: ignore[arg-type]


def test_a_new_task_gets_the_next_number_key_version_and_the_bottom_of_its_column(team: CoreTeam) -> None:
    first, second = team.task("One"), team.task("Two", actor=MEMBER)
    assert (first.number, second.number) == (1, 2)
    assert (first.key, second.key) == ("ENG-1", "ENG-2")
    assert second.version == team.state.seq == first.version + 1
    assert second.created_by == MEMBER
    assert second.created_at == second.updated_at == team.now
    assert team.titles() == ["One", "Two"]


def test_a_task_created_done_is_completed_at_once_and_others_are_not(team: CoreTeam) -> None:
    assert team.task("A", status="done").completed_at == team.now
    assert team.task("B", status="cancelled").completed_at is None


def test_references_are_kept_once_and_times_are_carried_over_to_utc(team: CoreTeam) -> None:
    label, blocker = team.label(), team.task("Blocker")
    due = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    task = team.task("T", label_ids=(label, label), blocked_by=(blocker.id, blocker.id), due_at=due)
    assert task.label_ids == (label,)
    assert task.blocked_by == (blocker.id,)
    assert task.due_at == due
    assert task.due_at is not None
    assert task.due_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"assignee_id": STRANGER}, "/assignee_id"),
        ({"label_ids": (MISSING,)}, "/label_ids/0"),
        ({"parent_id": MISSING}, "/parent_id"),
        ({"blocked_by": (MISSING,)}, "/blocked_by/0"),
    ],
)
def test_a_reference_to_nothing_is_refused_and_named(team: CoreTeam, fields: dict[str, object], pointer: str) -> None:
    task = team.task()
    for command in (CreateTask(TaskFields(title="T", **fields)), update(task.id, **fields)):  # type: ignore[arg-type]
        with pytest.raises(InvalidReference) as refused:
            team.ask(command)
        assert refused.value.pointer == pointer


def test_the_pointer_counts_the_references_that_are_fine(team: CoreTeam) -> None:
    label = team.label()
    with pytest.raises(InvalidReference) as refused:
        team.task("T", label_ids=(label, MISSING))
    assert refused.value.pointer == "/label_ids/1"


def test_a_patch_changes_only_what_it_names_and_reports_the_old_values(team: CoreTeam) -> None:
    task = team.task("Old", description="kept")
    (event,) = team.ask(update(task.id, title="New", priority="high"))
    assert isinstance(event, TaskUpdated)
    assert event.previous == {"title": "Old", "priority": "none"}
    assert (event.task.title, event.task.description, event.task.version) == ("New", "kept", team.state.seq)
    assert event.task.updated_at == team.now


def test_null_clears_every_field_that_can_be_cleared(team: CoreTeam) -> None:
    label, parent = team.label(), team.task("Parent")
    task = team.task(
        "T",
        description="text",
        assignee_id=MEMBER,
        label_ids=(label,),
        due_at=datetime(2026, 5, 1, tzinfo=UTC),
        estimate=3.0,
        parent_id=parent.id,
        blocked_by=(parent.id,),
    )
    names = ("description", "assignee_id", "label_ids", "due_at", "estimate", "parent_id", "blocked_by")
    team.ask(update(task.id, **dict.fromkeys(names)))
    after = team.now_at(task.id)
    assert [getattr(after, name) for name in names] == ["", None, (), None, None, None, ()]


def test_what_changes_nothing_causes_no_event_and_takes_no_seq(team: CoreTeam) -> None:
    task = team.task("T", estimate=2.0, due_at=datetime(2026, 5, 1, 12, tzinfo=UTC))
    seq = team.state.seq
    same_moment = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert team.ask(update(task.id)) == []
    assert team.ask(update(task.id, title="T", estimate=2, due_at=same_moment, status="open")) == []
    assert team.ask(MoveTask(task_id=task.id)) == []
    assert team.ask(MoveTask(task_id=task.id, status="open")) == []
    assert team.state.seq == seq


def test_a_patched_status_goes_to_the_bottom_of_the_new_column_and_keeps_the_books(team: CoreTeam) -> None:
    team.task("There", status="done")
    task = team.task("T")
    team.ask(update(task.id, status="done"))
    assert team.titles("done") == ["There", "T"]
    assert team.now_at(task.id).completed_at == team.now
    team.ask(update(task.id, status="in_review"))
    assert team.now_at(task.id).completed_at is None
    assert team.titles() == []


def test_if_match_refuses_another_version_and_shows_both_sides(team: CoreTeam) -> None:
    task = team.task("Mine")
    team.ask(update(task.id, title="Theirs"))
    with pytest.raises(StaleVersion) as refused:
        team.ask(update(task.id, if_match=task.version, title="Yours", priority="low"))
    stale = refused.value
    assert (stale.expected, stale.current) == (task.version, team.state.seq)
    assert stale.yours == {"title": "Yours", "priority": "low"}
    assert stale.theirs == {"title": "Theirs", "priority": "none"}
    team.ask(update(task.id, if_match=team.state.seq, title="Yours"))
    assert team.now_at(task.id).title == "Yours"


@pytest.mark.parametrize("command", [MoveTask, ArchiveTask, DeleteTask])
def test_if_match_guards_every_change_of_a_task(team: CoreTeam, command: type) -> None:
    task = team.task()
    with pytest.raises(StaleVersion):
        team.ask(command(task_id=task.id, if_match=task.version + 1))


def test_if_match_guards_a_restore(team: CoreTeam) -> None:
    task = team.task()
    team.ask(ArchiveTask(task.id))
    with pytest.raises(StaleVersion):
        team.ask(RestoreTask(task.id, if_match=task.version))
    team.ask(RestoreTask(task.id, if_match=team.state.seq))


def test_a_move_lands_right_before_or_right_after_its_neighbour(team: CoreTeam) -> None:
    a, b, c = (team.task(title) for title in "ABC")
    (event,) = team.ask(MoveTask(task_id=c.id, before_id=b.id))
    assert isinstance(event, TaskMoved)
    assert event.previous.keys() == {"rank"}
    assert team.titles() == ["A", "C", "B"]
    team.ask(MoveTask(task_id=a.id, after_id=b.id))
    assert team.titles() == ["C", "B", "A"]
    team.ask(MoveTask(task_id=a.id, before_id=c.id))
    assert team.titles() == ["A", "C", "B"]
    team.ask(MoveTask(task_id=a.id))
    assert team.titles() == ["C", "B", "A"]


def test_a_move_to_where_the_task_stands_already_is_no_change(team: CoreTeam) -> None:
    a, b, _ = (team.task(title) for title in "ABC")
    assert team.ask(MoveTask(task_id=b.id, after_id=a.id)) == []
    assert team.ask(MoveTask(task_id=a.id, before_id=b.id)) == []


def test_a_move_into_another_column_completes_and_reopens(team: CoreTeam) -> None:
    anchor = team.task("Anchor", status="done")
    task = team.task("T")
    (event,) = team.ask(MoveTask(task_id=task.id, status="done", before_id=anchor.id))
    assert isinstance(event, TaskMoved)
    assert event.previous == {
        "status": "open",
        "rank": task.rank,
        "completed_at": None,
        "column_id": task.column_id,
    }
    assert team.titles("done") == ["T", "Anchor"]
    assert team.now_at(task.id).completed_at == team.now
    team.ask(MoveTask(task_id=task.id, status="open"))
    assert team.now_at(task.id).completed_at is None


def test_a_move_refuses_neighbours_that_are_not_in_the_column(team: CoreTeam) -> None:
    task, elsewhere = team.task("T"), team.task("E", status="done")
    for move, pointer in (
        (MoveTask(task_id=task.id, before_id=elsewhere.id), "/before_id"),
        (MoveTask(task_id=task.id, after_id=MISSING), "/after_id"),
        (MoveTask(task_id=task.id, before_id=task.id), "/before_id"),
        (MoveTask(task_id=task.id, status="done", before_id=elsewhere.id, after_id=elsewhere.id), "/after_id"),
    ):
        with pytest.raises(InvalidReference) as refused:
            team.ask(move)
        assert refused.value.pointer == pointer


def test_dropping_into_one_gap_for_ever_spreads_the_neighbours_in_the_same_event(team: CoreTeam) -> None:
    tasks = [team.task(f"T{number}") for number in range(8)]
    first, spread = tasks[0], 0
    for turn in range(200):
        mover = tasks[2 - turn % 2]
        (event,) = team.ask(MoveTask(task_id=mover.id, after_id=first.id))
        spread += bool(event.ranks)  # type: ignore[union-attr]
        for neighbour_id, rank in event.ranks.items():  # type: ignore[union-attr]
            neighbour = team.now_at(neighbour_id)
            assert (neighbour.rank, neighbour.version) == (rank, team.state.seq)
        assert team.titles()[:2] == ["T0", mover.title]
    assert spread, "the gap never closed: the test proves nothing"
    assert max(len(task.rank) for task in team.state.tasks.values()) <= 24


def test_a_full_column_refuses_newcomers_by_every_door(team: CoreTeam) -> None:
    team.limit(in_progress=1)
    inside, outside, parked = team.task("In", status="in_progress"), team.task("Out"), team.task("Parked")
    team.ask(update(inside.id, title="Still in"))
    team.ask(MoveTask(task_id=inside.id, status="in_progress"))
    for command in (
        CreateTask(TaskFields(title="T", status="in_progress")),
        update(outside.id, status="in_progress"),
        MoveTask(task_id=outside.id, status="in_progress"),
    ):
        with pytest.raises(Conflict) as refused:
            team.ask(command)
        assert refused.value.reason == "wip-limit"
    team.ask(ArchiveTask(inside.id))
    team.ask(MoveTask(task_id=parked.id, status="in_progress"))
    with pytest.raises(Conflict) as refused:
        team.ask(RestoreTask(inside.id))
    assert refused.value.reason == "wip-limit"


def test_a_task_cannot_become_its_own_ancestor(team: CoreTeam) -> None:
    a = team.task("A")
    b = team.task("B", parent_id=a.id)
    c = team.task("C", parent_id=b.id)
    for child, parent in ((a, a), (a, b), (a, c), (b, c)):
        with pytest.raises(Conflict) as refused:
            team.ask(update(child.id, parent_id=parent.id))
        assert refused.value.reason == "cycle"
    team.ask(update(c.id, parent_id=a.id))


def test_a_task_cannot_wait_for_itself_even_through_others(team: CoreTeam) -> None:
    a = team.task("A")
    b = team.task("B", blocked_by=(a.id,))
    c = team.task("C", blocked_by=(b.id, a.id))
    for task, blockers in ((a, (a.id,)), (a, (c.id,)), (b, (a.id, c.id))):
        with pytest.raises(Conflict) as refused:
            team.ask(update(task.id, blocked_by=blockers))
        assert refused.value.reason == "cycle"


def test_an_archived_task_leaves_the_board_and_refuses_changes(team: CoreTeam) -> None:
    task = team.task("T")
    (event,) = team.ask(ArchiveTask(task.id))
    assert isinstance(event, TaskArchived)
    assert event.previous == {"archived_at": None}
    assert team.titles() == []
    for command in (update(task.id, title="X"), MoveTask(task_id=task.id, status="done"), ArchiveTask(task.id)):
        with pytest.raises(Conflict) as refused:
            team.ask(command)
        assert refused.value.reason == "archived"


def test_a_restored_task_returns_to_the_bottom_without_what_is_gone(team: CoreTeam) -> None:
    label, parent, blocker = team.label(), team.task("Parent"), team.task("Blocker")
    task = team.task("T", label_ids=(label,), parent_id=parent.id, blocked_by=(blocker.id,), assignee_id=MEMBER)
    team.ask(ArchiveTask(task.id))
    team.ask(DeleteLabel(label))
    team.ask(ArchiveTask(parent.id))
    team.ask(DeleteTask(blocker.id))
    team.ask(RemoveMember(MEMBER))
    team.task("Newer")
    (event,) = team.ask(RestoreTask(task.id))
    assert isinstance(event, TaskRestored)
    back = event.task
    assert (back.label_ids, back.parent_id, back.blocked_by, back.assignee_id) == ((), None, (), None)
    assert back.archived_at is None
    assert team.titles() == ["Newer", "T"]


def test_a_restore_that_would_close_a_cycle_is_refused(team: CoreTeam) -> None:
    a = team.task("A")
    b = team.task("B", parent_id=a.id)
    c = team.task("C", parent_id=b.id)
    team.ask(ArchiveTask(b.id))
    team.ask(update(a.id, parent_id=c.id))
    with pytest.raises(Conflict) as refused:
        team.ask(RestoreTask(b.id))
    assert refused.value.reason == "cycle"


def test_only_an_archived_task_can_be_restored(team: CoreTeam) -> None:
    with pytest.raises(Conflict) as refused:
        team.ask(RestoreTask(team.task().id))
    assert refused.value.reason == "not-archived"


def test_deleting_lets_every_referrer_go_first_and_never_reuses_the_number(team: CoreTeam) -> None:
    task = team.task("Gone")
    child = team.task("Child", parent_id=task.id)
    waiting = team.task("Waiting", blocked_by=(child.id, task.id))
    events = team.ask(DeleteTask(task.id), ADMIN)
    assert [type(event) for event in events] == [TaskUpdated, TaskUpdated, TaskDeleted]
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 3))
    assert gone(events) == [task.id]
    assert team.now_at(child.id).parent_id is None
    assert team.now_at(waiting.id).blocked_by == (child.id,)
    assert team.task("Next").number == 4
    with pytest.raises(NotFound):
        team.ask(update(task.id, title="Ghost"))


def test_an_archived_task_can_be_deleted(team: CoreTeam) -> None:
    task = team.task("T", external_id="1", external_source="tracker")
    team.ask(ArchiveTask(task.id))
    (event,) = team.ask(DeleteTask(task.id))
    assert isinstance(event, TaskDeleted)
    assert event.task == DeletedTask(id=task.id, team_id=TEAM, number=1, key="ENG-1")
    assert team.task("Again", external_id="1", external_source="tracker").number == 2


def test_an_external_id_is_taken_once_per_source_even_by_an_archived_task(team: CoreTeam) -> None:
    task = team.task("T", external_id="1", external_source="tracker")
    team.task("Other source", external_id="1", external_source="mail")
    team.ask(ArchiveTask(task.id))
    with pytest.raises(Conflict) as refused:
        team.task("Twin", external_id="1", external_source="tracker")
    assert refused.value.reason == "external-id-taken"
    team.ask(RestoreTask(task.id))
    team.ask(DeleteTask(task.id))
    team.task("Free again", external_id="1", external_source="tracker")


def test_viewers_read_members_write_and_only_admins_delete(team: CoreTeam) -> None:
    task = team.task(actor=MEMBER)
    for command in (CreateTask(TaskFields(title="T")), update(task.id, title="X"), ArchiveTask(task.id), Batch(())):
        with pytest.raises(Forbidden) as refused:
            team.ask(command, VIEWER)
        assert refused.value.permission == "write_tasks"
    with pytest.raises(Forbidden) as forbidden:
        team.ask(DeleteTask(task.id), MEMBER)
    assert forbidden.value.permission == "delete_tasks"
    team.ask(DeleteTask(task.id), ADMIN)


def test_a_stranger_cannot_tell_this_team_from_none(team: CoreTeam) -> None:
    task = team.task()
    for command in (CreateTask(TaskFields(title="T")), update(task.id, title="X"), DeleteTask(task.id)):
        with pytest.raises(NotFound) as refused:
            team.ask(command, STRANGER)
        assert refused.value.what == "team"


@pytest.mark.parametrize("command", [ArchiveTask, RestoreTask, DeleteTask])
def test_an_unknown_task_is_not_found(team: CoreTeam, command: type) -> None:
    with pytest.raises(NotFound) as refused:
        team.ask(command(MISSING))
    assert refused.value.what == "task"


def test_a_batch_is_one_range_of_seq_and_each_operation_sees_the_ones_before(team: CoreTeam) -> None:
    task, before = team.task("T"), team.state.seq
    events = team.ask(
        Batch(
            (
                update(task.id, title="Renamed"),
                CreateTask(TaskFields(title="New", parent_id=task.id)),
                MoveTask(task_id=task.id, status="done"),
                ArchiveTask(task.id),
                RestoreTask(task.id),
            )
        )
    )
    assert [event.seq for event in events] == list(range(before + 1, before + 6))
    assert isinstance(events[1], TaskCreated)
    after = team.now_at(task.id)
    assert (after.title, after.status, after.archived_at) == ("Renamed", "done", None)


def test_a_batch_with_one_bad_operation_changes_nothing(team: CoreTeam) -> None:
    task = team.task("T")
    before = (team.state.seq, team.titles())
    with pytest.raises(NotFound):
        team.ask(Batch((update(task.id, title="Renamed"), ArchiveTask(MISSING))), OWNER)
    assert (team.state.seq, team.titles()) == before


def test_an_absent_field_of_a_patch_is_unset_and_not_null() -> None:
    assert TaskPatch().changes() == {}
    assert TaskPatch(title="T").due_at is UNSET
