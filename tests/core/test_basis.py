"""A batch with a basis is made only if nothing that it rests on has changed: never falsely fresh."""

import random
from contextlib import nullcontext
from uuid import UUID

import pytest

from core.basis import check_basis
from core.commands import (
    AnyCommand,
    ArchiveTask,
    Basis,
    Batch,
    CreateTask,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RestoreTask,
    TaskCommand,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
)
from core.errors import DomainError, HistoryRewritten, InvalidReference, NotFound, StaleRead
from core.events import TaskEvent
from core.task import TaskFields, TaskPatch
from core.team import OFF_BOARD
from tests.support.core_team import MISSING, OWNER, CoreTeam

NEW = CreateTask(TaskFields(title="New"))


def resting_on(team: CoreTeam, *reads: UUID, seq: int | None = None, whole: bool = False) -> Batch:
    """A batch that creates a task, if what it has read still stands."""
    state = team.state
    return Batch((NEW,), Basis(state.seq if seq is None else seq, state.epoch, reads, whole))


def test_what_did_not_change_lets_the_batch_pass() -> None:
    team = CoreTeam()
    task, label = team.task(), team.label()
    seen = resting_on(team, task.id, label)
    team.task("Another")
    assert len(team.ask(seen)) == 1


@pytest.mark.parametrize("change", ["update", "move", "archive", "delete"])
def test_a_task_that_was_read_and_changed_stops_the_batch(change: str) -> None:
    team = CoreTeam()
    task, other = team.task(), team.task("Other")
    seen = resting_on(team, other.id, task.id)
    commands: dict[str, AnyCommand] = {
        "update": UpdateTask(task.id, TaskPatch(title="Changed")),
        "move": MoveTask(task_id=task.id, status="done"),
        "archive": ArchiveTask(task.id),
        "delete": DeleteTask(task.id),
    }
    team.ask(commands[change])
    with pytest.raises(StaleRead) as stale:
        team.decide(seen)
    assert stale.value.changed == (task.id,)
    assert (stale.value.expected, stale.value.current) == (team.state.seq - 1, team.state.seq)


def test_a_label_that_was_renamed_or_deleted_stops_the_batch() -> None:
    team = CoreTeam()
    one, two = team.label("one"), team.label("two")
    seen = resting_on(team, one, two)
    team.ask(UpdateLabel(label_id=one, name="uno"))
    team.ask(DeleteLabel(two))
    with pytest.raises(StaleRead) as stale:
        team.decide(seen)
    assert stale.value.changed == (one, two)


def test_a_task_that_is_operated_on_is_read() -> None:
    team = CoreTeam()
    task = team.task()
    basis = Basis(team.state.seq, 1)
    team.ask(UpdateTask(task.id, TaskPatch(title="Theirs")))
    for operation in (UpdateTask(task.id, TaskPatch(title="Ours")), MoveTask(task_id=task.id), ArchiveTask(task.id)):
        with pytest.raises(StaleRead) as stale:
            team.decide(Batch((operation,), basis))
        assert stale.value.changed == (task.id,)


def test_a_neighbour_whose_rank_was_spread_has_changed() -> None:
    team = CoreTeam()
    top, one, two = team.task("0").id, team.task("1").id, team.task("2").id
    for turn in range(600):
        moved, stays = (one, two) if turn % 2 else (two, one)
        seen = resting_on(team, stays)
        (event,) = team.ask(MoveTask(task_id=moved, after_id=top))
        if isinstance(event, TaskEvent) and stays in event.ranks:
            break
        team.decide(seen)
    else:
        pytest.fail("no rank was spread in 600 moves")
    with pytest.raises(StaleRead) as stale:
        team.decide(seen)
    assert stale.value.changed == (stays,)


def test_a_whole_team_covers_what_was_not_there() -> None:
    team = CoreTeam()
    seen = resting_on(team, whole=True)
    assert len(team.decide(seen)[1]) == 1
    team.task("A phantom")
    with pytest.raises(StaleRead) as stale:
        team.decide(seen)
    assert stale.value.whole


def test_operations_of_a_batch_are_no_changes_to_its_own_basis() -> None:
    team = CoreTeam()
    task = team.task()
    operations: tuple[TaskCommand, ...] = (
        UpdateTask(task.id, TaskPatch(title="First")),
        UpdateTask(task.id, TaskPatch(title="Second")),
        ArchiveTask(task.id),
    )
    events = team.ask(Batch(operations, Basis(team.state.seq, 1, (task.id,), whole=True)))
    assert len(events) == 3


def test_an_id_that_never_was_is_refused_by_its_place() -> None:
    team = CoreTeam()
    task = team.task()
    with pytest.raises(InvalidReference) as refused:
        team.decide(resting_on(team, task.id, MISSING))
    assert refused.value.pointer == "/reads/1"


def test_what_the_team_does_not_remember_is_looked_up_before_it_is_judged() -> None:
    team = CoreTeam()
    label = team.label()
    team.state.off_board = {}
    with pytest.raises(NotFound) as unknown:
        check_basis(team.state, resting_on(team, label))
    assert unknown.value.what == "task"
    check_basis(team.remembering(label), resting_on(team, label))


def test_a_basis_of_another_epoch_or_of_the_future_does_not_hold() -> None:
    team = CoreTeam()
    task = team.task()
    seen = resting_on(team, task.id)
    team.restore()
    with pytest.raises(HistoryRewritten):
        team.decide(seen)
    with pytest.raises(StaleRead):
        team.decide(resting_on(team, task.id, seq=team.state.seq + 1))


def test_a_team_remembers_no_more_than_so_many_last_changes() -> None:
    team = CoreTeam()
    for number in range(OFF_BOARD + 1):
        team.state.note_change(UUID(int=10_000 + number), number + 1)
    team.task()
    assert len(team.state.off_board) <= 1


def test_a_working_copy_that_is_dropped_leaves_no_memory_behind() -> None:
    team = CoreTeam()
    task = team.task()
    before = dict(team.state.off_board)
    team.decide(ArchiveTask(task.id))
    assert team.state.off_board == before


@pytest.mark.parametrize("seed", range(40))
def test_a_batch_passes_exactly_when_no_event_is_about_what_it_rests_on(seed: int) -> None:
    """Against brute force over the journal: the last event about each thing, ranks of neighbours among them."""
    rng = random.Random(seed)
    team = CoreTeam()
    ids = [team.task(f"Task {number}").id for number in range(6)] + [team.label(f"label {n}") for n in range(2)]
    for _ in range(40):
        _live(team, rng, ids)
    for _ in range(60):
        reads, seq = tuple(rng.sample(ids, 2)), rng.randrange(1, team.state.seq + 1)
        touched = [encoded for encoded in team.journal if encoded.event.seq > seq]
        expected = any(about(encoded.event, read) for encoded in touched for read in reads)
        state = team.remembering(*ids)
        with pytest.raises(StaleRead) if expected else nullcontext():
            check_basis(state, resting_on(team, *reads, seq=seq))


def about(event: object, subject: UUID) -> bool:
    """Whether an event changed the thing."""
    return getattr(event, "subject", None) == subject or subject in getattr(event, "ranks", {})


def _live(team: CoreTeam, rng: random.Random, ids: list[UUID]) -> None:
    task_id = rng.choice(ids[:6])
    anchor = rng.choice(ids[:6])
    commands: list[AnyCommand] = [
        UpdateTask(task_id, TaskPatch(title=f"t{rng.random()}")),
        MoveTask(task_id=task_id, before_id=anchor),
        MoveTask(task_id=task_id, status="done"),
        ArchiveTask(task_id),
        RestoreTask(task_id),
        UpdateLabel(label_id=ids[6], name=f"l{rng.random()}"),
    ]
    if rng.random() < 0.05:
        commands = [DeleteTask(task_id), DeleteLabel(ids[7])]
    try:
        team.ask(rng.choice(commands), OWNER)
    except DomainError:
        return


def test_the_fork_of_a_fork_does_not_write_into_its_base() -> None:
    team = CoreTeam()
    task = team.task()
    first = team.state.fork()
    second = first.fork()
    second.note_change(task.id, 99)
    assert task.id not in first.off_board


def test_a_column_is_read_whether_or_not_an_event_was_ever_about_it() -> None:
    team = CoreTeam()
    first, other = list(team.state.columns)[:2]
    seen = resting_on(team, first)
    team.task("Comes into it")
    team.ask(UpdateColumn(column_id=other, name="Renamed"))
    assert len(team.decide(seen)[1]) == 1
    team.ask(UpdateColumn(column_id=first, name="Renamed, too"))
    with pytest.raises(StaleRead) as stale:
        team.decide(seen)
    assert stale.value.changed == (first,)
