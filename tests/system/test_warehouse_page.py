"""The page about the warehouse keeps its word: its commands run as they stand, over a system with work in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.account import Account
from tests.support.source import ROOT
from tests.support.system import System
from tests.support.warehouse import open_warehouse

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PAGE = (ROOT / "docs" / "warehouse.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def team(account: Account) -> str:
    """A team with a task that is done, one with an assignee, and one that is archived."""
    team = account.team("Ship it", "Ünïcödé 🚀", "Gone")
    done, open_task, gone = [
        task["id"] for task in account.call("GET", f"/v1/tasks?team_id={team}&sort=number")["items"]
    ]
    account.call("POST", f"/v1/tasks/{done}/move", status="in_progress")
    account.call("POST", f"/v1/tasks/{done}/move", status="done")
    me = account.call("GET", "/v1/me")["id"]
    account.call("PATCH", f"/v1/tasks/{open_task}", assignee_id=me, due_on="2026-01-01", estimate=2)
    account.call("POST", f"/v1/tasks/{open_task}/comments", body="Said")
    account.call("DELETE", f"/v1/tasks/{gone}")
    return team


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_every_command_of_the_page_works_as_it_stands(
    system: System, account: Account, team: str, form: str, tmp_path: Path
) -> None:
    key = account.call("POST", "/v1/me/api-keys", name=f"warehouse {form}", scopes=["read"])["token"]
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    script = "\n".join(f"(\n{block})" for block in BLOCKS).replace("--format parquet", f"--format {form}")
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    kafka = f"127.0.0.1:{system.port('kafka')}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=here | {"URL": system.url, "KEY": key, "TEAM": team, "KAFKA": kafka, "PYTHONUTF8": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{team} begun at 1:" in done.stdout
    assert re.search(rf"^{team} at 1:\d+: proven$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^[1-9]\d* events taken$", done.stdout, re.MULTILINE), done.stdout
    assert "differs" not in done.stdout
    for column in ("median_days", "median_hours", "weeks"):
        assert column in done.stdout, "the three questions are answered"
    copy = open_warehouse(tmp_path / "examples" / "warehouse" / "taskforge.duckdb")
    rows = copy.rows("select title, status, archived_at is null from tasks where team = ?", team)
    copy.close()
    assert sorted(rows) == [("Gone", "open", False), ("Ship it", "done", True), ("Ünïcödé 🚀", "open", True)]


def test_the_page_names_what_there_is() -> None:
    assert len(BLOCKS) == 3
    for name in re.findall(r"`(\w+\.(?:py|sql))`", (ROOT / "examples" / "warehouse" / "README.md").read_text()):
        assert list((ROOT / "examples" / "warehouse" / "warehouse").glob(name)), name
