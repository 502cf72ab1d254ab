"""The README keeps its word: its commands run as they stand, in order, on a system that was just started."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import ROOT
from tests.support.system import System

pytestmark = pytest.mark.system
README = (ROOT / "README.md").read_text()


def blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
@pytest.mark.timeout(180)
def test_every_command_of_the_tour_works_as_it_stands(system: System, tmp_path: Path) -> None:
    assert len(blocks()) >= 9
    # After each block a mark, so that a failure names the block; every command of a pipe must succeed.
    marked = "\n".join(f"{block}\necho '--- block {number} done'" for number, block in enumerate(blocks(), start=1))
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", marked],
        env=here | {"BASE": system.url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("--- block") == len(blocks())
    for seen in ("taskforge-seq: 3", "location: /v1/tasks/", 'etag: "3"'):
        assert seen in done.stderr.lower(), "the tour shows the headers it explains"
    for seen in ("idempotent-replayed: true", "HTTP/1.1 304", "HTTP/1.1 412", '"conflicts"', "204 No Content"):
        assert seen in done.stdout
    assert "event: task.deleted" in done.stdout


def test_the_tour_shows_every_verb() -> None:
    commands = "".join(blocks())
    for verb in ("/v1/auth/signup", "If-None-Match", "-X PATCH", "/move", "/batch", "-X DELETE", "/restore", "events"):
        assert verb in commands


def test_the_commands_that_are_named_exist() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "taskforge", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in set(re.findall(r"`?taskforge (import|export|demo|doctor|up|events)\b", README)):
        assert re.search(rf"^\s+{name}\s", listed, flags=re.MULTILINE), name
    verbs = (ROOT / "Makefile").read_text()
    for verb in set(re.findall(r"`make ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text())):
        assert re.search(rf"^{verb}:", verbs, flags=re.MULTILINE), verb


def test_links_inside_the_documents_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), f"{name}: {target}"
