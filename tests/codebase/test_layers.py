"""Arrows point down only, and the lint that says so can say no."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.source import LAYERS, ROOT, modules, tree

LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]

# What `core` may import: the pure part of the standard library and three libraries without I/O.
BUDGET = {
    *(
        "base64",
        "bisect",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "hmac",
        "itertools",
        "json",
    ),
    *("math", "operator", "re", "string", "typing", "unicodedata", "uuid", "zlib"),
    *("dateutil", "fractional_indexing", "msgspec", "core"),
}


ROOMS = (
    *(
        "db/journal",
        "db/people",
        "db/redaction",
        "streams/consumers",
        "streams/relay",
        "streams/feeds",
        "streams/kafka",
        "streams/mail",
        "streams/operations",
    ),
    *("api/auth", "api/endpoints", "api/pages"),
)
TARGETS = (
    *("db/pool.py", "db/journal/journal.py", "db/people/sessions.py", "actors/system.py", "streams/relay/relay.py"),
    *("streams/consumers/runner.py", "streams/feeds/frames.py", "streams/feeds/hub.py", "streams/operations/kinds.py"),
    *("api/app.py",),
    *("api/endpoints/tasks.py", "taskforge/settings.py"),
)


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LINT, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)


def test_the_layers_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


ARROWS = (
    ("core.canary", "db.pool"),
    ("core.canary", "asyncio"),
    ("actors.canary", "db.pool"),
    ("db.canary", "actors.system"),
    ("streams.canary", "api.app"),
    ("api.canary", "taskforge.settings"),
    ("streams.feeds.canary", "streams.relay.relay"),
    ("streams.kafka.canary", "streams.consumers.runner"),
    ("streams.operations.canary", "streams.consumers.runner"),
    ("streams.feeds.canary", "streams.operations.kinds"),
    ("db.journal.canary", "db.people.sessions"),
    ("db.people.canary", "db.journal.journal"),
    ("db.redaction.canary", "db.people.sessions"),
    ("api.auth.canary", "api.endpoints.tasks"),
)
CIRCLE = ("streams.feeds.frames", "streams.feeds.hub")


def test_the_lint_catches_every_arrow_that_points_up_and_every_circle(tmp_path: Path) -> None:
    """All of them planted in one tree: the lint names each, so that one run shows that it sees them all."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in (*LAYERS, *ROOMS):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for target in TARGETS:
        (tmp_path / target).touch()
    (tmp_path / "streams/feeds/hub.py").write_text("import streams.feeds.frames\n")
    clean = lint(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    for source, target in (*ARROWS, CIRCLE):
        with (tmp_path / source.replace(".", "/")).with_suffix(".py").open("a") as module:
            module.write(f"import {target}\n")
    broken = lint(tmp_path)
    assert broken.returncode == 1
    assert not [f"{source} -> {target}" for source, target in ARROWS if f"{source} -> {target}" not in broken.stdout]
    assert "No cycles are allowed in streams.feeds." in broken.stdout


def imports(module: ast.Module) -> set[str]:
    """The top-level names of everything imported, at any depth of the module."""
    found = {alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in found}


def test_core_stays_within_its_import_budget() -> None:
    over = {str(path): extra for path in modules("core") if (extra := imports(tree(path)) - BUDGET)}
    assert not over


def test_the_budget_notices_a_new_import() -> None:
    canary = ast.parse("def f():\n    from os import path\n    import msgspec.json")
    assert imports(canary) - BUDGET == {"os"}


def test_importing_core_loads_nothing_that_does_io() -> None:
    names = ", ".join(f"core.{path.stem}" for path in modules("core") if path.stem != "__init__")
    heavy = ("asyncio", "socket", "ssl", "subprocess", "asyncpg", "piccolo", "blacksheep", "structlog", "anyio")
    code = f"import sys, {names}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def asynchronous(module: ast.Module) -> list[int]:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return [node.lineno for node in ast.walk(module) if isinstance(node, kinds)]


def test_nothing_in_core_waits() -> None:
    assert not {str(path): lines for path in modules("core") if (lines := asynchronous(tree(path)))}
    assert asynchronous(ast.parse("async def f(): pass")) == [1]
