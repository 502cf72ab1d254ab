"""What becomes of a task's files: the file itself is in the object store before the team is asked, or goes after it."""

from typing import Any

from msgspec import structs

from core.commands import AddAttachment, Asking, DeleteAttachment
from core.errors import Conflict, NotFound, QuotaReached
from core.events import Attachment, AttachmentAdded, AttachmentDeleted
from core.preconditions import on_board
from core.quotas import Quotas
from core.task import Task
from core.team import TeamState


def add_attachment(state: TeamState, command: AddAttachment, asking: Asking) -> AttachmentAdded:
    """The file belongs to a task on the board, which has it counted. Raises QuotaReached when there are too many."""
    task = on_board(state.task(command.task_id))
    if command.attachment_id in state.attachments:
        raise Conflict("already-attached", "This file is attached already.")
    _check_room(state, task, command.size, asking.quotas)
    attachment = Attachment(
        id=command.attachment_id,
        task_id=task.id,
        name=command.name,
        media_type=command.media_type,
        size=command.size,
        digest=command.digest,
        created_by=asking.actor_id,
        created_at=asking.now,
    )
    return AttachmentAdded(attachment=attachment, **_counted(state, task, 1, asking))


def delete_attachment(state: TeamState, command: DeleteAttachment, asking: Asking) -> AttachmentDeleted:
    """The file goes, and its task counts one less."""
    attachment = state.attachments.get(command.attachment_id)
    if attachment is None:
        raise NotFound("attachment")
    # A file has no life without its task: one that is not on the board is archived.
    task = on_board(state.tasks.get(attachment.task_id))
    return AttachmentDeleted(attachment=attachment, **_counted(state, task, -1, asking))


def _check_room(state: TeamState, task: Task, size: int, quotas: Quotas) -> None:
    attached = state.attached
    if attached is None:  # The actor looks it up, and asks again.
        raise NotFound("attached")
    if task.attachment_count >= quotas.attachments_per_task:
        raise QuotaReached("attachments-per-task", quotas.attachments_per_task, "This task may have no more files.")
    if attached.count >= quotas.attachments_per_team:
        raise QuotaReached("attachments-per-team", quotas.attachments_per_team, "This team may have no more files.")
    if attached.size + size > quotas.attachment_bytes_per_team:
        most = quotas.attachment_bytes_per_team
        raise QuotaReached("attachment-bytes-per-team", most, "This team has no room for a file of that size.")


def _counted(state: TeamState, task: Task, change: int, asking: Asking) -> dict[str, Any]:
    """What the event begins with: the task with another count, as its next version."""
    seq, count = state.seq + 1, task.attachment_count
    after = structs.replace(task, attachment_count=count + change, updated_at=asking.now, version=seq)
    common = {"team_id": task.team_id, "seq": seq, "actor_id": asking.actor_id, "at": asking.now}
    return {"task": after, "previous": {"attachment_count": count}, **common}
