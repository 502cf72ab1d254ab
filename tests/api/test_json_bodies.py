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


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "Utf8", "UTF_8", " utf-8"])
async def test_a_charset_that_is_utf_8_is_none_too_many(desk: Desk, charset: str) -> None:
    headers = {"Content-Type": f"application/json;charset={charset}"}
    body = json.dumps({"team_id": desk.team, "title": "caf\u00e9"}, ensure_ascii=False).encode()
    answer = await desk.ask("POST", "/v1/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json().get("title")) == (201, "caf\u00e9")


@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", '"utf-32"', "iso-8859-1", "", "utf-8-sig", "utf-88"])
@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("POST", "/v1/tasks", "application/json"),
        ("POST", "/v1/tasks/batch", "application/json"),
        ("PATCH", "/v1/tasks/{task}", "application/merge-patch+json"),
        ("PATCH", "/v1/tasks/{task}", "application/json"),
        ("POST", "/v1/tasks/{task}/undo", "application/json"),
        ("POST", "/v1/tasks/{task}/comments", "application/json"),
        ("PATCH", "/v1/teams/{team}", "application/json"),
        ("POST", "/v1/teams/{team}/reports", "application/json"),
        ("POST", "/v1/webhooks/subscriptions", "application/json"),
        ("POST", "/v1/auth/login", "application/json"),
        ("POST", "/v1/auth/refresh", "application/json"),
        ("POST", "/v1/auth/logout", "application/json"),
    ],
)
async def test_any_other_charset_is_refused_with_what_would_do(
    desk: Desk, charset: str, method: str, path: str, media_type: str
) -> None:
    if "{task}" in path:
        path = path.replace("{task}", (await desk.task())["id"])
    headers = {"Content-Type": f"{media_type}; boundary=x; Charset={charset}"}
    answer = await desk.ask(method, path.replace("{team}", desk.team), content=b'{"a":1}', headers=headers)
    assert "in UTF-8: say so, or leave the charset out." in problem(answer, 415, "unsupported-media-type")["detail"]


def test_no_body_of_json_is_read_around_the_door() -> None:
    """Where bodies are decoded, their media type and charset have been judged."""
    api = Path(__file__).resolve().parents[2] / "api"
    callers = {path.name for path in api.rglob("*.py") if "decode_body(" in path.read_text()}
    assert callers == {"binding.py"}


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
