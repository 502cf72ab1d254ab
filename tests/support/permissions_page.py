"""`docs/permissions.md`, made from the table in `core/permissions.py` and from what each operation requires.

`python -m tests.support.permissions_page` writes it; `tests/api/test_permissions_page.py` compares it.
"""

from collections.abc import Iterator
from itertools import groupby

from api.endpoints import all_operations
from api.openapi import Operation
from core.permissions import MATRIX, ROLES, Role, allows, may_grant
from core.rights import Requirement
from tests.support.source import ROOT

__all__ = ["PAGE", "page"]

PAGE = ROOT / "docs" / "permissions.md"

_HEAD = """# Permissions: who may do what

Made from `core/permissions.py` and the operations of the API; change those, and write it anew with
`python -m tests.support.permissions_page`.

A role is somebody's in one team, and what counts is the role at this moment, whatever a token says. For everybody who
is no member, and for somebody removed, a team and all that is in it do not exist: the answer is the 404 of a random id.
A member whose role does not suffice gets 403 `forbidden`, which names the permission. An API key does what its owner's
role allows, as far as its scope reaches (`admin` includes `write`, which includes `read`) and, where it is for one
team, in that team.
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join([_HEAD, *_roles(), *_grants(), *_operations()])


def _mark(yes: bool) -> str:
    return "✓" if yes else ""


def _table(*head: str) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _roles() -> Iterator[str]:
    yield "## Roles\n"
    yield from _table("permission", *ROLES, "what for")
    for row in MATRIX:
        yield _row(f"`{row.permission}`", *(_mark(allows(role, row.permission)) for role in ROLES), row.about)
    yield ""


def _grants() -> Iterator[str]:
    yield "Who may give, change or take away which role, in invitations too:\n"
    yield from _table("", *ROLES)
    granters: list[Role] = [role for role in ROLES if allows(role, "manage_members")]
    for granter in granters:
        yield _row(granter, *(_mark(may_grant(granter, role)) for role in ROLES))
    yield "\nA team never has zero owners: its last one can neither leave nor get another role (409 `last-owner`).\n"


def _operations() -> Iterator[str]:
    yield "## Operations\n"
    for tag, operations in groupby(sorted(all_operations(), key=lambda one: one.tag), key=lambda one: one.tag):
        yield f"### {tag}\n"
        yield from _table("operation", "takes", *ROLES, "others", "scope of a key")
        for operation in operations:
            yield from _rows(operation)
        yield ""


def _rows(operation: Operation) -> Iterator[str]:
    requires = operation.requires
    assert requires is not None, f"{operation.id} does not say what it requires"
    shown = f"`{operation.method} {operation.path}`"
    yield _row(shown, *_cells(requires))
    for query, right in requires.also:
        yield _row(f"{shown} with `{query}`", *_cells(Requirement("member", right, keys=requires.keys)))


def _cells(requires: Requirement) -> tuple[str, ...]:
    if requires.who == "anybody":
        return ("nothing", *("✓" for _ in ROLES), "✓", "")
    right, scope = requires.right, requires.scope
    if right is None:
        return ("an account", *("✓" for _ in ROLES), "✓", f"`{scope}`" if requires.keys else "none will do")
    takes = f"`{right.permission}`" + (", of oneself `read`" if requires.unless_oneself else "")
    marks = (_mark(allows(role, right.permission)) for role in ROLES)
    return (takes, *marks, "", f"`{right.scope}`" if requires.keys else "none will do")


if __name__ == "__main__":
    PAGE.write_text(page())
