"""Schemathesis against the whole system: no 5xx, and nothing that /openapi.json does not say.

`TASKFORGE_FUZZ_EXAMPLES` sets how many random requests each operation gets beside the examples and the systematic ones;
by default fewer, the more operations there are, so that the run stays as short. With `TASKFORGE_FUZZ_LONG` set, `make
proofs` gives each operation 200, and walks along the links between operations (the phase `stateful`) as often.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.endpoints import all_operations
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
IDS = tuple(operation.id for operation in all_operations())
SECONDS = 150
REQUESTS = 840
"""All random requests of a run that nobody asked to be longer or shorter."""
EXAMPLES = os.environ.get("TASKFORGE_FUZZ_EXAMPLES", str(max(4, REQUESTS // len(IDS))))
LONG_EXAMPLES = 200
LONG_SECONDS = 580
"""Less than an access token lives (ten minutes): what is asked after its end proves nothing."""
long = pytest.mark.skipif("TASKFORGE_FUZZ_LONG" not in os.environ, reason="takes hours: set TASKFORGE_FUZZ_LONG")


def explore(
    system: System,
    directory: Path,
    *arguments: str,
    phases: str = "examples,coverage,fuzzing",
    seconds: float = SECONDS,
) -> None:
    """Run Schemathesis as somebody with a team and one thing of each kind; half of the ids it sends are theirs."""
    account = Account(system.url)
    parameters = _owned(account)
    account.http.close()
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
        f"--phases={phases}",
        "--seed=20",
        "--generation-database=none",
        "--continue-on-failure",
        "--warnings=off",
        "--request-timeout=10",
        *arguments,
    ]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


def _owned(account: Account) -> dict[str, str]:
    """The parameters of Schemathesis for a new team with a webhook, and a task, which has a comment and a file."""
    team = account.team("A task")
    task = account.task(team, "A task")["id"]
    comment = account.call("POST", f"/v1/tasks/{task}/comments", body="A *comment*.")["id"]
    attached = account.http.post(f"/v1/tasks/{task}/attachments", files={"file": ("a.txt", b"A file.", "text/plain")})
    assert attached.status_code == 201, attached.text
    hook = account.call("POST", "/v1/webhooks/subscriptions", team_id=team, url="https://hooks.example.com/in")["id"]
    delivery = account.call("POST", f"/v1/webhooks/subscriptions/{hook}/test")["id"]
    return {
        "path.subscription_id": hook,
        "path.delivery_id": delivery,
        "path.team_id": team,
        "query.team_id": team,
        "path.task_id": task,
        "path.column_id": next(iter(account.columns(team).values()))["id"],
        "path.comment_id": comment,
        "path.attachment_id": attached.json()["id"],
    }


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


@pytest.mark.proof
@long
@pytest.mark.timeout(LONG_SECONDS + 30)
@pytest.mark.parametrize("operation", IDS)
def test_no_example_of_many_finds_an_answer_that_is_not_described(
    system: System, tmp_path: Path, operation: str
) -> None:
    arguments = (f"--max-examples={LONG_EXAMPLES}", f"--include-operation-id={operation}")
    explore(system, tmp_path, *arguments, seconds=LONG_SECONDS)


@pytest.mark.proof
@long
@pytest.mark.timeout(LONG_SECONDS + 30)
def test_what_one_answer_names_is_asked_for_as_described(system: System, tmp_path: Path) -> None:
    arguments = [
        f"--max-examples={LONG_EXAMPLES}",
        *(f"--exclude-operation-id={operation}" for operation in ENDS_THE_SESSION),
    ]
    explore(system, tmp_path, *arguments, phases="stateful", seconds=LONG_SECONDS)
