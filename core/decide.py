"""Commands to events. Pure: same state, same command, same asking, same answer; nothing is changed here."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never
from uuid import UUID

from msgspec import UNSET, structs

from core.basis import check_basis
from core.commands import (
    AddAttachment,
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Asking,
    Batch,
    ChangeRole,
    CloseColumn,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteColumn,
    DeleteComment,
    DeleteLabel,
    DeleteTask,
    DeleteTeam,
    EditComment,
    MoveColumn,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RepeatTask,
    RestoreTask,
    UndoTask,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.decide_attachments import add_attachment, delete_attachment
from core.decide_columns import change_columns
from core.decide_comments import change_comments
from core.decide_recurrence import repeat_task
from core.decide_tasks import archive_task, create_task, delete_task, move_task, restore_task, update_task
from core.ended import DeletedTeam
from core.errors import Conflict, DomainError, Forbidden, NotFound, QuotaReached, StaleVersion
from core.events import (
    AnyEvent,
    HistoryRedacted,
    Label,
    LabelCreated,
    LabelDeleted,
    LabelUpdated,
    Member,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    MemberUpdated,
    TaskUpdated,
    Team,
    TeamDeleted,
    TeamUpdated,
)
from core.permissions import may_grant
from core.rights import check_allowed
from core.task import differences
from core.team import TeamState, evolve
from core.text import fold_name
from core.undo import undo_task

Events = list[AnyEvent]


def decide(state: TeamState, command: AnyCommand, asking: Asking) -> Events:
    """The events that `command` causes now, numbered from `state.seq + 1`; none when it changes nothing.

    Raises a `DomainError` when the team's rules refuse it. `state` is left as it was.
    """
    check_allowed(state, command, asking.principal)
    match command:
        case UpdateTask():
            return _one(update_task(state, command, asking))
        case MoveTask():
            return _one(move_task(state, command, asking))
        case CreateTask():
            return [create_task(state, command, asking)]
        case ArchiveTask():
            return archive_task(state, command, asking)
        case RestoreTask():
            return [restore_task(state, command, asking)]
        case UndoTask():
            return _one(undo_task(state, command, asking))
        case RepeatTask():
            return repeat_task(state, command, asking)
        case DeleteTask():
            return delete_task(state, command, asking)
        case AddComment() | EditComment() | DeleteComment():
            return [*change_comments(state, command, asking)]
        case AddAttachment():
            return [add_attachment(state, command, asking)]
        case DeleteAttachment():
            return [delete_attachment(state, command, asking)]
        case Batch(operations=operations):
            check_basis(state, command)
            return _batch(state, operations, asking)
        case UpdateTeam():
            return _update_team(state, command, asking)
        case CreateTeam():
            return _create_team(state, command, asking)
        case DeleteTeam():
            return _delete_team(state, asking)
        case AddMember() | ChangeRole() | RemoveMember():
            return _change_members(state, command, asking)
        case RenameMember():
            return _rename_member(state, command, asking)
        case CreateLabel() | UpdateLabel() | DeleteLabel():
            return _change_labels(state, command, asking)
        case CreateColumn() | UpdateColumn() | MoveColumn() | DeleteColumn() | CloseColumn():
            return change_columns(state, command, asking)
        case RedactHistory(subjects=subjects, through_seq=through_seq):
            return [HistoryRedacted(subjects=subjects, through_seq=through_seq, **_stamp(state, asking))]
        case _:
            assert_never(command)


def _one(event: AnyEvent | None) -> Events:
    return [] if event is None else [event]


def _batch(state: TeamState, operations: Sequence[AnyCommand], asking: Asking) -> Events:
    draft, events = state.fork(), Events()
    for number, operation in enumerate(operations):
        for event in _of_batch(draft, number, operation, asking):
            evolve(draft, event)
            events.append(event)
    return events


def _of_batch(draft: TeamState, number: int, operation: AnyCommand, asking: Asking) -> Events:
    """The events of one operation; a refusal says which operation it is about, and which field of it."""
    try:
        return decide(draft, operation, asking)
    except DomainError as error:
        if isinstance(error, StaleVersion):
            error.within("/if_match")
        elif isinstance(error, NotFound):
            error.within("/id")
        error.within(f"/operations/{number}")
        raise


def _create_team(state: TeamState, command: CreateTeam, asking: Asking) -> Events:
    if state.team is not None or state.seq:
        raise Conflict("team-exists", "This team exists already.")
    team_id, now = command.team_id, asking.now
    team = Team(
        id=team_id,
        name=command.name,
        key=command.key,
        time_zone=command.time_zone,
        created_by=asking.actor_id,
        created_at=now,
        updated_at=now,
        version=1,
    )
    owner = Member(user_id=asking.actor_id, role="owner", name=command.owner_name, joined_at=now)
    common: dict[str, Any] = {"team_id": team_id, "actor_id": asking.actor_id, "at": now}
    return [TeamUpdated(seq=1, team=team, **common), MemberAdded(seq=2, member=owner, **common)]


def _update_team(state: TeamState, command: UpdateTeam, asking: Asking) -> Events:
    team = _team(state)
    wanted = {"name": command.name, "wip": command.wip, "time_zone": command.time_zone}
    changed = {name: value for name, value in wanted.items() if value is not UNSET and getattr(team, name) != value}
    if not changed:
        return []
    after = structs.replace(team, **changed, updated_at=asking.now, version=state.seq + 1)
    previous = {name: getattr(team, name) for name in changed}
    return [TeamUpdated(team=after, previous=previous, **_stamp(state, asking))]


def _delete_team(state: TeamState, asking: Asking) -> Events:
    """Every membership ends with an event of its own, so that whoever minds those needs to know no other kind."""
    team, make, events = _team(state), _stamper(state, asking), Events()
    for member in sorted(state.members.values(), key=lambda one: (one.joined_at, one.user_id)):
        events.append(make(MemberRemoved, seq=state.seq + len(events) + 1, member=member))
    events.append(make(TeamDeleted, seq=state.seq + len(events) + 1, team=DeletedTeam(id=team.id)))
    return events


def _change_members(state: TeamState, command: AddMember | ChangeRole | RemoveMember, asking: Asking) -> Events:
    common = _stamp(state, asking)
    if isinstance(command, AddMember):
        if command.user_id in state.members:
            raise Conflict("already-member", "This user is a member already.")
        if len(state.members) >= (limit := asking.quotas.members_per_team):
            raise QuotaReached("members-per-team", limit, f"This team has {limit} members, and may have no more.")
        if asking.principal.kind != "system":
            _check_grant(state, asking.actor_id, command.role)
        new = Member(user_id=command.user_id, role=command.role, name=command.name, joined_at=asking.now)
        return [MemberAdded(member=new, **common)]
    member = state.members.get(command.user_id)
    if member is None:
        raise NotFound("member")
    if isinstance(command, RemoveMember):
        if command.user_id != asking.actor_id:
            _check_grant(state, asking.actor_id, member.role)
        _check_owner_remains(state, member)
        return [MemberRemoved(member=member, **common)]
    _check_grant(state, asking.actor_id, member.role)
    _check_grant(state, asking.actor_id, command.role)
    if member.role == command.role:
        return []
    _check_owner_remains(state, member)
    after = structs.replace(member, role=command.role)
    return [MemberRoleChanged(member=after, previous={"role": member.role}, **common)]


def _rename_member(state: TeamState, command: RenameMember, asking: Asking) -> Events:
    member = state.members[asking.actor_id]
    if member.name == command.name:
        return []
    after = structs.replace(member, name=command.name)
    return [MemberUpdated(member=after, previous={"name": member.name}, **_stamp(state, asking))]


def _check_grant(state: TeamState, actor_id: UUID, role: Any) -> None:
    if not may_grant(state.role_of(actor_id), role):
        raise Forbidden("own_team")


def _check_owner_remains(state: TeamState, leaving: Member) -> None:
    """A team never has zero owners."""
    if leaving.role == "owner" and sum(member.role == "owner" for member in state.members.values()) == 1:
        raise Conflict("last-owner", "The last owner of a team cannot leave or be demoted.")


def _change_labels(state: TeamState, command: CreateLabel | UpdateLabel | DeleteLabel, asking: Asking) -> Events:
    common = _stamp(state, asking)
    if isinstance(command, CreateLabel):
        _check_label_name(state, command.name, None)
        if len(state.labels) >= (limit := asking.quotas.labels_per_team):
            raise QuotaReached("labels-per-team", limit, f"This team has {limit} labels, and may have no more.")
        return [LabelCreated(label=Label(id=asking.new_id(), name=command.name, color=command.color), **common)]
    label = state.labels.get(command.label_id)
    if label is None:
        raise NotFound("label")
    if isinstance(command, DeleteLabel):
        return _delete_label(state, label, asking)
    wanted = {"name": command.name, "color": command.color}
    changed = {name: value for name, value in wanted.items() if value is not UNSET and getattr(label, name) != value}
    if not changed:
        return []
    if "name" in changed:
        _check_label_name(state, str(changed["name"]), label.id)
    previous = {name: getattr(label, name) for name in changed}
    return [LabelUpdated(label=structs.replace(label, **changed), previous=previous, **common)]


def _check_label_name(state: TeamState, name: str, own: UUID | None) -> None:
    folded = fold_name(name)
    if any(fold_name(label.name) == folded and label.id != own for label in state.labels.values()):
        raise Conflict("name-taken", "Another label of this team has that name.", pointer="/name")


def _delete_label(state: TeamState, label: Label, asking: Asking) -> Events:
    events, seq, make = Events(), state.seq, _stamper(state, asking)
    for task in state.tasks.values():
        if label.id in task.label_ids:
            seq += 1
            rest = tuple(other for other in task.label_ids if other != label.id)
            after = structs.replace(task, label_ids=rest, updated_at=asking.now, version=seq)
            events.append(make(TaskUpdated, seq=seq, task=after, previous=differences(task, after)))
    events.append(make(LabelDeleted, seq=seq + 1, label=label))
    return events


def _stamper(state: TeamState, asking: Asking) -> Callable[..., AnyEvent]:
    team_id = _team(state).id

    def make(event: type[AnyEvent], **fields: Any) -> AnyEvent:
        return event(team_id=team_id, actor_id=asking.actor_id, at=asking.now, **fields)

    return make


def _stamp(state: TeamState, asking: Asking) -> dict[str, Any]:
    """What the team's next event begins with."""
    return {"team_id": _team(state).id, "seq": state.seq + 1, "actor_id": asking.actor_id, "at": asking.now}


def _team(state: TeamState) -> Team:
    if state.team is None:
        raise NotFound("team")
    return state.team
