"""Small lints, each born of something that went wrong elsewhere, each with a canary that makes it fire."""

import ast
import inspect
from pathlib import Path

from api.problems import PROBLEMS
from core import errors
from core.errors import TaskForgeError
from tests.support.source import LAYERS, ROOT, modules, tracked, tree

# Who may start a task: each keeps it, awaits it and cancels it.
OWNERS = {
    "actors/system.py": "its group ends every task before running() ends",
    "actors/committer.py": "a transaction in flight is awaited by who sent it",
    "db/journal/sticky.py": "it gives a connection back, and the pool closes no sooner than that is done",
    "streams/kafka/answering.py": "all are cancelled and awaited as soon as one has answered",
    "streams/feeds/remote.py": "both readers are awaited and cancelled together",
    "api/endpoints/feeds.py": "the watcher ends with its stream",
    "api/endpoints/live.py": "the receiver lives in the connection's group",
    "taskforge/operators.py": "the thread that asks waits for the answer and cancels what is late",
    "taskforge/stopping.py": "the drain ends with its timeout and is what lets the server stop",
    "taskforge/commands/up.py": "the session is the one task a signal cancels",
    "taskforge/devstack/supervisor.py": "one watcher per service, awaited in stop()",
}
STARTERS = {"create_task", "ensure_future", "run_coroutine_threadsafe"}


def started(module: ast.Module) -> list[int]:
    """Lines that start a task of asyncio's (a call of that name without a receiver may be anything)."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [call.lineno for call in calls if call.func.attr in STARTERS]  # type: ignore[attr-defined]


def test_tasks_are_started_only_where_somebody_owns_them() -> None:
    """A task nobody holds is collected mid-flight and its exception is never seen (cpython#91887)."""
    found = {str(path): lines for path in modules(*LAYERS) if (lines := started(tree(path)))}
    assert not {path: lines for path, lines in found.items() if path not in OWNERS}
    assert not set(OWNERS) - set(found), "these own no task any more: take them off the list"
    assert started(ast.parse("import asyncio\nasyncio.create_task(f())")) == [2]


def leaves(kind: type[TaskForgeError]) -> set[type[TaskForgeError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == "core.errors"]
    return {kind} if not children else set().union(*map(leaves, children))


def test_every_error_leaf_has_a_status_and_a_stable_code() -> None:
    missing = {leaf.__name__ for leaf in leaves(TaskForgeError)} - {kind.__name__ for kind in PROBLEMS}
    assert not missing, f"api/problems.py does not map {missing}"
    codes = [leaf.code for leaf in leaves(TaskForgeError)]
    assert len(set(codes)) == len(codes)
    assert all(PROBLEMS[leaf].code == leaf.code for leaf in leaves(TaskForgeError))


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = inspect.getdoc(errors) or ""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TaskForgeError)]
    assert not [kind.__name__ for kind in kinds if kind.__name__ not in drawn.split()]


STATUSES = Path("api/problems.py")
OF_OTHERS = {Path("core/webhooks.py"): "what endpoints answer to us, which is no answer of ours"}
AT_THE_EDGE = frozenset(range(400, 600))
# Below the edge 500 and 512 are limits of something, and 448 and 493 are permissions of files.
ELSEWHERE = frozenset({*range(400, 432), 451, *range(501, 509)})


def statuses(module: ast.Module, known: frozenset[int]) -> list[int]:
    """Lines that spell an error status out, as a number or by the standard library's name."""
    found = []
    for node in ast.walk(module):
        number = isinstance(node, ast.Constant) and type(node.value) is int and node.value in known
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if number or name == "HTTPStatus":
            found.append(node.lineno)  # type: ignore[attr-defined]
    return sorted(found)


def test_error_statuses_live_in_one_file() -> None:
    """Two files with status codes drift apart: the second one forgot Retry-After.

    This test once looked into `core` only, where nobody would put them.
    """
    found = {
        str(path): lines
        for path in modules(*LAYERS)
        if path != STATUSES
        and path not in OF_OTHERS
        and (lines := statuses(tree(path), AT_THE_EDGE if path.parts[0] == "api" else ELSEWHERE))
    }
    assert not found
    assert statuses(tree(STATUSES), ELSEWHERE), "the one file has them"


def test_the_lint_on_statuses_sees_numbers_and_names_and_leaves_limits_alone() -> None:
    canary = ast.parse(
        "import http\nLIMIT = 500\nif status == 409:\n    raise E\nr = Answer(503)\nhttp.HTTPStatus.GONE\nf(True)"
    )
    assert statuses(canary, ELSEWHERE) == [3, 5, 6]
    assert statuses(canary, AT_THE_EDGE) == [2, 3, 5, 6]


PATHS = {"streams/paths.py": "what events and resets name", "api/paths.py": "all others, for those who serve them"}


def addresses(module: ast.Module) -> list[tuple[int, str]]:
    """Paths of the API in texts or bytes that are no docstrings, with their lines."""
    spoken = [node.value for node in ast.walk(module) if isinstance(node, ast.Expr)]
    found = [node for node in ast.walk(module) if isinstance(node, ast.Constant) and node not in spoken]
    texts = [(node, node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value) for node in found]
    return sorted((node.lineno, text) for node, text in texts if isinstance(text, str) and text.startswith("/v1"))


def test_paths_of_the_api_are_written_in_one_place() -> None:
    """The document, the router, the reads from memory and every Location spelt them, each for itself.

    An event's source did so too, in `core`, which knows of no API.
    """
    found = {str(path): places for path in modules(*LAYERS) if (places := addresses(tree(path)))}
    assert found.keys() == PATHS.keys()
    written = [text for places in found.values() for _, text in places]
    assert sorted(written) == sorted(set(written)), "a path is written twice"


def test_the_lint_on_paths_sees_texts_and_bytes_and_leaves_docstrings_alone() -> None:
    canary = ast.parse('"""/v1/tasks."""\nTASK = b"/v1/tasks/%s"\nTEAM = f"/v1/teams/{team}"\nOTHER = "see /v1"')
    assert addresses(canary) == [(2, "/v1/tasks/%s"), (3, "/v1/teams/")]


def swallowed(module: ast.Module) -> list[int]:
    """`except Exception` (or wider) whose body does nothing, or only goes on."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            if wide and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body):
                found.append(node.lineno)
    return found


def test_no_error_is_swallowed_unseen() -> None:
    assert not {str(path): lines for path in modules(*LAYERS) if (lines := swallowed(tree(path)))}
    assert swallowed(ast.parse("try:\n    f()\nexcept Exception:\n    pass")) == [3]


def sleeping(module: ast.Module) -> list[int]:
    """Sleeps of a fixed time in a test, except of nothing (one turn of the loop)."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
            seconds = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else 0
            if isinstance(seconds, int | float) and seconds > 0.2:
                found.append(node.lineno)
    return found


def test_no_test_sleeps_instead_of_waiting_for_something() -> None:
    """Pauses inside a polling loop are short; a long one hopes that something has happened by then."""
    assert not {str(path): lines for path in modules("tests") if (lines := sleeping(tree(path)))}
    assert sleeping(ast.parse("import time\ntime.sleep(2)\ntime.sleep(0.03)")) == [2]


AT_ONCE = {"count", "inner_text", "text_content", "all_inner_texts", "input_value", "get_attribute"}
AT_ONCE |= {"is_visible", "is_hidden", "is_checked", "is_disabled"}


def looked_at_once(module: ast.Module) -> list[int]:
    """Lines of assertions about a page as it is at that very moment."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Assert)
        for call in ast.walk(node.test)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in AT_ONCE
    ]


def test_what_a_page_shows_is_waited_for() -> None:
    """A row that was drawn later than its answer came has failed CI: Playwright's `expect` waits instead."""
    pages = [
        path for path in modules("tests") if "playwright" in (ROOT / path).read_text() and "lints" not in path.name
    ]
    assert pages
    assert not {str(path): lines for path in pages if (lines := looked_at_once(tree(path)))}
    assert looked_at_once(ast.parse("assert page.locator('p').count() == 1")) == [1]


def test_route_modules_keep_their_annotations_as_objects() -> None:
    """BlackSheep reads the annotations of handlers: as strings, streaming handlers fail at start-up."""
    offending = [
        str(path)
        for path in modules("api")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert not offending


# Assembled, so that this file does not match itself.
PRIVATE = tuple(
    "".join(parts)
    for parts in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/tmp", "/tf"),
        ("localhost:", "4873"),
        ("files.pyth", "onhosted.org"),
        ("pypi.", "org/simple"),
        ("index", "-url ="),
        ("artifac", "tory"),
        ("registry", ".npmjs"),
    )
)
TEXT = {".py", ".md", ".toml", ".lock", ".txt", ".sql", ".js", ".css", ".html", ".yml", ".yaml", ".json", ".sh", ""}


def private(text: str) -> list[str]:
    return [pattern for pattern in PRIVATE if pattern in text]


def test_no_file_tells_where_it_was_made() -> None:
    """A path of one machine or the address of one registry works nowhere else, and says more than it should."""
    files = [path for path in tracked() if path.suffix in TEXT and path.name != ".gitignore"]
    found = {}
    for path in files:
        text = (ROOT / path).read_text(errors="replace")
        if hits := private(text):
            found[str(path)] = hits
    assert not found
    assert private("see /wo" + "rk/main")


def test_no_lock_file_records_an_address() -> None:
    for path in (path for path in tracked() if path.suffix == ".lock"):
        text = (ROOT / path).read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_the_project_has_one_tool_configuration() -> None:
    others = {"setup.cfg", "tox.ini", "pytest.ini", "mypy.ini", ".flake8", "ruff.toml", "uv.lock", ".coveragerc"}
    assert not [str(path) for path in tracked() if path.name in others and path.parent == Path()]
