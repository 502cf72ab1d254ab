"""The type checker and the linter are part of the tests: what `make check` says, `make test` says too."""

import subprocess
import sys

import pytest

from tests.support.source import ROOT


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tool",
    [["mypy"], ["ruff", "check", "--no-cache", "."], ["ruff", "format", "--no-cache", "--check", "."]],
    ids=["types", "lint", "format"],
)
def test_the_tool_is_content(tool: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
