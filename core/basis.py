"""What a batch rests on: whether anything that its sender has read, or operates on, has changed since.

A batch that names its basis is a serialisable transaction: it is decided in the team's turn, against the state that its
own events follow, so that nothing can come between the check and the change. The answer is never falsely "unchanged".
What the team does not remember is looked up in the journal first; until then it counts as not found.
"""

from collections.abc import Iterator
from uuid import UUID

from core.commands import Batch, CreateTask
from core.errors import HistoryRewritten, InvalidReference, NotFound, StaleRead
from core.team import TeamState

__all__ = ["check_basis", "operated_on"]


def check_basis(state: TeamState, batch: Batch) -> None:
    """Raise StaleRead if the batch's basis does not hold any more, HistoryRewritten if it is of an older epoch.

    Raises InvalidReference for an id among `reads` that never was anything of this team's, and NotFound("task") while
    the journal has to be asked about one.
    """
    basis = batch.basis
    if basis is None:
        return
    if basis.epoch != state.epoch:
        raise HistoryRewritten(state.epoch, state.seq)
    changed = [subject for subject in _rests_on(batch) if _last_change(state, subject) > basis.seq]
    whole = basis.whole and state.seq != basis.seq
    if changed or whole or basis.seq > state.seq:
        raise StaleRead(basis.seq, state.seq, tuple(changed), whole=whole)
    for number, subject in enumerate(basis.reads):
        if not _is_known(state, subject):
            raise InvalidReference(f"/reads/{number}", "The team never had a task, column or label with this id.")


def operated_on(batch: Batch) -> Iterator[UUID]:
    """The tasks that the operations change: what is created was not there to be read."""
    for operation in batch.operations:
        if not isinstance(operation, CreateTask):
            yield operation.task_id


def _rests_on(batch: Batch) -> list[UUID]:
    assert batch.basis is not None
    return list(dict.fromkeys((*batch.basis.reads, *operated_on(batch))))


def _last_change(state: TeamState, subject: UUID) -> int:
    """The seq of its last change, 0 if it never had one. Raises NotFound("task") when only the journal knows."""
    task = state.tasks.get(subject) or state.archived.get(subject)
    if task is not None:
        return task.version
    last = state.off_board.get(subject)
    if last is None:
        raise NotFound("task")
    return last


def _is_known(state: TeamState, subject: UUID) -> bool:
    # The first columns of a team are there without events.
    return subject in state.tasks or subject in state.columns or _last_change(state, subject) > 0
