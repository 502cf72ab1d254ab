"""The description is complete, valid, and about the routes there are."""

import asyncio
import json
import re
import sys
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.app import create_app
from api.endpoints import all_operations
from api.openapi import document
from api.problems import known_problems
from tests.support.desk import Desk

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document(all_operations()))
    return parsed


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, item) for path, items in described["paths"].items() for method, item in items.items()]


def test_the_document_is_valid_openapi_31(described: dict[str, Any]) -> None:
    OPENAPI_31_VALIDATOR.validate(described)
    for schema in described["components"]["schemas"].values():
        Draft202012Validator({**schema, "components": described["components"]})


async def test_every_v1_route_is_described_and_nothing_else(desk: Desk, described: dict[str, Any]) -> None:
    app = create_app(desk.site.services)
    await app.start()
    registered = {
        (re.sub(r"{(?:\w+:)?(\w+)}", r"{\1}", route.pattern.decode()), method.decode().lower())
        for method, routes in app.router.routes.items()
        for route in routes
        if route.pattern.startswith(b"/v1/") and method != b"GET_WS"
    }
    assert {(path, method) for path, method, _ in operations(described) if path.startswith("/v1/")} == registered


def test_operation_ids_are_unique_and_each_has_its_problems(described: dict[str, Any]) -> None:
    ids = [item["operationId"] for _, _, item in operations(described)]
    assert len(set(ids)) == len(ids)
    for path, _, item in operations(described):
        assert item["summary"]
        assert "400" in item["responses"], path
        if item["security"]:
            assert {"401", "503"} <= item["responses"].keys(), path
        if "requestBody" in item:
            assert {"413", "415"} <= item["responses"].keys(), path
        for status, answer in item["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                named = described["components"]["responses"][answer["$ref"].rpartition("/")[2]]
                assert list(named["content"]) == ["application/problem+json"]


def test_only_known_problems_are_named() -> None:
    codes = {problem.code for problem in known_problems()}
    for operation in all_operations():
        assert codes.issuperset(operation.problems), operation.id


async def test_the_document_is_served_and_printed(desk: Desk, described: dict[str, Any]) -> None:
    answer = await desk.client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == described
    script = "import sys; from taskforge.commands.openapi import run; sys.exit(run(None, None))"
    printing = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    printed, _ = await printing.communicate()
    assert (printing.returncode, json.loads(printed)) == (0, described)


async def test_swagger_ui_is_served_from_local_files_only(desk: Desk) -> None:
    page = await desk.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/docs/")
        assert (await desk.client.get(link)).status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await desk.client.get("/docs/secrets.txt")).status_code == 404
    assert (await desk.client.get("/docs/..%2f..%2fdocs.py")).status_code == 404


async def test_real_answers_fit_their_schemas(desk: Desk, described: dict[str, Any]) -> None:
    task = await desk.task(due_at="2026-03-01T00:00:00Z")
    reads = {
        "Task": f"/v1/tasks/{task['id']}",
        "TaskPage": "/v1/tasks",
        "Board": f"/v1/teams/{desk.team}/board",
        "ActivityPage": f"/v1/tasks/{task['id']}/activity",
        "TeamPage": "/v1/teams",
        "TeamAnswer": f"/v1/teams/{desk.team}",
        "MemberPage": f"/v1/teams/{desk.team}/members",
        "LabelPage": f"/v1/teams/{desk.team}/labels",
        "Problem": f"/v1/teams/{desk.team}/nothing",
    }
    for name, path in reads.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator(schema).validate((await desk.get(path)).json())
