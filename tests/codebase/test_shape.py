"""Sizes and charters. A ratchet: what is over the line is listed with its reason, and may only shrink."""

import ast

import pytest

from tests.support.source import LAYERS, ROOT, functions, modules, tracked, tree

MODULE_LINES, FUNCTION_LINES, CHARTER_LINES = 400, 40, 30

# Module or function -> lines allowed, and why it is better in one piece.
LONGER_MODULES: dict[str, tuple[int, str]] = {}
LONGER_FUNCTIONS: dict[str, tuple[int, str]] = {
    "core/decide.py:decide": (50, "a case for each command, and nothing else"),
    "taskforge/parts/serving.py:add_services": (50, "a line for each service, and nothing else"),
}


def lines(path: str) -> int:
    return len((ROOT / path).read_text().splitlines())


def test_a_stranger_can_read_every_module_end_to_end() -> None:
    sizes = {str(path): lines(str(path)) for path in modules(*LAYERS)}
    over = {path: size for path, size in sizes.items() if size > LONGER_MODULES.get(path, (MODULE_LINES, ""))[0]}
    assert not over


def measured() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in modules(*LAYERS):
        for name, node in functions(tree(path)):
            assert node.end_lineno is not None
            found[f"{path}:{name}"] = node.end_lineno - node.lineno + 1
    return found


def test_no_function_asks_for_more_than_one_screen() -> None:
    over = {
        name: size for name, size in measured().items() if size > LONGER_FUNCTIONS.get(name, (FUNCTION_LINES, ""))[0]
    }
    assert not over


def test_the_exceptions_are_still_needed() -> None:
    sizes = measured()
    assert not [name for name in LONGER_FUNCTIONS if sizes.get(name, 0) <= FUNCTION_LINES]
    assert not [path for path in LONGER_MODULES if lines(path) <= MODULE_LINES]
    assert all(reason for _, reason in (*LONGER_MODULES.values(), *LONGER_FUNCTIONS.values()))


def test_the_measure_counts_methods_and_inner_functions() -> None:
    canary = ast.parse("class A:\n    async def b(self):\n        def c(): pass\n")
    assert [name for name, _ in functions(canary)] == ["A.b", "A.b.c"]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_a_charter_that_fits_a_page(layer: str) -> None:
    charter = ROOT / layer / "README.md"
    assert charter.is_file(), f"{layer} needs a README.md: what may live there, what may not, why"
    assert 3 <= len(charter.read_text().splitlines()) <= CHARTER_LINES


def test_the_other_charters_fit_a_page_too() -> None:
    charters = [path for path in tracked() if path.name == "README.md" and path.parts[0] in LAYERS]
    assert not {str(path): size for path in charters if (size := lines(str(path))) > CHARTER_LINES}


FORBIDDEN_NAMES = {"utils.py", "helpers.py", "manager.py", "misc.py", "common.py"}


def test_no_module_is_named_after_nothing() -> None:
    assert not [str(path) for path in modules(*LAYERS) if path.name in FORBIDDEN_NAMES]
