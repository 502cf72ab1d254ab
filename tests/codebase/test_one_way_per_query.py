"""What is not hot is written with Piccolo's tables and builder, what is hot in SQL; never one query in both."""

import ast
import re
from pathlib import Path

from tests.support.source import modules, tree

# Modules whose queries are Piccolo's: all of people, and what belongs to no team.
PICCOLO = (*(path for path in modules("db") if path.parts[1] == "people"), Path("db/inbox.py"), Path("db/outbox.py"))

# SQL that stays there, and what the builder has no word for.
IN_SQL = {
    "db/people/sessions.py:_ROTATE": "one statement of three that hand rows to each other: the token's row decides",
    "db/people/sessions.py:_JUDGE": "a join of three tables that have no foreign keys in Piccolo, read in one moment",
    "db/people/sessions.py:_RENEW": "it selects from the session what it inserts, and nothing when that has ended",
    "db/people/sessions.py:_IS_NEW": "it compares networks by masks of their family",
    "db/people/identity.py:_VERIFY": "null stands for whichever address there is, and the first proof stays",
    "db/people/mornings.py:_MOVE": "it notes what was and changes it, of one row that it has locked",
    "db/people/mornings.py:_TAKE": "it deletes a batch and answers with what the joined users have now",
    "db/people/directory.py:_FIND": "a join with the list that was asked for, folded by the database",
    "db/inbox.py:_CLAIM": "a claim: a row that is taken over only under a condition",
    "db/outbox.py:_CLAIM": "an advisory lock",
}
_SQL = re.compile(r"^\s*(select|insert\s+into|update|delete\s+from|with|values|table|merge|set)\s", re.IGNORECASE)
# Ways to write SQL with Piccolo: its builder is what counts, not its classes around text.
_TEXT = {"QueryString", "WhereRaw", "OrderByRaw", "SelectRaw", "Unquoted"}
_CALLS = {"raw", "fetch", "fetchrow", "fetchval", "execute", "executemany"}


def text_of(node: ast.AST) -> str:
    """A string as far as it is written down."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def documentation(module: ast.Module) -> set[ast.AST]:
    """Strings that stand alone: docstrings."""
    return {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}


def written_in_sql(module: ast.Module) -> dict[str, int]:
    """The names of constants that hold SQL, and whatever else is SQL by its line; with line numbers."""
    found: dict[str, int] = {}
    documents = documentation(module)
    named = {
        id(part): target.id
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
        for part in ast.walk(node.value)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in documents and _SQL.match(text_of(node)):
            found[named.get(id(node), f"line {node.lineno}")] = node.lineno
        if isinstance(node, ast.Name) and node.id in _TEXT:
            found[f"line {node.lineno}: {node.id}"] = node.lineno
    return found


def run_as_text(module: ast.Module) -> list[int]:
    """Calls that run SQL which is no constant of the module."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [
        call.lineno
        for call in calls
        if call.func.attr in _CALLS  # type: ignore[attr-defined]
        and not (call.args and isinstance(call.args[0], ast.Name) and call.args[0].id.startswith("_"))
    ]


def test_people_are_read_and_written_with_piccolo_but_for_what_it_cannot_say() -> None:
    found = {f"{path}:{name}" for path in PICCOLO for name in written_in_sql(tree(path))}
    assert not found - set(IN_SQL)
    assert not set(IN_SQL) - found, "these are no SQL any more: take them off the list"


def test_sql_on_the_list_is_a_constant_and_nothing_else_is_run_as_text() -> None:
    assert not {str(path): lines for path in PICCOLO if (lines := run_as_text(tree(path)))}


def test_the_lint_knows_sql_when_it_sees_it() -> None:
    canary = '''
"""Select a place: a docstring is none."""
_A: Final = "select 1"
_B = f"""
delete from users where id = {x}
"""
async def f(tx):
    """Update nothing."""
    await tx.fetch("with x as (select 1) select * from x")
    await tx.execute(_A)
    return QueryString("now()")
'''
    module = ast.parse(canary)
    assert set(written_in_sql(module)) == {"_A", "_B", "line 9", "line 11: QueryString"}
    assert run_as_text(module) == [9]
