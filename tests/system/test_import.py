"""The main job on real input: three trackers imported by the command, seen over REST and folded from the topic."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.support.account import Account
from tests.support.folding import columns_of, fold
from tests.support.system import System
from tests.support.topic_reader import read_teams

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FILES = {"mesos": 1294, "springxd": 2793, "duracloud": 579}

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.system,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not DATA.is_dir(), reason="the real tasks (../shared/data) are not beside the checkout"),
]


def imported(system: System, account: Account, name: str, team_id: str) -> str:
    """What the import command says at its end."""
    command = system.command("import", str(DATA / f"{name}.csv"), "--team", team_id, "--as", account.email)
    done = subprocess.run(command, cwd=system.directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_every_row_is_a_task_and_a_second_import_changes_nothing(system: System) -> None:
    account = await asyncio.to_thread(Account, system.url)
    teams = {name: await asyncio.to_thread(account.team) for name in FILES}
    for name, rows in FILES.items():
        said = await asyncio.to_thread(imported, system, account, name, teams[name])
        assert f"created {rows}" in said
    boards = {name: await board(account, team_id) for name, team_id in teams.items()}
    for name, rows in FILES.items():
        # What the import committed last was announced before it ended; the API has it within moments.
        async with asyncio.timeout(5):
            while sum(len(column["tasks"]) for column in boards[name]["columns"]) < rows:
                boards[name] = await board(account, teams[name])
        assert sum(len(column["tasks"]) for column in boards[name]["columns"]) == rows
        said = await asyncio.to_thread(imported, system, account, name, teams[name])
        assert f"unchanged {rows}" in said
        assert await board(account, teams[name]) == boards[name], "a second import changed something"
    account.http.close()

    wanted = {teams[name]: boards[name]["seq"] for name in FILES}
    events = await read_teams(f"127.0.0.1:{system.port('kafka')}", wanted)
    for name in FILES:
        assert [event["seq"] for event in events[teams[name]]] == list(range(1, boards[name]["seq"] + 1))
        assert fold(events[teams[name]]) == columns_of(boards[name])


async def board(account: Account, team_id: str) -> dict:  # type: ignore[type-arg]
    found = await asyncio.to_thread(account.call, "GET", f"/v1/teams/{team_id}/board")
    assert isinstance(found, dict)
    return found
