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
    UpdateTeam,
)
from core.errors import Conflict, Forbidden, InvalidReference, NotFound, StaleVersion
from core.events import TaskArchived, TaskCreated, TaskDeleted, TaskMoved, TaskRestored, TaskUpdated
from core.task import TaskFields, TaskPatch
from tests.support.core_team import ADMIN, MEMBER, MISSING, OWNER, STRANGER, VIEWER, World, gone


@pytest.fixture
def world() -> World:
    return World()


def update(task_id: UUID, if_match: int | None = None, **patch: object) -> UpdateTask:
    return UpdateTask(task_id, TaskPatch(**patch), if_match)  # type: ignore[arg-type]


def test_a_new_task_gets_the_next_number_key_version_and_the_bottom_of_its_column(world: World) -> None:
    first, second = world.task("One"), world.task("Two", actor=MEMBER)
    assert (first.number, second.number) == (1, 2)
    assert (first.key, second.key) == ("ENG-1", "ENG-2")
    assert second.version == world.state.seq == first.version + 1
    assert second.created_by == MEMBER
    assert second.created_at == second.updated_at == world.now
    assert world.titles() == ["One", "Two"]


def test_a_task_created_done_is_completed_at_once_and_others_are_not(world: World) -> None:
    assert world.task("A", status="done").completed_at == world.now
    assert world.task("B", status="cancelled").completed_at is None


def test_references_are_kept_once_and_times_are_carried_over_to_utc(world: World) -> None:
    label, blocker = world.label(), world.task("Blocker")
    due = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    task = world.task("T", label_ids=(label, label), blocked_by=(blocker.id, blocker.id), due_at=due)
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
def test_a_reference_to_nothing_is_refused_and_named(world: World, fields: dict[str, object], pointer: str) -> None:
    task = world.task()
    for command in (CreateTask(TaskFields(title="T", **fields)), update(task.id, **fields)):  # type: ignore[arg-type]
        with pytest.raises(InvalidReference) as refused:
            world.ask(command)
        assert refused.value.pointer == pointer


def test_the_pointer_counts_the_references_that_are_fine(world: World) -> None:
    label = world.label()
    with pytest.raises(InvalidReference) as refused:
        world.task("T", label_ids=(label, MISSING))
    assert refused.value.pointer == "/label_ids/1"


def test_a_patch_changes_only_what_it_names_and_reports_the_old_values(world: World) -> None:
    task = world.task("Old", description="kept")
    (event,) = world.ask(update(task.id, title="New", priority="high"))
    assert isinstance(event, TaskUpdated)
    assert event.previous == {"title": "Old", "priority": "none"}
    assert (event.task.title, event.task.description, event.task.version) == ("New", "kept", world.state.seq)
    assert event.task.updated_at == world.now


def test_null_clears_every_field_that_can_be_cleared(world: World) -> None:
    label, parent = world.label(), world.task("Parent")
    task = world.task(
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
    world.ask(update(task.id, **dict.fromkeys(names)))
    after = world.now_at(task.id)
    assert [getattr(after, name) for name in names] == ["", None, (), None, None, None, ()]


def test_what_changes_nothing_causes_no_event_and_takes_no_seq(world: World) -> None:
    task = world.task("T", estimate=2.0, due_at=datetime(2026, 5, 1, 12, tzinfo=UTC))
    seq = world.state.seq
    same_moment = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert world.ask(update(task.id)) == []
    assert world.ask(update(task.id, title="T", estimate=2, due_at=same_moment, status="open")) == []
    assert world.ask(MoveTask(task_id=task.id)) == []
    assert world.ask(MoveTask(task_id=task.id, status="open")) == []
    assert world.state.seq == seq


def test_a_patched_status_goes_to_the_bottom_of_the_new_column_and_keeps_the_books(world: World) -> None:
    world.task("There", status="done")
    task = world.task("T")
    world.ask(update(task.id, status="done"))
    assert world.titles("done") == ["There", "T"]
    assert world.now_at(task.id).completed_at == world.now
    world.ask(update(task.id, status="in_review"))
    assert world.now_at(task.id).completed_at is None
    assert world.titles() == []


def test_if_match_refuses_another_version_and_shows_both_sides(world: World) -> None:
    task = world.task("Mine")
    world.ask(update(task.id, title="Theirs"))
    with pytest.raises(StaleVersion) as refused:
        world.ask(update(task.id, if_match=task.version, title="Yours", priority="low"))
    stale = refused.value
    assert (stale.expected, stale.current) == (task.version, world.state.seq)
    assert stale.yours == {"title": "Yours", "priority": "low"}
    assert stale.theirs == {"title": "Theirs", "priority": "none"}
    world.ask(update(task.id, if_match=world.state.seq, title="Yours"))
    assert world.now_at(task.id).title == "Yours"


@pytest.mark.parametrize("command", [MoveTask, ArchiveTask, DeleteTask])
def test_if_match_guards_every_change_of_a_task(world: World, command: type) -> None:
    task = world.task()
    with pytest.raises(StaleVersion):
        world.ask(command(task_id=task.id, if_match=task.version + 1))


def test_if_match_guards_a_restore(world: World) -> None:
    task = world.task()
    world.ask(ArchiveTask(task.id))
    with pytest.raises(StaleVersion):
        world.ask(RestoreTask(task.id, if_match=task.version))
    world.ask(RestoreTask(task.id, if_match=world.state.seq))


def test_a_move_lands_right_before_or_right_after_its_neighbour(world: World) -> None:
    a, b, c = (world.task(title) for title in "ABC")
    (event,) = world.ask(MoveTask(task_id=c.id, before_id=b.id))
    assert isinstance(event, TaskMoved)
    assert event.previous.keys() == {"rank"}
    assert world.titles() == ["A", "C", "B"]
    world.ask(MoveTask(task_id=a.id, after_id=b.id))
    assert world.titles() == ["C", "B", "A"]
    world.ask(MoveTask(task_id=a.id, before_id=c.id))
    assert world.titles() == ["A", "C", "B"]
    world.ask(MoveTask(task_id=a.id))
    assert world.titles() == ["C", "B", "A"]


def test_a_move_to_where_the_task_stands_already_is_no_change(world: World) -> None:
    a, b, _ = (world.task(title) for title in "ABC")
    assert world.ask(MoveTask(task_id=b.id, after_id=a.id)) == []
    assert world.ask(MoveTask(task_id=a.id, before_id=b.id)) == []


def test_a_move_into_another_column_completes_and_reopens(world: World) -> None:
    anchor = world.task("Anchor", status="done")
    task = world.task("T")
    (event,) = world.ask(MoveTask(task_id=task.id, status="done", before_id=anchor.id))
    assert isinstance(event, TaskMoved)
    assert event.previous == {"status": "open", "rank": task.rank, "completed_at": None}
    assert world.titles("done") == ["T", "Anchor"]
    assert world.now_at(task.id).completed_at == world.now
    world.ask(MoveTask(task_id=task.id, status="open"))
    assert world.now_at(task.id).completed_at is None


def test_a_move_refuses_neighbours_that_are_not_in_the_column(world: World) -> None:
    task, elsewhere = world.task("T"), world.task("E", status="done")
    for move, pointer in (
        (MoveTask(task_id=task.id, before_id=elsewhere.id), "/before_id"),
        (MoveTask(task_id=task.id, after_id=MISSING), "/after_id"),
        (MoveTask(task_id=task.id, before_id=task.id), "/before_id"),
        (MoveTask(task_id=task.id, status="done", before_id=elsewhere.id, after_id=elsewhere.id), "/after_id"),
    ):
        with pytest.raises(InvalidReference) as refused:
            world.ask(move)
        assert refused.value.pointer == pointer


def test_dropping_into_one_gap_for_ever_spreads_the_neighbours_in_the_same_event(world: World) -> None:
    tasks = [world.task(f"T{number}") for number in range(8)]
    first, spread = tasks[0], 0
    for turn in range(200):
        mover = tasks[2 - turn % 2]
        (event,) = world.ask(MoveTask(task_id=mover.id, after_id=first.id))
        spread += bool(event.ranks)  # type: ignore[union-attr]
        for neighbour_id, rank in event.ranks.items():  # type: ignore[union-attr]
            neighbour = world.now_at(neighbour_id)
            assert (neighbour.rank, neighbour.version) == (rank, world.state.seq)
        assert world.titles()[:2] == ["T0", mover.title]
    assert spread, "the gap never closed: the test proves nothing"
    assert max(len(task.rank) for task in world.state.tasks.values()) <= 24


def test_a_full_column_refuses_newcomers_by_every_door(world: World) -> None:
    world.ask(UpdateTeam(wip_limits={"in_progress": 1}))
    inside, outside, parked = world.task("In", status="in_progress"), world.task("Out"), world.task("Parked")
    world.ask(update(inside.id, title="Still in"))
    world.ask(MoveTask(task_id=inside.id, status="in_progress"))
    for command in (
        CreateTask(TaskFields(title="T", status="in_progress")),
        update(outside.id, status="in_progress"),
        MoveTask(task_id=outside.id, status="in_progress"),
    ):
        with pytest.raises(Conflict) as refused:
            world.ask(command)
        assert refused.value.reason == "wip-limit"
    world.ask(ArchiveTask(inside.id))
    world.ask(MoveTask(task_id=parked.id, status="in_progress"))
    with pytest.raises(Conflict) as refused:
        world.ask(RestoreTask(inside.id))
    assert refused.value.reason == "wip-limit"


def test_a_task_cannot_become_its_own_ancestor(world: World) -> None:
    a = world.task("A")
    b = world.task("B", parent_id=a.id)
    c = world.task("C", parent_id=b.id)
    for child, parent in ((a, a), (a, b), (a, c), (b, c)):
        with pytest.raises(Conflict) as refused:
            world.ask(update(child.id, parent_id=parent.id))
        assert refused.value.reason == "cycle"
    world.ask(update(c.id, parent_id=a.id))


def test_a_task_cannot_wait_for_itself_even_through_others(world: World) -> None:
    a = world.task("A")
    b = world.task("B", blocked_by=(a.id,))
    c = world.task("C", blocked_by=(b.id, a.id))
    for task, blockers in ((a, (a.id,)), (a, (c.id,)), (b, (a.id, c.id))):
        with pytest.raises(Conflict) as refused:
            world.ask(update(task.id, blocked_by=blockers))
        assert refused.value.reason == "cycle"


def test_an_archived_task_leaves_the_board_and_refuses_changes(world: World) -> None:
    task = world.task("T")
    (event,) = world.ask(ArchiveTask(task.id))
    assert isinstance(event, TaskArchived)
    assert event.previous == {"archived_at": None}
    assert world.titles() == []
    for command in (update(task.id, title="X"), MoveTask(task_id=task.id, status="done"), ArchiveTask(task.id)):
        with pytest.raises(Conflict) as refused:
            world.ask(command)
        assert refused.value.reason == "archived"


def test_a_restored_task_returns_to_the_bottom_without_what_is_gone(world: World) -> None:
    label, parent, blocker = world.label(), world.task("Parent"), world.task("Blocker")
    task = world.task("T", label_ids=(label,), parent_id=parent.id, blocked_by=(blocker.id,), assignee_id=MEMBER)
    world.ask(ArchiveTask(task.id))
    world.ask(DeleteLabel(label))
    world.ask(ArchiveTask(parent.id))
    world.ask(DeleteTask(blocker.id))
    world.ask(RemoveMember(MEMBER))
    world.task("Newer")
    (event,) = world.ask(RestoreTask(task.id))
    assert isinstance(event, TaskRestored)
    back = event.task
    assert (back.label_ids, back.parent_id, back.blocked_by, back.assignee_id) == ((), None, (), None)
    assert back.archived_at is None
    assert world.titles() == ["Newer", "T"]


def test_a_restore_that_would_close_a_cycle_is_refused(world: World) -> None:
    a = world.task("A")
    b = world.task("B", parent_id=a.id)
    c = world.task("C", parent_id=b.id)
    world.ask(ArchiveTask(b.id))
    world.ask(update(a.id, parent_id=c.id))
    with pytest.raises(Conflict) as refused:
        world.ask(RestoreTask(b.id))
    assert refused.value.reason == "cycle"


def test_only_an_archived_task_can_be_restored(world: World) -> None:
    with pytest.raises(Conflict) as refused:
        world.ask(RestoreTask(world.task().id))
    assert refused.value.reason == "not-archived"


def test_deleting_lets_every_referrer_go_first_and_never_reuses_the_number(world: World) -> None:
    task = world.task("Gone")
    child = world.task("Child", parent_id=task.id)
    waiting = world.task("Waiting", blocked_by=(child.id, task.id))
    events = world.ask(DeleteTask(task.id), ADMIN)
    assert [type(event) for event in events] == [TaskUpdated, TaskUpdated, TaskDeleted]
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 3))
    assert gone(events) == [task.id]
    assert world.now_at(child.id).parent_id is None
    assert world.now_at(waiting.id).blocked_by == (child.id,)
    assert world.task("Next").number == 4
    with pytest.raises(NotFound):
        world.ask(update(task.id, title="Ghost"))


def test_an_archived_task_can_be_deleted(world: World) -> None:
    task = world.task("T", external_id="1", external_source="tracker")
    world.ask(ArchiveTask(task.id))
    (event,) = world.ask(DeleteTask(task.id))
    assert isinstance(event, TaskDeleted)
    assert event.task.archived_at is not None
    assert world.task("Again", external_id="1", external_source="tracker").number == 2


def test_an_external_id_is_taken_once_per_source_even_by_an_archived_task(world: World) -> None:
    task = world.task("T", external_id="1", external_source="tracker")
    world.task("Other source", external_id="1", external_source="mail")
    world.ask(ArchiveTask(task.id))
    with pytest.raises(Conflict) as refused:
        world.task("Twin", external_id="1", external_source="tracker")
    assert refused.value.reason == "external-id-taken"
    world.ask(RestoreTask(task.id))
    world.ask(DeleteTask(task.id))
    world.task("Free again", external_id="1", external_source="tracker")


def test_viewers_read_members_write_and_only_admins_delete(world: World) -> None:
    task = world.task(actor=MEMBER)
    for command in (CreateTask(TaskFields(title="T")), update(task.id, title="X"), ArchiveTask(task.id), Batch(())):
        with pytest.raises(Forbidden) as refused:
            world.ask(command, VIEWER)
        assert refused.value.permission == "write_tasks"
    with pytest.raises(Forbidden) as forbidden:
        world.ask(DeleteTask(task.id), MEMBER)
    assert forbidden.value.permission == "delete_tasks"
    world.ask(DeleteTask(task.id), ADMIN)


def test_a_stranger_cannot_tell_this_team_from_none(world: World) -> None:
    task = world.task()
    for command in (CreateTask(TaskFields(title="T")), update(task.id, title="X"), DeleteTask(task.id)):
        with pytest.raises(NotFound) as refused:
            world.ask(command, STRANGER)
        assert refused.value.what == "team"


@pytest.mark.parametrize("command", [ArchiveTask, RestoreTask, DeleteTask])
def test_an_unknown_task_is_not_found(world: World, command: type) -> None:
    with pytest.raises(NotFound) as refused:
        world.ask(command(MISSING))
    assert refused.value.what == "task"


def test_a_batch_is_one_range_of_seq_and_each_operation_sees_the_ones_before(world: World) -> None:
    task, before = world.task("T"), world.state.seq
    events = world.ask(
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
    after = world.now_at(task.id)
    assert (after.title, after.status, after.archived_at) == ("Renamed", "done", None)


def test_a_batch_with_one_bad_operation_changes_nothing(world: World) -> None:
    task = world.task("T")
    before = (world.state.seq, world.titles())
    with pytest.raises(NotFound):
        world.ask(Batch((update(task.id, title="Renamed"), ArchiveTask(MISSING))), OWNER)
    assert (world.state.seq, world.titles()) == before


def test_an_absent_field_of_a_patch_is_unset_and_not_null() -> None:
    assert TaskPatch().changes() == {}
    assert TaskPatch(title="T").due_at is UNSET
