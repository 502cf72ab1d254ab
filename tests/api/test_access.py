"""Every operation, asked by everybody about their own team, a foreign one and none: the table says what comes.

The cases are made from the operations, so that a new endpoint is swept as soon as it is documented.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api.endpoints import all_operations
from api.multipart import FORM
from api.openapi import Operation
from core.rights import ANYBODY, Requirement
from tests.support.askers import ASKERS, OK, Asker, Scene, expected, keys_of
from tests.support.desk import Desk, new_key
from tests.support.shapes import shape

pytestmark = pytest.mark.anyio

PLACES = ("own", "foreign", "random")
ELSEWHERE = {
    "openLive": "a WebSocket: tests/api/test_live.py",
    "deleteMe": "it takes a password and ends whoever asks: tests/api/test_erasure.py",
    "linkMyIdentity": "needs another issuer: tests/api/test_external_identities.py",
}
"""Operations that cannot be asked like this, and where they are."""

BODIES: dict[str, Any] = {
    "createTask": {"title": "A new task"},
    "batchTasks": {"operations": [{"op": "create", "title": "One of a batch"}]},
    "updateTask": {"title": "Another title"},
    "moveTask": {"status": "done"},
    "createTeam": {"name": "One more", "key": "ONE"},
    "updateTeam": {"name": "Another name"},
    "changeRole": {"role": "member"},
    "createInvitation": {"role": "viewer"},
    "updateColumn": {"wip_limit": 7},
    "moveColumn": {},
    "createLiveTicket": {},
    "createWebhook": {"url": "https://hooks.example.com/in"},
    "changePassword": {"password": "correct horse battery", "new_password": "correct horse battery"},
}
"""What is sent instead of the documented example, which is there for people."""
IN_TEAM = {"createTask", "batchTasks", "createLiveTicket", "createWebhook"}
"""Those that name their team in the body."""
QUERIES = {
    "listTasks": "team_id={team_id}",
    "listWebhooks": "team_id={team_id}",
    "revokeMySessions": "others=true",
    "readEvents": "after=0",
    "readRecurrence": "rule=FREQ=DAILY&start=2040-01-01",
}

Case = tuple[Operation, str, Requirement]


def cases() -> list[Case]:
    """Each operation plain, with a hint at a foreign team, with a key where it takes one, and with certain queries."""
    found = []
    for operation in all_operations():
        if operation.id in ELSEWHERE or operation.requires in (None, ANYBODY):
            continue
        variants = ["", "hinted", *(("keyed",) if operation.keyed else ())]
        found += [(operation, variant, operation.requires) for variant in variants]
        for query, right in operation.requires.also:
            found.append((operation, query, Requirement("member", right, keys=operation.requires.keys)))
    return found


def varies(operation: Operation) -> bool:
    """Whether the request names a thing that is somebody's."""
    return "{" in operation.path or operation.id in IN_TEAM | {"listTasks", "listWebhooks", "acceptInvitation"}


CASES = cases()
NUMBER = sum(len(ASKERS) * (len(PLACES) if varies(operation) else 1) for operation, *_ in CASES)


@pytest.fixture(scope="module")
async def scene(desk: Desk) -> Scene:
    return await Scene.open(desk)


async def asked(scene: Scene, case: Case, asker: Asker, place: str) -> httpx.Response:
    operation, variant, _ = case
    values = await scene.values(operation, asker, place)
    query = "&".join(filter(None, (QUERIES.get(operation.id, ""), variant if "=" in variant else "")))
    headers = asker.headers(scene.desk)
    if variant == "hinted":
        headers["TaskForge-Team"] = scene.foreign["team_id"]
    if variant == "keyed":
        headers["Idempotency-Key"] = new_key()
    path = operation.path.format_map(values) + ("?" + query.format_map(values) if query else "")
    options = {} if operation.body is None else options_of(scene, operation, values, place)
    return await scene.desk.client.request(operation.method, path, headers=headers, **options)


def options_of(scene: Scene, operation: Operation, values: Any, place: str) -> dict[str, Any]:
    if operation.body_media_types == (FORM,):
        return {"files": {"file": ("swept.txt", b"swept", "text/plain")}}
    return {"json": body_of(scene, operation, values, place)}


def body_of(scene: Scene, operation: Operation, values: Any, place: str) -> Any:
    if operation.id == "acceptInvitation":
        return {"token": scene.lobby if place == "own" else "tfi_" + "A" * 43}
    if operation.id == "createLabel":
        return {"name": f"swept {scene.next()}", "color": "#000000"}
    if operation.id == "undoTask":
        return {"seq": int(values["seq"])}
    if operation.id == "recoverWebhook":
        return {"since": datetime.now(UTC).isoformat()}
    if operation.id == "createColumn":
        return {"name": f"swept {scene.next()}", "category": "open"}
    body = BODIES.get(operation.id, operation.body_example)
    return {"team_id": values["team_id"], **body} if operation.id in IN_TEAM else body


def test_there_are_enough_cases_and_every_operation_is_among_them() -> None:
    assert NUMBER >= 3_000
    swept = {operation.id for operation, *_ in CASES}
    public = {operation.id for operation in all_operations() if operation.requires == ANYBODY}
    assert swept | public | ELSEWHERE.keys() == {operation.id for operation in all_operations()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].id}-{case[1] or 'plain'}")
async def test_everybody_gets_what_the_table_says_and_no_foreign_byte(scene: Scene, case: Case) -> None:
    operation, _, requires = case
    with keys_of(scene.desk):
        for asker in ASKERS:
            answers = {}
            for place in PLACES if varies(operation) else PLACES[:1]:
                answer = answers[place] = await asked(scene, case, asker, place)
                wanted = expected(requires, asker, place, varies=varies(operation))
                wanted_statuses = operation.replies.keys() if wanted == OK else {wanted}
                assert answer.status_code in wanted_statuses, f"{asker.name}, {place}: {answer.text}"
                assert not [secret for secret in scene.secrets if secret in answer.text], f"{asker.name}, {place}"
            if len(answers) > 1:
                assert shape(answers["foreign"]) == shape(answers["random"]), asker.name
