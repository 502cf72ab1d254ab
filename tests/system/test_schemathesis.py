"""Schemathesis against the whole system: no 5xx, and nothing that /openapi.json does not say.

`TASKFORGE_FUZZ_EXAMPLES` sets how many random requests each operation gets (default 12) beside the examples and the
systematic ones.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.account import Account
from tests.support.system import System

pytestmark = pytest.mark.system

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
ENDS_THE_SESSION = ("logOut", "revokeMySessions", "revokeMySession")
SECONDS = 150
EXAMPLES = os.environ.get("TASKFORGE_FUZZ_EXAMPLES", "12")


def explore(system: System, directory: Path, *arguments: str) -> None:
    """Run Schemathesis as somebody with a team and a task; half of the ids it sends are theirs."""
    account = Account(system.url)
    team = account.team("A task")
    task = next(task for tasks in account.board(team).values() for task in tasks)
    account.http.close()
    parameters = {"path.team_id": team, "path.task_id": task, "query.team_id": team}
    lines = ["[parameters]", *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items())]
    config = directory / "schemathesis.toml"
    config.write_text("\n".join(lines))
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={config}",
        "run",
        f"{system.url}/openapi.json",
        f"--header=Authorization: {account.http.headers['authorization']}",
        f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        "--seed=20",
        "--generation-database=none",
        "--continue-on-failure",
        "--warnings=off",
        "--request-timeout=10",
        *arguments,
    ]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


@pytest.mark.timeout(SECONDS + 30)
def test_every_operation_answers_as_described(system: System, tmp_path: Path) -> None:
    explore(
        system,
        tmp_path,
        f"--max-examples={EXAMPLES}",
        *(f"--exclude-operation-id={operation}" for operation in ENDS_THE_SESSION),
    )


@pytest.mark.timeout(SECONDS + 30)
def test_the_operations_that_end_sessions_answer_as_described(system: System, tmp_path: Path) -> None:
    explore(
        system, tmp_path, f"--max-examples={EXAMPLES}", *(f"--include-operation-id={one}" for one in ENDS_THE_SESSION)
    )
