"""A parameter that an operation does not declare, and one that is given twice, is 400 and named: on every operation."""

from typing import Any

import httpx
import pytest

from api.endpoints import all_operations
from api.openapi import Operation
from tests.support.desk import RANDOM, Desk

pytestmark = pytest.mark.anyio

SOCKET = "openLive"
"""A WebSocket: a handshake over plain HTTP is refused before anything is read."""
OPERATIONS = [operation for operation in all_operations() if operation.id != SOCKET]
CLOSED = [operation for operation in OPERATIONS if not operation.open_query]


async def asked(desk: Desk, operation: Operation, query: str, *, signed_in: bool = True) -> httpx.Response:
    values = {"team_id": desk.team, "number": "1", "issuer": "any", "token": "x", "urn": "urn:x"}
    path = operation.path.format_map(_Random(values))
    options: dict[str, Any] = {} if operation.body is None else {"json": operation.body_example}
    headers = desk["owner"].headers if operation.secured and signed_in else {}
    return await desk.client.request(operation.method, f"{path}?{query}", headers=headers, **options)


class _Random(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return RANDOM


def check_named(answer: httpx.Response, name: str) -> None:
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert (problem["code"], problem["parameter"]) == ("bad-input", name), problem


@pytest.mark.parametrize("operation", CLOSED, ids=lambda operation: operation.id)
async def test_a_parameter_that_is_not_declared_is_named(desk: Desk, operation: Operation) -> None:
    declared = [one for one in operation.parameters if one.place == "query"]
    for query, name in (("nonsense=1", "nonsense"), ("LIMIT=1", "LIMIT"), ("status%21%21=open", "status!!")):
        check_named(await asked(desk, operation, query), name)
    for one in declared:
        check_named(await asked(desk, operation, f"{one.name}=x&{one.name}=x"), one.name)
        check_named(await asked(desk, operation, f"{one.name}=x&{one.name.upper()}x=1"), f"{one.name.upper()}x")


@pytest.mark.parametrize("operation", [one for one in CLOSED if one.secured], ids=lambda operation: operation.id)
async def test_who_has_not_signed_in_is_told_that_first(desk: Desk, operation: Operation) -> None:
    assert (await asked(desk, operation, "nonsense=1", signed_in=False)).status_code == 401


async def test_where_others_send_people_to_they_may_add_parameters(desk: Desk) -> None:
    (operation,) = [one for one in OPERATIONS if one.open_query]
    assert operation.id == "finishSignIn"
    answer = await asked(desk, operation, "code=x&state=y&session_state=z&session_state=z")
    assert answer.status_code != 400


async def test_what_memory_answers_is_as_strict(desk: Desk) -> None:
    """The hot path reads queries by itself; it must not know more than the operation declares."""
    task = (await desk.task("hot"))["id"]
    for path in (f"/v1/tasks?team_id={desk.team}", f"/v1/tasks/{task}?x=", f"/v1/teams/{desk.team}/board?x="):
        assert (await desk.client.get(path.partition("?")[0], headers=desk["owner"].headers)).status_code == 200
        answer = await desk.client.get(f"{path}&nonsense=1", headers=desk["owner"].headers)
        assert answer.status_code == 400
