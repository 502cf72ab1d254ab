"""Every operation of the OpenAPI document by a key of every scope: what the document says it takes is what it takes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest

from api.endpoints import all_operations
from api.endpoints.task_docs import COLUMN_ID, TASK, TEAM_ID
from api.openapi import Operation
from core.columns import default_column_id
from core.key_form import write_key
from core.principal import Scope
from tests.support.desk import RANDOM, Desk, problem
from tests.support.files import picture, uploaded
from tests.support.keys import Key, make_key
from tests.support.printed import kept_report
from tests.support.sagas import started

pytestmark = pytest.mark.anyio

MADE_UP = write_key(bytes(32))
IF_SEQ = 117
"""In the examples, where a team is."""
FORM = {"file": ("swept.txt", b"swept", "text/plain")}
REACH = {"read": 0, "write": 1, "admin": 2, "session": 3}
OF_LATE = "2026-02-01T00:00:00Z"
"""In the example of what is sent again."""
HOOKS = "/v1/webhooks/subscriptions"
SECURED = [operation for operation in all_operations() if operation.secured]

WEBHOOKS = {operation.id for operation in SECURED if operation.tag == "Webhooks"}


def needed(operation: Operation) -> str:
    return operation.scope


@pytest.fixture(scope="module")
async def keys(desk: Desk) -> dict[str, Key]:
    """A key of the owner's for each scope."""
    return {scope: await make_key(desk.site, desk["owner"], scope) for scope in get_args(Scope)}


class Place:
    """A team with one of everything that paths and bodies name."""

    def __init__(self, desk: Desk, team: str, ids: Mapping[str, str], seq: int = 0) -> None:
        self._ids = {"team_id": team, "user_id": desk["viewer"].user_id, "number": "1", **ids}
        first = str(default_column_id(UUID(team), "open"))
        examples = {TEAM_ID: team, TASK["id"]: ids.get("task_id", RANDOM), COLUMN_ID: first, IF_SEQ: seq}
        examples[OF_LATE] = datetime.now(UTC).isoformat()
        self._examples: dict[Any, Any] = examples

    @classmethod
    async def open(cls, desk: Desk, operation_id: str) -> "Place":
        team = await desk.new_team()
        await desk.join(team, "owner", "viewer", "viewer")
        task = (await desk.site.task(desk["owner"], team))["id"]
        label = await desk.post(f"/v1/teams/{team}/labels", {"name": "feature", "color": "#d73a4a"})
        invitation = await desk.post(f"/v1/teams/{team}/invitations", {"role": "viewer"})
        operation = await started(desk.site.services.pools, UUID(desk["owner"].user_id), UUID(team))
        column = await desk.post(f"/v1/teams/{team}/columns", {"name": "Swept", "category": "open"})
        comment = await desk.post(f"/v1/tasks/{task}/comments", {"body": "so"})
        ids = {
            "task_id": task,
            "label_id": label.json()["id"],
            "invitation_id": invitation.json()["id"],
            "operation_id": operation,
            "column_id": column.json()["id"],
            "comment_id": comment.json()["id"],
            "attachment_id": await picture(desk, task),
        }
        if operation_id == "completeUpload":
            ids["upload_id"] = await uploaded(desk, task)
        if operation_id in WEBHOOKS:
            hook = await desk.post(HOOKS, {"team_id": team, "url": "https://hooks.example.com/in"})
            ids["subscription_id"] = hook.json()["id"]
            ids["delivery_id"] = (await desk.post(f"{HOOKS}/{ids['subscription_id']}/test")).json()["id"]
        if operation_id == "getReport":
            owner = desk["owner"].user_id
            ids["report_id"] = await kept_report(desk.site.services.pools.worker, owner, team)
        return cls(desk, team, ids, seq=(await desk.get(f"/v1/tasks/{task}")).json()["version"])

    def path(self, operation: Operation) -> str:
        path = operation.path
        while "{" in path:
            name = path.partition("{")[2].partition("}")[0]
            path = path.replace(f"{{{name}}}", self._ids.get(name, RANDOM))
        needed = {
            "listWebhooks": f"?team_id={self._ids['team_id']}",
            "readRecurrence": "?rule=FREQ=DAILY&start=2040-01-01",
        }
        return path + needed.get(operation.id, "")

    def body(self, example: Any) -> Any:
        """The documented example about this team."""
        if isinstance(example, dict):
            return {name: self.body(one) for name, one in example.items()}
        if isinstance(example, list):
            return [self.body(one) for one in example]
        return self._examples.get(example, example)


async def test_the_document_names_scopes_for_every_operation_that_asks_who(desk: Desk) -> None:
    described = (await desk.client.get("/openapi.json")).json()["paths"]
    named = {
        item["operationId"]: item["security"][0]["bearer"]
        for items in described.values()
        for item in items.values()
        if item["security"]
    }
    assert named == {operation.id: [needed(operation)] for operation in SECURED}
    assert set(REACH) == {scope for scopes in named.values() for scope in scopes}


@pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)
async def test_a_key_may_what_its_scope_says_and_no_more(
    desk: Desk, keys: dict[str, Key], operation: Operation
) -> None:
    place = await Place.open(desk, operation.id)
    body = None if operation.body_example is None else place.body(operation.body_example)
    if operation.id == "restoreTask":
        await desk.delete(place.path(operation).removesuffix("/restore"))
    for scope, key in keys.items():
        sent = {"files": FORM} if operation.id == "addAttachment" else {"json": body}
        answer = await desk.client.request(operation.method, place.path(operation), headers=key.headers, **sent)
        if REACH[scope] >= REACH[needed(operation)]:
            # The first one that reaches so far does it; what is done cannot always be done again.
            assert answer.is_success or answer.is_redirect or scope != needed(operation), answer.text
            assert answer.status_code not in {401, 403}, answer.text
            continue
        document = problem(answer, 403, "forbidden")
        if needed(operation) == "session":
            assert document["permission"] == "manage_account"
        else:
            assert f"does not have the scope {needed(operation)}" in document["detail"]


@pytest.mark.parametrize("scope", get_args(Scope))
async def test_deleting_for_good_takes_admin(desk: Desk, keys: dict[str, Key], scope: str) -> None:
    task = await desk.task()
    answer = await desk.client.delete(f"/v1/tasks/{task['id']}?permanent=true", headers=keys[scope].headers)
    assert answer.status_code == (204 if scope == "admin" else 403)
    assert (await desk.get(f"/v1/tasks/{task['id']}")).status_code == (404 if scope == "admin" else 200)


@pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)
async def test_a_made_up_key_gets_nowhere(desk: Desk, operation: Operation) -> None:
    place = Place(desk, RANDOM, {})
    for token in (MADE_UP, MADE_UP[:-1] + "B"):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await desk.client.request(
            operation.method, place.path(operation), json=operation.body_example, headers=headers
        )
        problem(answer, 401, "unauthenticated")
