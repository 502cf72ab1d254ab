"""Teams, members and labels: who may, what is refused, what changes nothing."""

import itertools
from uuid import UUID

import pytest
from msgspec import structs

from core.commands import (
    AddMember,
    AnyCommand,
    Asking,
    ChangeRole,
    CloseColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteLabel,
    DeleteTeam,
    RemoveMember,
    RenameMember,
    RepeatTask,
    UpdateLabel,
    UpdateTeam,
)
from core.decide import decide
from core.errors import Conflict, Forbidden, NotFound, QuotaReached
from core.events import (
    AnyEvent,
    LabelDeleted,
    LabelUpdated,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    MemberUpdated,
    TaskUpdated,
    TeamDeleted,
    TeamUpdated,
)
from core.permissions import PERMISSIONS, ROLES, allows, may_grant
from core.principal import Principal
from core.quotas import Quotas
from core.task import TaskFields
from core.team import TeamState, evolve
from tests.support.core_team import ADMIN, MEMBER, MISSING, OWNER, STRANGER, TEAM, VIEWER, CoreTeam


@pytest.fixture
def team() -> CoreTeam:
    return CoreTeam()


def test_a_team_begins_with_its_settings_and_its_first_owner() -> None:
    team = CoreTeam(with_members=False)
    settings, owner = (encoded.event for encoded in team.journal)
    assert isinstance(settings, TeamUpdated)
    assert settings.previous == {}
    assert isinstance(owner, MemberAdded)
    assert (owner.member.user_id, owner.member.role, owner.member.name) == (OWNER, "owner", "Olga")
    assert team.state.seq == 2


def test_a_team_is_created_once(team: CoreTeam) -> None:
    with pytest.raises(Conflict) as refused:
        team.ask(CreateTeam(TEAM, "Again", "AGN", "Olga"), OWNER)
    assert refused.value.reason == "team-exists"


@pytest.mark.parametrize("command", [CreateTask(TaskFields(title="T")), UpdateTeam(name="X"), DeleteLabel(MISSING)])
def test_a_team_that_was_never_created_is_not_found(command: AnyCommand) -> None:
    with pytest.raises(NotFound) as refused:
        decide(TeamState(), command, Asking(Principal.of_user(OWNER), CoreTeam().now, UUID))
    assert refused.value.what == "team"


def test_settings_change_field_by_field_and_only_when_they_differ(team: CoreTeam) -> None:
    (event,) = team.ask(UpdateTeam(name="Platform"), ADMIN)
    assert isinstance(event, TeamUpdated)
    assert event.previous == {"name": "Engineering"}
    assert event.team.version == team.state.seq
    (event,) = team.ask(UpdateTeam(wip="off"))
    assert isinstance(event, TeamUpdated)
    assert event.previous == {"wip": "warn"}
    assert team.ask(UpdateTeam(name="Platform", wip="off")) == []
    assert team.ask(UpdateTeam()) == []


def test_members_and_viewers_cannot_manage(team: CoreTeam) -> None:
    for actor in (MEMBER, VIEWER):
        for command, permission in (
            (UpdateTeam(name="X"), "manage_team"),
            (AddMember(STRANGER, "S", "viewer"), "manage_members"),
            (ChangeRole(VIEWER, "member"), "manage_members"),
        ):
            with pytest.raises(Forbidden) as refused:
                team.ask(command, actor)
            assert refused.value.permission == permission


def test_admins_handle_everybody_but_owners(team: CoreTeam) -> None:
    team.ask(AddMember(STRANGER, "Sam", "admin"), ADMIN)
    for command in (ChangeRole(STRANGER, "owner"), ChangeRole(OWNER, "member"), RemoveMember(OWNER)):
        with pytest.raises(Forbidden) as refused:
            team.ask(command, ADMIN)
        assert refused.value.permission == "own_team"
    with pytest.raises(Forbidden):
        team.ask(AddMember(MISSING, "M", "owner"), ADMIN)
    (event,) = team.ask(ChangeRole(STRANGER, "viewer"), ADMIN)
    assert isinstance(event, MemberRoleChanged)
    assert event.previous == {"role": "admin"}


def test_somebody_is_a_member_once(team: CoreTeam) -> None:
    with pytest.raises(Conflict) as refused:
        team.ask(AddMember(MEMBER, "M", "viewer"))
    assert refused.value.reason == "already-member"


def test_changing_or_removing_nobody_is_not_found(team: CoreTeam) -> None:
    for command in (ChangeRole(STRANGER, "member"), RemoveMember(STRANGER)):
        with pytest.raises(NotFound) as refused:
            team.ask(command)
        assert refused.value.what == "member"


def test_the_same_role_again_is_no_change(team: CoreTeam) -> None:
    assert team.ask(ChangeRole(MEMBER, "member")) == []


def test_a_member_changes_their_own_name_and_nothing_else(team: CoreTeam) -> None:
    before = team.state.members[VIEWER]
    (event,) = team.ask(RenameMember("Vera"), VIEWER)
    assert isinstance(event, MemberUpdated)
    assert (event.member.name, event.member.role, event.previous) == ("Vera", "viewer", {"name": before.name})
    assert team.state.members[VIEWER] == structs.replace(before, name="Vera")
    assert team.ask(RenameMember("Vera"), VIEWER) == []
    with pytest.raises(NotFound):
        team.ask(RenameMember("Nobody"), STRANGER)


def test_the_last_owner_can_neither_leave_nor_be_demoted(team: CoreTeam) -> None:
    for command in (ChangeRole(OWNER, "admin"), RemoveMember(OWNER)):
        with pytest.raises(Conflict) as refused:
            team.ask(command)
        assert refused.value.reason == "last-owner"
    team.ask(ChangeRole(ADMIN, "owner"))
    team.ask(RemoveMember(OWNER))
    assert OWNER not in team.state.members


def test_anybody_may_leave_and_is_a_stranger_then(team: CoreTeam) -> None:
    (event,) = team.ask(RemoveMember(VIEWER), VIEWER)
    assert isinstance(event, MemberRemoved)
    with pytest.raises(NotFound) as refused:
        team.state.role_of(VIEWER)
    assert refused.value.what == "team"


def test_a_removed_member_keeps_standing_on_old_tasks(team: CoreTeam) -> None:
    task = team.task("T", assignee_id=MEMBER)
    team.ask(RemoveMember(MEMBER))
    assert team.now_at(task.id).assignee_id == MEMBER


def test_label_names_are_unique_whatever_their_case(team: CoreTeam) -> None:
    label = team.label("Bug")
    other = team.label("Docs")
    with pytest.raises(Conflict) as refused:
        team.ask(CreateLabel("bUG", "#000000"))
    assert refused.value.reason == "name-taken"
    with pytest.raises(Conflict):
        team.ask(UpdateLabel(label_id=other, name="BUG"))
    (event,) = team.ask(UpdateLabel(label_id=label, name="BUG"), MEMBER)
    assert isinstance(event, LabelUpdated)
    assert event.previous == {"name": "Bug"}


def test_a_label_changes_only_when_it_differs(team: CoreTeam) -> None:
    label = team.label()
    assert team.ask(UpdateLabel(label_id=label, name="bug", color="#aa0000")) == []
    (event,) = team.ask(UpdateLabel(label_id=label, color="#00aa00"))
    assert isinstance(event, LabelUpdated)
    assert event.previous == {"color": "#aa0000"}


def test_unknown_labels_are_not_found(team: CoreTeam) -> None:
    for command in (UpdateLabel(label_id=MISSING, name="X"), DeleteLabel(MISSING)):
        with pytest.raises(NotFound) as refused:
            team.ask(command)
        assert refused.value.what == "label"


def test_viewers_cannot_touch_labels(team: CoreTeam) -> None:
    with pytest.raises(Forbidden):
        team.ask(CreateLabel("x", "#000000"), VIEWER)


def test_deleting_a_label_takes_it_off_every_task_first(team: CoreTeam) -> None:
    bug, docs = team.label("bug"), team.label("docs")
    both = team.task("Both", label_ids=(bug, docs))
    team.task("Neither")
    only = team.task("Only", label_ids=(bug,))
    events = team.ask(DeleteLabel(bug))
    assert [type(event) for event in events] == [TaskUpdated, TaskUpdated, LabelDeleted]
    assert team.now_at(both.id).label_ids == (docs,)
    assert team.now_at(only.id).label_ids == ()
    assert bug not in team.state.labels


def test_roles_only_ever_add_permissions_upwards() -> None:
    ladder = [PERMISSIONS[role] for role in reversed(ROLES)]
    for lower, higher in itertools.pairwise(ladder):
        assert lower < higher
    assert allows("viewer", "read")
    assert not allows("viewer", "write_tasks")


def test_only_owners_make_owners() -> None:
    assert all(may_grant("owner", role) for role in ROLES)
    assert [role for role in ROLES if may_grant("admin", role)] == ["admin", "member", "viewer"]
    assert not any(may_grant(granter, role) for granter in ("member", "viewer") for role in ROLES)


def test_an_event_that_does_not_follow_is_refused(team: CoreTeam) -> None:
    for index in (0, len(team.journal) - 1):
        with pytest.raises(ValueError, match="does not follow"):
            evolve(team.state, team.journal[index].event)


def limited(team: CoreTeam, command: AnyCommand, quotas: Quotas) -> list[AnyEvent]:
    return decide(team.state, command, Asking(Principal.of_user(OWNER), team.now, team.new_id, quotas))


def test_a_team_has_at_most_so_many_labels_and_members(team: CoreTeam) -> None:
    quotas = Quotas(labels_per_team=2, members_per_team=len(team.state.members))
    for name in ("bug", "idea"):
        assert limited(team, CreateLabel(name, "#123456"), quotas)
        team.ask(CreateLabel(name, "#123456"))
    for command, quota, limit in (
        (CreateLabel("third", "#123456"), "labels-per-team", 2),
        (AddMember(STRANGER, "Sam", "viewer"), "members-per-team", 4),
    ):
        with pytest.raises(QuotaReached) as refused:
            limited(team, command, quotas)
        assert (refused.value.quota, refused.value.limit) == (quota, limit)
    (label, _) = team.state.labels.values()
    team.ask(DeleteLabel(label.id))
    team.ask(RemoveMember(VIEWER))
    assert limited(team, CreateLabel("third", "#123456"), quotas)
    assert limited(team, AddMember(STRANGER, "Sam", "viewer"), quotas)


def test_a_team_above_a_lowered_limit_keeps_what_it_has_and_changes_it(team: CoreTeam) -> None:
    for name in ("bug", "idea"):
        team.ask(CreateLabel(name, "#123456"))
    label = next(iter(team.state.labels.values()))
    quotas = Quotas(labels_per_team=1, members_per_team=1)
    assert limited(team, UpdateLabel(label_id=label.id, name="fault"), quotas)
    assert limited(team, ChangeRole(VIEWER, "member"), quotas)


def test_an_owner_deletes_the_team_and_everybody_has_left_by_then(team: CoreTeam) -> None:
    task, members = team.task(external_id="7", external_source="x"), len(team.state.members)
    *left, deleted = team.ask(DeleteTeam())
    assert {event.subject for event in left} == {OWNER, ADMIN, MEMBER, VIEWER}
    assert len(left) == members
    assert all(isinstance(event, MemberRemoved) for event in left)
    assert isinstance(deleted, TeamDeleted)
    assert deleted.team.id == TEAM
    state = team.state
    assert (state.ended, len(state.tasks), state.external.as_dict(), state.places) == (True, 0, {}, {})
    assert (dict(state.members), dict(state.labels), dict(state.columns), state.closing) == ({}, {}, {}, None)
    assert state.top_number == task.number, "what came before is still counted"


@pytest.mark.parametrize("actor", [ADMIN, MEMBER, VIEWER])
def test_nobody_else_deletes_it(team: CoreTeam, actor: UUID) -> None:
    with pytest.raises(Forbidden) as refused:
        team.ask(DeleteTeam(), actor)
    assert refused.value.permission == "own_team"


def test_nothing_happens_in_a_deleted_team_but_that_it_is_forgotten(team: CoreTeam) -> None:
    team.ask(DeleteTeam())
    for command in (DeleteTeam(), CreateTask(TaskFields(title="T")), UpdateTeam(name="X")):
        with pytest.raises(NotFound) as refused:
            team.ask(command)
        assert refused.value.what == "team"
    with pytest.raises(Conflict):
        team.ask(CreateTeam(TEAM, "Again", "AGN", "Olga"), OWNER)
    system = Asking(Principal.of_system(OWNER), team.now, UUID)
    for late in (AddMember(OWNER, "Olga", "owner"), CloseColumn(MISSING), RepeatTask(MISSING, team.now)):
        with pytest.raises(NotFound) as refused:
            decide(team.state, late, system)
        assert refused.value.what == "team"
    team.redact(TEAM)
    assert team.state.ended


def test_a_working_copy_that_ends_leaves_the_state_as_it_was(team: CoreTeam) -> None:
    team.task(external_id="7", external_source="x")
    draft = team.state.fork()
    for event in decide(draft, DeleteTeam(), Asking(Principal.of_user(OWNER), team.now, UUID)):
        evolve(draft, event)
    assert draft.ended
    assert not team.state.ended
    assert len(team.state.tasks) == len(team.state.external.as_dict()) == 1
    assert team.state.columns
    assert any(team.state.places.values())
