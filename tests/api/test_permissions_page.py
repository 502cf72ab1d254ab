"""One table of permissions: the page is made from it, and every operation says where it stands in it."""

import json
from itertools import pairwise
from typing import get_args

from api.endpoints import all_operations
from api.openapi import document
from core.permissions import MATRIX, PERMISSIONS, ROLES, Permission
from core.rights import ANYBODY
from tests.support.permissions_page import PAGE, page


def test_the_page_says_what_the_program_does() -> None:
    assert PAGE.read_text() == page(), "python -m tests.support.permissions_page"


def test_every_operation_says_what_it_requires() -> None:
    assert not [operation.id for operation in all_operations() if operation.requires is None]


def test_operations_about_a_team_require_a_right_in_it_and_secured_ones_somebody() -> None:
    for operation in all_operations():
        assert operation.requires is not None
        if operation.path.startswith(("/v1/teams/", "/v1/tasks")):
            assert operation.requires.right is not None, operation.id
        if operation.secured:
            assert operation.requires != ANYBODY, operation.id


def test_the_document_shows_what_an_operation_requires() -> None:
    paths = json.loads(document(all_operations()))["paths"]
    for operation in all_operations():
        shown = paths[operation.path][operation.method.lower()]["x-required-permission"]
        assert operation.requires is not None
        assert shown["who"] == operation.requires.who
        if operation.requires.right is not None:
            assert shown["permission"] == operation.requires.right.permission
    assert paths["/v1/tasks/{task_id}"]["delete"]["x-required-permission"]["also"] == {
        "permanent=true": {"permission": "delete_tasks", "scope": "admin"}
    }


def test_the_matrix_has_every_permission_once_and_roles_include_one_another() -> None:
    permissions = [row.permission for row in MATRIX]
    assert sorted(permissions) == sorted(get_args(Permission))
    for greater, lesser in pairwise(ROLES):
        assert PERMISSIONS[greater] > PERMISSIONS[lesser]
