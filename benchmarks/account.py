"""A user over HTTP, and teams full of tasks to measure with."""

from types import TracebackType
from typing import Any, Final, Self

import httpx

__all__ = ["Account", "TITLE"]

TITLE: Final = "Scheduler loses track of executors after a failover of the leading master, number {}"
DESCRIPTION: Final = (
    "When the leading master fails over, the new one learns of running executors from the agents' re-registrations. "
    "An executor that ends in between is never reported to its framework. Keep a list of what is expected."
)
BATCH: Final = 100
PASSWORD: Final = "a long enough password for a benchmark"
STATUSES: Final = ("open", "in_progress", "in_review", "done", "cancelled")


class Account:
    """Signed up at one server; its `headers` are good at every server with the same secret and database."""

    def __init__(self, url: str, email: str = "bench@example.com") -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        self.email = email
        tokens = self._call("POST", "/v1/auth/signup", email=email, password=PASSWORD, name="Benchmark")
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self._http.headers.update(self.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def team(self, number: int, tasks: int) -> tuple[str, list[str]]:
        """A new team with so many tasks: its id and theirs, oldest first."""
        team_id: str = self._call("POST", "/v1/teams", name=f"Team {number}", key=f"T{number}")["id"]
        ids: list[str] = []
        for start in range(0, tasks, BATCH):
            operations = [_creation(index) for index in range(start, min(start + BATCH, tasks))]
            answer = self._call("POST", "/v1/tasks/batch", team_id=team_id, operations=operations)
            ids += [task["id"] for task in answer["items"]]
        return team_id, ids

    def rename(self, team_id: str, task_id: str, title: str) -> None:
        """Change a task: everything cached of its team is stale afterwards."""
        self._call("PATCH", f"/v1/tasks/{task_id}", {"TaskForge-Team": team_id}, title=title)

    def make(self, path: str, body: dict[str, Any], name: str = "id") -> str:
        """The id of what a POST has made, whatever its name is in the answer."""
        return str(self._call("POST", path, **body)[name])

    def attach(self, task_id: str, name: str, content: bytes) -> str:
        """The id of a file that was added to a task."""
        answer = self._http.post(f"/v1/tasks/{task_id}/attachments", files={"file": (name, content)})
        if not answer.is_success:
            raise RuntimeError(f"attaching {name}: {answer.status_code} {answer.text[:500]}")
        return str(answer.json()["id"])

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Any GET, whatever its status."""
        return self._http.get(path, headers=headers)

    def _call(self, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
        answer = self._http.request(method, path, json=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()


def _creation(index: int) -> dict[str, Any]:
    return {
        "op": "create",
        "title": TITLE.format(index),
        "description": DESCRIPTION,
        "status": STATUSES[index % len(STATUSES)],
        "priority": ("high", "low", "none")[index % 3],
        "estimate": index % 8,
    }
