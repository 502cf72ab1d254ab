"""`taskforge import` and `export` in a second terminal, beside the API that serves the same team."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.account import Account
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


def taskforge(system: System, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        system.command(name, *arguments),
        cwd=system.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_import_beside_the_api_is_seen_by_it_and_goes_out_again(system: System, account: Account) -> None:
    team = account.team("Already here")
    board = account.call("GET", f"/v1/teams/{team}/board")
    file = system.directory / "tracker.csv"
    file.write_text("key,title,description,estimate\n" + "".join(f"X-{n},Task {n},,{n}\n" for n in range(250)))
    done = taskforge(system, "import", file, "--team", team)
    assert (done.returncode, done.stdout) == (0, "created 250, updated 0, unchanged 0, failed 0\n"), done.stderr
    seen = eventually(
        lambda: (after := account.call("GET", f"/v1/teams/{team}/board"))["seq"] == board["seq"] + 250 and after,
        "the API follows the import",
    )
    assert [len(column["tasks"]) for column in seen["columns"]] == [251, 0, 0, 0, 0]
    again = taskforge(system, "import", file, "--team", team)
    assert (again.returncode, again.stdout) == (0, "created 0, updated 0, unchanged 250, failed 0\n")

    out = system.directory / "out.jsonl"
    assert taskforge(system, "export", out, "--team", team).returncode == 0
    titles = [json.loads(line)["title"] for line in out.read_text().splitlines()]
    assert titles == ["Already here", *(f"Task {n}" for n in range(250))]
    shown = taskforge(system, "export", "--team", team, "--format", "csv")
    assert shown.stdout.count("\n") == 252
    assert account.call("GET", f"/v1/teams/{team}/board")["seq"] == seen["seq"]


def test_refused_rows_are_named_and_the_exit_code_tells(system: System, account: Account) -> None:
    team = account.team("One")
    file = system.directory / "mixed.csv"
    file.write_text("key,title,description,estimate\n1,Good,,\n2,,,\n3,Bad,,lots\n")
    done = taskforge(system, "import", file, "--team", team)
    assert (done.returncode, done.stdout) == (1, "created 1, updated 0, unchanged 0, failed 2\n")
    assert "row 3: title" in done.stderr
    assert "row 4: estimate" in done.stderr
    assert (system.directory / "mixed.rejects.csv").is_file()


@pytest.mark.parametrize(
    ("text", "words"), [("key,titel\n1,A\n", "unknown column 'titel'"), ("", "empty"), ("title\n\n", "no row")]
)
def test_a_wrong_file_is_one_line_and_no_traceback(system: System, account: Account, text: str, words: str) -> None:
    team = account.team("One")
    file = system.directory / "wrong.csv"
    file.write_text(text)
    done = taskforge(system, "import", file, "--team", team)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_team_is_one_line_and_no_traceback(system: System) -> None:
    for name, *arguments in (
        ("export", "--team", "Nowhere"),
        ("export", "--team", "019a0000-0000-7000-8000-00000000dead"),
    ):
        done = taskforge(system, name, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "o such team" in done.stderr or "no team" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_demo_can_be_logged_in_to(system: System, account: Account) -> None:
    done = taskforge(system, "demo")
    assert done.returncode == 0, done.stderr
    login = json.loads((system.data / "demo.json").read_text())
    assert login["password"] in done.stdout
    token = account.call("POST", "/v1/auth/login", **login)["access_token"]
    teams = account.call("GET", "/v1/teams", headers={"authorization": f"Bearer {token}"})["items"]
    assert [team["name"] for team in teams] == ["Demo"]
    assert "0 tasks added" in taskforge(system, "demo").stdout
