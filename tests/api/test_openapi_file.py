"""The description that is checked in is that of the program, and a change that breaks somebody is seen."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import oasdiff
from tests.support.openapi_file import FILE, written

compared = pytest.mark.skipif(not oasdiff.BINARY.exists(), reason="no oasdiff: python -m tests.support.oasdiff get")


def test_the_file_says_what_the_program_answers() -> None:
    assert FILE.read_text() == written(), "python -m tests.support.openapi_file"


def taken_away(described: dict[str, Any]) -> None:
    del described["paths"]["/v1/tasks/{task_id}"]["get"]


def asked_for(described: dict[str, Any]) -> None:
    described["components"]["schemas"]["NewTask"]["required"].append("priority")


def not_answered(described: dict[str, Any]) -> None:
    task = described["components"]["schemas"]["Task"]
    del task["properties"]["version"]
    task["required"].remove("version")


def added(described: dict[str, Any]) -> None:
    """None of this breaks anybody."""
    described["components"]["schemas"]["Task"]["properties"]["weight"] = {"type": "integer"}
    described["components"]["schemas"]["NewTask"]["properties"]["weight"] = {"type": "integer"}
    described["paths"]["/v1/tasks/{task_id}/weigh"] = copy.deepcopy(described["paths"]["/v1/tasks/{task_id}"])


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    described = json.loads(FILE.read_text())
    change(described)
    (new := folder / "changed.json").write_text(json.dumps(described))
    return new


@compared
@pytest.mark.parametrize(
    ("change", "said"),
    [(taken_away, "API removed"), (asked_for, "became required"), (not_answered, "removed the required property")],
)
def test_a_planted_break_is_seen(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    assert said in oasdiff.breaks(FILE, changed(tmp_path, change))


@compared
def test_what_is_only_more_breaks_nothing(tmp_path: Path) -> None:
    assert oasdiff.breaks(FILE, FILE) == ""
    assert oasdiff.breaks(FILE, changed(tmp_path, added)) == ""


@compared
def test_a_break_that_is_allowed_by_its_line_passes_and_no_other(tmp_path: Path) -> None:
    new = changed(tmp_path, taken_away)
    said = oasdiff.breaks(FILE, new)
    line = next(line for line in said.splitlines() if "API removed" in line)
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(f"Nobody ever asked for it.\n{line.partition(', ')[2]}\n")
    assert oasdiff.breaks(FILE, new, allowed) == ""
    assert "became required" in oasdiff.breaks(FILE, changed(tmp_path, asked_for), allowed)


def test_the_file_of_an_unknown_commit_is_none() -> None:
    assert oasdiff.before("0000000000000000000000000000000000000000") is None
