"""JSONTestSuite as bodies: what is no JSON is 400 everywhere, what is gets an answer, and nothing is a 5xx."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from api.binding import decode_body
from core.errors import BadInput
from tests.support.desk import Desk, problem

pytestmark = pytest.mark.anyio

FILE: Final = Path(__file__).resolve().parents[1] / "fixtures" / "json_parsing" / "vectors.jsonl"
LARGE: Final = {
    "n_structure_100000_opening_arrays.json": b"[" * 100_000,
    "n_structure_open_array_object.json": b'[{"":' * 50_000 + b"\n",
}


def vectors() -> dict[str, bytes]:
    lines = map(json.loads, FILE.read_text().splitlines())
    return {line["name"]: base64.b64decode(line["base64"]) for line in lines} | LARGE


VECTORS: Final = vectors()
NOT_OURS: Final = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
"""JSON, but a key twice in one object says two things: it is refused (semantics of the API)."""
ANYTHING: Final = msgspec.json.Decoder(Any)


def test_the_suite_is_whole() -> None:
    assert len(VECTORS) == 318
    assert {name[:2] for name in VECTORS} == {"n_", "y_", "i_"}
    assert {name for name in NOT_OURS if name in VECTORS} == NOT_OURS


def test_the_decoder_takes_what_is_json_and_nothing_else() -> None:
    """Asked for anything at all, so that no other reason to refuse a document hides what the parser thinks."""
    taken, refused = set(), set()
    for name, body in VECTORS.items():
        try:
            decode_body(body, ANYTHING)
        except BadInput:
            refused.add(name)
        else:
            taken.add(name)
    assert {name for name in taken if name.startswith("n_")} == set()
    assert {name for name in refused if name.startswith("y_")} == NOT_OURS


async def test_a_body_may_begin_with_blanks(desk: Desk) -> None:
    body = b'\r\n\t {"team_id":"%s","title":"Indented"}\n' % desk.team.encode()
    answer = await desk.ask("POST", "/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("operation", ["POST /v1/tasks", "PATCH /v1/tasks/{task}", "POST /v1/tasks/batch"])
async def test_every_document_as_a_body_is_answered_without_an_error_of_ours(desk: Desk, operation: str) -> None:
    method, _, path = operation.partition(" ")
    path = path.format(task=(await desk.task())["id"])
    headers = {"Content-Type": "application/json"}
    for name, body in VECTORS.items():
        answer = await desk.ask(method, path, content=body, headers=headers)
        if name.startswith("n_"):
            problem(answer, 400, "bad-input")
        assert answer.status_code < 500, name
