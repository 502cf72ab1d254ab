"""Who may give which command: every kind of command has its right, and a key never reaches further than its owner."""

from itertools import product
from typing import Any, get_args
from uuid import UUID

import pytest

from core.commands import (
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
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
from core.errors import Forbidden, NotFound
from core.permissions import PERMISSIONS, ROLES, Role
from core.principal import EVERY_SCOPE, Principal, Scope
from core.rights import check_allowed, right_of
from core.task import TaskFields, TaskPatch
from core.team import NEVER, TeamState
from tests.support.core_team import ADMIN, MEMBER, OWNER, STRANGER, TEAM, VIEWER, CoreTeam, an_attachment

ONE, KEY, OTHER_TEAM = UUID(int=101), UUID(int=102), UUID(int=103)
PEOPLE: dict[Role, UUID] = {"owner": OWNER, "admin": ADMIN, "member": MEMBER, "viewer": VIEWER}
NEEDED: list[tuple[AnyCommand, str, Scope]] = [
    (CreateTeam(TEAM, "Engineering", "ENG", "Ada"), "own_team", "admin"),
    (UpdateTeam(name="Other"), "manage_team", "admin"),
    (AddMember(STRANGER, "Bob", "member"), "manage_members", "admin"),
    (ChangeRole(MEMBER, "viewer"), "manage_members", "admin"),
    (RemoveMember(MEMBER), "manage_members", "admin"),
    (RenameMember("Bob"), "read", "admin"),
    (CreateLabel("bug", "#ff0000"), "manage_labels", "write"),
    (UpdateLabel(label_id=ONE), "manage_labels", "write"),
    (DeleteLabel(ONE), "manage_labels", "write"),
    (CreateColumn(name="Doing", category="open"), "manage_team", "admin"),
    (UpdateColumn(column_id=ONE), "manage_team", "admin"),
    (MoveColumn(column_id=ONE), "manage_team", "admin"),
    (DeleteColumn(column_id=ONE), "manage_team", "admin"),
    (CloseColumn(ONE), "own_team", "admin"),
    (RepeatTask(ONE, NEVER), "own_team", "admin"),
    (RedactHistory((ONE,), 7), "own_team", "admin"),
    (DeleteTeam(), "own_team", "admin"),
    (CreateTask(TaskFields(title="t")), "write_tasks", "write"),
    (UpdateTask(ONE, TaskPatch(title="t")), "write_tasks", "write"),
    (MoveTask(task_id=ONE), "write_tasks", "write"),
    (ArchiveTask(ONE), "write_tasks", "write"),
    (RestoreTask(ONE), "write_tasks", "write"),
    (UndoTask(task_id=ONE, user_id=ONE), "write_tasks", "write"),
    (DeleteTask(ONE), "delete_tasks", "admin"),
    (an_attachment(ONE, ONE), "write_tasks", "write"),
    (DeleteAttachment(ONE), "write_tasks", "write"),
    (Batch((RestoreTask(ONE),)), "write_tasks", "write"),
    (AddComment(ONE, "so"), "write_tasks", "write"),
    (EditComment(ONE, "so"), "write_tasks", "write"),
    (DeleteComment(ONE), "write_tasks", "write"),
]


SYSTEMS = RedactHistory | CloseColumn | RepeatTask
"""What nobody else may ask for."""


@pytest.mark.parametrize(("command", "permission", "scope"), NEEDED)
def test_a_command_names_its_permission_and_its_scope(command: AnyCommand, permission: str, scope: Scope) -> None:
    right = right_of(command, OWNER)
    assert (right.permission, right.scope) == (permission, scope)


def test_every_kind_of_command_is_among_the_cases() -> None:
    assert {type(command) for command, *_ in NEEDED} == set(get_args(AnyCommand))


def test_what_is_no_command_is_refused_and_not_passed_over() -> None:
    stranger: Any = object()
    with pytest.raises(AssertionError):
        right_of(stranger, OWNER)


@pytest.mark.parametrize(("command", "permission", "scope"), [case for case in NEEDED if case[1] != "own_team"])
def test_role_and_scope_must_both_suffice(command: AnyCommand, permission: str, scope: Scope) -> None:
    team = CoreTeam()
    for role, reach in product(ROLES, get_args(Scope)):
        principal = Principal.of_key(KEY, PEOPLE[role], [reach])
        if isinstance(command, RemoveMember) and command.user_id == principal.user_id:
            continue
        if permission in PERMISSIONS[role] and scope in principal.scopes:
            check_allowed(team.state, command, principal)
        else:
            with pytest.raises(Forbidden) as refused:
                check_allowed(team.state, command, principal)
            assert refused.value.permission == permission


@pytest.mark.parametrize(
    "command",
    [command for command, _, _ in NEEDED if not isinstance(command, CreateTeam | SYSTEMS)],
)
def test_a_key_of_one_team_sees_no_other_team(command: AnyCommand) -> None:
    team = CoreTeam()
    check_allowed(team.state, command, Principal.of_key(KEY, OWNER, ["admin"], team_id=TEAM))
    with pytest.raises(NotFound) as refused:
        check_allowed(team.state, command, Principal.of_key(KEY, OWNER, ["admin"], team_id=OTHER_TEAM))
    assert refused.value.what == "team"


def test_anybody_may_create_a_team_but_a_key_needs_the_widest_scope_and_no_limit() -> None:
    command = CreateTeam(TEAM, "Engineering", "ENG", "Ada")
    check_allowed(TeamState(), command, Principal.of_user(STRANGER))
    check_allowed(TeamState(), command, Principal.of_key(KEY, STRANGER, ["admin"]))
    with pytest.raises(Forbidden, match="does not have the scope admin"):
        check_allowed(TeamState(), command, Principal.of_key(KEY, STRANGER, ["write"]))
    with pytest.raises(NotFound):
        check_allowed(TeamState(), command, Principal.of_key(KEY, STRANGER, ["admin"], team_id=OTHER_TEAM))


def test_a_key_of_a_stranger_finds_no_team_whatever_its_scopes() -> None:
    with pytest.raises(NotFound):
        check_allowed(CoreTeam().state, UpdateTeam(name="x"), Principal.of_key(KEY, STRANGER, ["admin"]))


def test_everybody_may_leave_but_not_by_a_key_that_only_reads() -> None:
    team, leaving = CoreTeam(), RemoveMember(VIEWER)
    check_allowed(team.state, leaving, Principal.of_user(VIEWER))
    with pytest.raises(Forbidden, match="does not have the scope admin"):
        check_allowed(team.state, leaving, Principal.of_key(KEY, VIEWER, ["write"]))


def test_each_operation_of_a_batch_is_checked() -> None:
    team = CoreTeam()
    task = team.task()
    with pytest.raises(Forbidden):
        team.decide(Batch((UpdateTask(task.id, TaskPatch(title="x")),)), VIEWER)


@pytest.mark.parametrize(
    ("given", "reach"),
    [(["read"], {"read"}), (["write"], {"read", "write"}), (["admin"], EVERY_SCOPE), (["read", "admin"], EVERY_SCOPE)],
)
def test_a_wider_scope_includes_the_narrower_ones(given: list[Scope], reach: set[Scope]) -> None:
    assert Principal.of_key(KEY, OWNER, given).scopes == reach


def test_idempotency_keys_belong_to_the_user_or_to_the_key() -> None:
    user, key = Principal.of_user(OWNER, ONE), Principal.of_key(KEY, OWNER, ["read"])
    assert (user.id, user.user_id, user.kind, user.session_id, user.key_id) == (OWNER, OWNER, "user", ONE, None)
    assert (key.id, key.user_id, key.kind, key.session_id, key.key_id) == (KEY, OWNER, "key", None, KEY)
    assert Principal.of_key(KEY, OWNER, ["read"], agent=True).kind == "agent"
    assert user.scopes == EVERY_SCOPE


def test_history_is_redacted_by_the_system_alone() -> None:
    command = RedactHistory((ONE,), 7)
    check_allowed(CoreTeam().state, command, Principal.of_system(STRANGER))
    for principal in (Principal.of_user(OWNER), Principal.of_key(KEY, OWNER, ["admin"]), Principal.of_user(STRANGER)):
        with pytest.raises(Forbidden):
            check_allowed(CoreTeam().state, command, principal)
    with pytest.raises(NotFound):
        check_allowed(TeamState(), command, Principal.of_system(STRANGER))


@pytest.mark.parametrize("command", [command for command, _, _ in NEEDED])
def test_the_system_may_do_no_more_than_redact_go_on_and_take_somebody_back(command: AnyCommand) -> None:
    if isinstance(command, SYSTEMS | AddMember):
        check_allowed(CoreTeam().state, command, Principal.of_system(OWNER))
    else:
        with pytest.raises(Forbidden):
            check_allowed(CoreTeam().state, command, Principal.of_system(OWNER))
