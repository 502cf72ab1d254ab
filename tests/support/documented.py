"""What the document allows as an answer, to be held against the answers that tests really get."""

import json
import re
from functools import cache
from typing import Any, Final

import httpx
from jsonschema_rs import Draft202012Validator
from msgspec import Struct

from api.endpoints import all_operations
from api.openapi import document
from api.paths import PARAMETER, kind_of
from api.problems import INTERNAL

__all__ = ["RAW", "check_documented"]

RAW: Final = {"taskforge.raw": True}
"""Extensions of a request whose answer is read byte by byte, as it came: it is not looked at."""
FORGOTTEN: Final = {"redacted": True}
JSON: Final = ("application/json", "application/problem+json")
_KINDS: Final = {"uuid": r"[0-9a-fA-F-]{36}", "int": "[0-9]+", "": "[^/]+"}


class Described(Struct, frozen=True):
    """An operation: the schema of what it answers by status and media type; no media type where there is no body."""

    name: str
    path: re.Pattern[str]
    answers: dict[str, dict[str, str]]


async def check_documented(answer: httpx.Response) -> None:
    """Raise AssertionError when an operation answers a status, a code or a body that its description does not have.

    For httpx's hook `response`. What belongs to no operation is not looked at, nor is what a proxy did to a body.
    """
    request = answer.request
    described = _operation(request.method, request.url.path)
    if described is None or request.extensions.get("taskforge.raw") or answer.status_code == INTERNAL.status:
        return  # A mistake of ours is documented nowhere; some tests plant one.
    asked = f"{described.name} answered {answer.status_code}"
    assert str(answer.status_code) in described.answers, f"{asked}, which is not documented"
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    by_media_type = described.answers[str(answer.status_code)]
    if media_type not in JSON or not by_media_type:
        return
    assert media_type in by_media_type, f"{asked} as {media_type}, which is not documented"
    body = json.loads(await answer.aread())
    if body == FORGOTTEN and answer.headers.get("idempotent-replayed") == "true":
        return  # As the header's description says.
    found = next(_validator(by_media_type[media_type]).iter_errors(body), None)
    assert found is None, f"{asked}; its description does not fit: {found} in {json.dumps(body)[:1000]}"


def _operation(method: str, path: str) -> Described | None:
    return next((one for one in _by_method().get(method, ()) if one.path.fullmatch(path)), None)


@cache
def _described() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(document(all_operations()))
    return described


@cache
def _by_method() -> dict[str, list[Described]]:
    """Paths without parameters come first: `/v1/tasks/batch` is no task."""
    described = _described()
    found: dict[str, list[Described]] = {}
    for path, items in sorted(described["paths"].items(), key=lambda item: item[0].count("{")):
        for method, item in items.items():
            answers = {status: _media(answer, described["components"]) for status, answer in item["responses"].items()}
            found.setdefault(method.upper(), []).append(Described(item["operationId"], _pattern(path), answers))
    return found


def _media(answer: dict[str, Any], components: dict[str, Any]) -> dict[str, str]:
    if "$ref" in answer:
        answer = components["responses"][answer["$ref"].rpartition("/")[2]]
    content = answer.get("content", {}).items()
    return {media_type: json.dumps(media["schema"]) for media_type, media in content}


@cache
def _validator(schema: str) -> Draft202012Validator:
    """Made when the first such answer comes: there are many, and most tests see few."""
    components = {"schemas": _described()["components"]["schemas"]}
    return Draft202012Validator({**json.loads(schema), "components": components}, validate_formats=True)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(
        PARAMETER.sub(lambda found: _KINDS[kind_of(found[1])], re.escape(path).replace(r"\{", "{").replace(r"\}", "}"))
    )
