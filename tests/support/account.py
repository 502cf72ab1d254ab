"""Somebody with an account who asks the system over HTTP, as a program would."""

import itertools
import ssl
from typing import Any

import httpx

PASSWORD = "correct horse battery staple"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: reading the certificates of all authorities would take 50 ms of each."""

numbers = itertools.count(1)


class Account:
    def __init__(self, url: str) -> None:
        number = next(numbers)
        self.email, self.name = f"person{number}@example.com", f"Person {number}"
        self.http = httpx.Client(base_url=url, timeout=10, verify=NO_TLS)
        tokens = self.call("POST", "/v1/auth/signup", email=self.email, password=PASSWORD, name=self.name)
        self.http.headers["authorization"] = f"Bearer {tokens['access_token']}"

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
        answer = self.http.request(method, path, json=body or None, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def team(self, *titles: str) -> str:
        """A new team whose open column holds tasks with these titles."""
        number = next(numbers)
        team_id: str = self.call("POST", "/v1/teams", name=f"Team {number}", key=f"T{number}")["id"]
        for title in titles:
            self.call("POST", "/v1/tasks", team_id=team_id, title=title)
        return team_id

    def board(self, team_id: str) -> dict[str, list[str]]:
        """Task ids per status, from top to bottom."""
        board = self.call("GET", f"/v1/teams/{team_id}/board")
        return {column["category"]: [task["id"] for task in column["tasks"]] for column in board["columns"]}

    def columns(self, team_id: str) -> dict[str, Any]:
        """The columns by name, in their order."""
        found = self.call("GET", f"/v1/teams/{team_id}/columns")["items"]
        return {column["name"]: column for column in found}

    def limit(self, team_id: str, **limits: int) -> None:
        """The columns of these categories have limits from now on, which are enforced."""
        self.call("PATCH", f"/v1/teams/{team_id}", wip="block")
        for column in self.columns(team_id).values():
            if column["category"] in limits:
                path = f"/v1/teams/{team_id}/columns/{column['id']}"
                self.call("PATCH", path, wip_limit=limits[column["category"]])

    def task(self, team_id: str, title: str) -> Any:
        board = self.call("GET", f"/v1/teams/{team_id}/board")
        return next(task for column in board["columns"] for task in column["tasks"] if task["title"] == title)
