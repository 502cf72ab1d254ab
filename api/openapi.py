"""The OpenAPI 3.1 document, built from a table of operations and the msgspec types they name."""

from typing import Any

from msgspec import Struct

__all__ = ["Operation", "Parameter", "Reply"]


class Parameter(Struct, frozen=True, kw_only=True):
    """A query parameter or request header. `schema` is JSON Schema, `example` optional."""

    name: str
    schema: dict[str, Any]
    description: str
    place: str = "query"
    required: bool = False
    example: Any = None


class Reply(Struct, frozen=True, kw_only=True):
    """A documented answer that is no problem document. `body` is a msgspec type (None: no body)."""

    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    example: Any = None


class Operation(Struct, frozen=True, kw_only=True):
    """One endpoint: `path` as OpenAPI writes it ("/v1/tasks/{task_id}"), its input and every answer it can give.

    `replies` maps success statuses; `problems` are the codes of `api.problems.PROBLEMS` (those that any endpoint of its
    kind can give are added by themselves: 401 when secured, 400, 413 and 415 with a body, 503).
    `body` is the msgspec type of the JSON body; `keyed` says that Idempotency-Key is honoured.
    """

    method: str
    path: str
    id: str
    summary: str
    tag: str
    description: str = ""
    replies: dict[int, Reply]
    problems: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_media_types: tuple[str, ...] = ("application/json",)
    body_example: Any = None
    secured: bool = True
    keyed: bool = False
