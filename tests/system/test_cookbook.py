"""The cookbook keeps its word: all of it runs, with curl and with HTTPie, and no operation is missing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from api.endpoints import all_operations
from tests.support.cookbook.chapters import CHAPTERS
from tests.support.cookbook.page import PAGE, Program, blocks, page
from tests.support.system import System

STEPS = [step for chapter in CHAPTERS for step in chapter.steps]
BIN = Path(sys.executable).parent
SECONDS = 300
"""Each command of HTTPie is a Python that starts, which takes a busy machine some seconds."""


def test_the_page_says_what_the_document_says() -> None:
    assert PAGE.read_text() == page(), "python -m tests.support.cookbook"


def test_every_operation_is_in_the_cookbook() -> None:
    missing = {operation.id for operation in all_operations()} - {step.operation for step in STEPS}
    assert not missing, "add a Step for each to tests/support/cookbook/chapters.py or board_chapters.py"


@pytest.mark.parametrize("program", get_args(Program))
def test_every_step_has_a_command_of_the_program(program: Program) -> None:
    words = {"curl": "curl ", "httpie": "http "}
    commands = [block for block in blocks(page(), program) if words[program] in block and "mailed()" not in block]
    assert len(commands) == len(STEPS)


@pytest.mark.parametrize("program", get_args(Program))
def test_no_command_hides_that_the_one_before_it_failed(program: Program) -> None:
    # `set -e` does not end a script for what fails before `&&`; the download of an export once failed unseen.
    hiding = [block for block in blocks(page(), program) if "&&" in block and not block.startswith("until ")]
    assert not hiding, "put the commands on lines of their own"


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("program", ["curl", pytest.param("httpie", marks=pytest.mark.proof)])
def test_the_whole_cookbook_runs(system: System, tmp_path: Path, program: Program) -> None:
    found = blocks(PAGE.read_text(), program)
    # A mark before each block names the one that failed; every command of a pipe must succeed.
    marked = "\n".join(f"echo '--- block {number}'\n{block}" for number, block in enumerate(found))
    # HTTPie would ask its makers for a newer version, in a process that it leaves behind.
    (tmp_path / "config.json").write_text(json.dumps({"disable_update_warnings": True}))
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": path, "HOME": str(tmp_path), "HTTPIE_CONFIG_DIR": str(tmp_path), "BASE": system.url}
    with (tmp_path / "said").open("w+") as said:
        code = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", marked],
            env=here,
            cwd=tmp_path,
            stdout=said,
            stderr=said,
            check=False,
            timeout=SECONDS,
        ).returncode
        said.seek(0)
        text = said.read()
    began = text.count("--- block ")
    assert code == 0, f"{found[began - 1]}\n{text[-3000:]}"
    assert began == len(found)
