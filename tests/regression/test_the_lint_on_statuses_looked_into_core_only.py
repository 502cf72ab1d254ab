"""The lint "error statuses live in one file" looked into `core` alone, where nobody would put one."""

import ast
from pathlib import Path

import pytest

from tests.codebase import test_lints


@pytest.mark.parametrize("layer", ["core", "db", "actors", "streams", "api", "taskforge"])
def test_an_error_status_in_another_file_of_any_layer_fails_the_lint(
    monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    canary = Path(layer) / "canary.py"
    monkeypatch.setattr(test_lints, "modules", lambda *layers: [canary] if layer in layers else [])
    monkeypatch.setattr(test_lints, "tree", lambda _: ast.parse("def answer():\n    return Response(409)"))
    with pytest.raises(AssertionError, match="canary"):
        test_lints.test_error_statuses_live_in_one_file()
