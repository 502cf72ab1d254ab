"""The OpenAPI 3.1 document, built from a table of operations and the msgspec types they name.

https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from api.limits.policies import LimitClass
from api.limits.rules import is_exempt
from api.paging import LONGEST_CURSOR
from api.paths import KINDS, PARAMETER, kind_of
from api.problem_examples import problem_examples
from api.problem_schema import SCHEMA
from api.problems import HEADERS, known_problems
from core.principal import Scope
from core.rights import Requirement
from core.seq import POSITION

__all__ = [
    "IF_MATCH",
    "IF_NONE_MATCH",
    "MIN_SEQ",
    "PAGE",
    "POSITION_SCHEMA",
    "TEAM_HINT",
    "Operation",
    "Parameter",
    "Reply",
    "document",
]


DISTRIBUTION: Final = "taskforge-server"
"""Our name among installed packages; `taskforge` alone is another project's on the public index."""


class Parameter(Struct, frozen=True, kw_only=True):
    """A query parameter or request header. `schema` is JSON Schema, `example` optional."""

    name: str
    schema: dict[str, Any]
    description: str
    place: str = "query"
    required: bool = False
    example: Any = None


class Reply(Struct, frozen=True, kw_only=True):
    """A documented answer that is no problem document. `body` is a msgspec type (None: no body).

    `also` has further media types that can be asked for, each with an example of its text.
    """

    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    example: Any = None
    also: Mapping[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """One endpoint: `path` as OpenAPI writes it ("/v1/tasks/{task_id}"), its input and every answer it can give.

    `replies` maps success statuses; `problems` are the codes of `api.problems.PROBLEMS` (those that any endpoint of its
    kind can give are added by themselves: 401 when secured, 400, 413 and 415 with a body, 503).
    `body` is the msgspec type of the JSON body, which may be left out unless `body_required`; `keyed` says that
    Idempotency-Key is honoured. `requires` is what it
    takes of whoever asks; a test finds those that do not say it. `limit` names a class of endpoints that may be asked
    less often than others (`api.limits.policies`). Query parameters beyond `parameters` are refused, except with
    `open_query`: where programs of others send people to, they may add some of their own (RFC 6749, 4.1.2).
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
    body_required: bool = True
    secured: bool = True
    keyed: bool = False
    requires: Requirement | None = None
    limit: LimitClass | None = None
    open_query: bool = False

    @property
    def scope(self) -> Scope | Literal["session"]:
        """What an API key must have; with "session" no key is enough."""
        if self.requires is None or not self.requires.keys:
            return "session"
        return self.requires.right.scope if self.requires.right is not None else self.requires.scope or "read"


POSITION_SCHEMA: Final = {"type": "string", "pattern": f"^{POSITION}$"}
MIN_SEQ: Final = Parameter(
    name="TaskForge-Min-Seq",
    place="header",
    schema=POSITION_SCHEMA,
    description="Answer at this `seq` of the team or later: what you wrote, you read. As `<epoch>:<seq>` it names its "
    "epoch, too; a bare number is of the current one.",
)
TEAM_HINT: Final = Parameter(
    name="TaskForge-Team",
    place="header",
    schema={"type": "string", "format": "uuid"},
    description="The team, if you know it: a hint for routers and caches, never a right.",
)
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match",
    place="header",
    schema={"type": "string"},
    description="The ETag you have; 304 when it is still true.",
    example='"117"',
)
IF_MATCH: Final = Parameter(
    name="If-Match",
    place="header",
    schema={"type": "string"},
    description="The ETag you saw, several, or `*`; 412 when the task has changed since. Weak ETags never match.",
    example='"117"',
)
IDEMPOTENCY_KEY: Final = Parameter(
    name="Idempotency-Key",
    place="header",
    schema={"type": "string", "pattern": "^[A-Za-z0-9_-]{16,255}$"},
    description="Makes a retry safe: the same key and request get the same answer, kept for 7 days; "
    "one with a secret in it (a token, a ticket) for ten minutes.",
    example="019a3b1e-7e00-7000-8000-0000000000ff",
)
PAGE: Final = (
    Parameter(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
        description="Most items in a page.",
    ),
    Parameter(
        name="cursor",
        schema={"type": "string", "minLength": 1, "maxLength": LONGEST_CURSOR},
        description="`next_cursor` of the page before.",
    ),
)

_HEADERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "X-Request-ID": ("The request's id: yours when it was well-formed.", {"type": "string"}),
    "TaskForge-Team": ("The team this is about.", {"type": "string", "format": "uuid"}),
    "TaskForge-Seq": ("The team's event number at which this is true.", {"type": "integer"}),
    "TaskForge-Epoch": ("The history of the team that this is of: a restore begins another one.", {"type": "integer"}),
    "TaskForge-Warning": (
        'The change was made, and a column holds more than its limit since: `wip-limit;column="<id>"`, or several.',
        {"type": "string"},
    ),
    "ETag": ("For If-Match and If-None-Match.", {"type": "string"}),
    "Location": ("Where the new thing is.", {"type": "string"}),
    "Cache-Control": ("Who may keep it.", {"type": "string"}),
    "Content-Range": ("Which part of the file it is.", {"type": "string"}),
    "Accept-Ranges": ("Parts can be asked for.", {"type": "string"}),
    "Content-Disposition": ("A file to be saved, and its name.", {"type": "string"}),
    "Content-Security-Policy": ("Nothing in it runs.", {"type": "string"}),
    "Idempotent-Replayed": (
        (
            "`true`: this is the stored answer of an earlier request. What it showed and is deleted for good since is "
            'not in it any more: then the body is `{"redacted": true}`.'
        ),
        {"type": "string"},
    ),
    "Retry-After": ("Seconds to wait.", {"type": "integer"}),
    "RateLimit-Policy": (
        'How often you may ask, as `"name";q=<requests>;w=<seconds>`, or several of these.',
        {"type": "string"},
    ),
    "RateLimit": (
        'What is left of it, as `"name";r=<requests>;t=<seconds>`: so many requests for so many seconds.',
        {"type": "string"},
    ),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string"}),
}
_COMPONENT: Final = "#/components/schemas/{name}"


def document(operations: Sequence[Operation]) -> bytes:
    """The document of these operations as JSON. Raises KeyError for a problem code or header that is not known."""
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    tags = dict.fromkeys(operation.tag for operation in operations)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "TaskForge",
                "version": version(DISTRIBUTION),
                "description": "Task management for teams: one team, one writer, one gap-free sequence.",
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": tag} for tag in tags],
            "paths": paths,
            "components": _components(operations, components),
        }
    )


def _components(operations: Sequence[Operation], schemas: dict[str, Any]) -> dict[str, Any]:
    """What operations share."""
    return {
        "schemas": {**schemas, "Problem": SCHEMA},
        "responses": {
            _name(status, codes): _problem(status, codes)
            for operation in operations
            for status, codes in _problems_of(operation)
        },
        "examples": _problem_examples(),
        "headers": {name: {"description": about, "schema": schema} for name, (about, schema) in _HEADERS.items()},
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT or API key",
                "description": "An access token, or an API key (`tfk_…`) of the scope that an operation names: "
                "`read`, `write` or `admin`. Where it says `session`, only an access token will do.",
            }
        },
    }


def _schemas(operations: Iterable[Operation]) -> tuple[dict[int, Any], dict[str, Any]]:
    """The schema of every type by its id(), and the components they refer to."""
    types: dict[int, Any] = {}
    for operation in operations:
        for kind in (operation.body, *(reply.body for reply in operation.replies.values())):
            if kind is not None:
                types[id(kind)] = kind
    schemas, components = msgspec.json.schema_components(types.values(), ref_template=_COMPONENT)
    return dict(zip(types, schemas, strict=True)), components


def _operation(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(operation.path), *map(_parameter, _all_parameters(operation))],
        "responses": _responses(operation, schemas),
        # Names of what a caller needs, as OpenAPI 3.1 allows for schemes that are not OAuth's.
        "security": [{"bearer": [operation.scope]}] if operation.secured else [],
    }
    if operation.requires is not None:
        described["x-required-permission"] = _required(operation.requires)
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        media: dict[str, Any] = {"schema": schemas[id(operation.body)]}
        if operation.body_example is not None:
            media["example"] = operation.body_example
        described["requestBody"] = {
            "required": operation.body_required,
            "content": dict.fromkeys(operation.body_media_types, media),
        }
    return described


def _required(requires: Requirement) -> dict[str, Any]:
    """Who may ask: members by which permission, API keys by which scope; `also` what certain queries take."""
    shown: dict[str, Any] = {"who": requires.who}
    if requires.right is not None:
        shown |= {"permission": requires.right.permission, "scope": requires.right.scope}
    elif requires.scope is not None:
        shown["scope"] = requires.scope
    if not requires.keys:
        shown["api_keys"] = False
    if requires.unless_oneself:
        shown["unless_oneself"] = True
    if requires.also:
        shown["also"] = {
            query: {"permission": right.permission, "scope": right.scope} for query, right in requires.also
        }
    return shown


def _all_parameters(operation: Operation) -> tuple[Parameter, ...]:
    return (*operation.parameters, IDEMPOTENCY_KEY) if operation.keyed else operation.parameters


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": KINDS[kind_of(name)]}
        for name in PARAMETER.findall(path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return described if parameter.example is None else {**described, "example": parameter.example}


def _responses(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    responses = {str(status): _reply(operation, reply, schemas) for status, reply in operation.replies.items()}
    for status, codes in _problems_of(operation):
        responses[str(status)] = {"$ref": f"#/components/responses/{_name(status, codes)}"}
    return responses


def _problems_of(operation: Operation) -> Iterator[tuple[int, list[str]]]:
    """Each status with which problems are answered that no reply has already, and the codes that come with it."""
    status_of = {problem.code: problem.status for problem in known_problems()}
    codes = sorted(_codes(operation), key=lambda code: (status_of[code], code))
    for status, of_status in groupby(codes, key=status_of.__getitem__):
        if status not in operation.replies:
            yield status, list(of_status)


def _name(status: int, codes: list[str]) -> str:
    """The component for such answers: many operations share it."""
    return ".".join((str(status), *codes))


_OF_EVERY: Final = ("X-Request-ID", "RateLimit-Policy", "RateLimit")
_OF_ANY: Final = ("bad-input", "body-too-large", "method-not-allowed", "address-too-long", "header-too-large")


def _codes(operation: Operation) -> dict[str, None]:
    """The problems of an operation: its own, and those that any of its kind can have."""
    codes = dict.fromkeys((*operation.problems, *_OF_ANY))
    if not is_exempt(operation.path):
        codes |= dict.fromkeys(("rate-limited",))
    if operation.secured:
        # A token of another issuer may name an address that is another account's.
        codes |= dict.fromkeys(("unauthenticated", "conflict"))
        if operation.scope != "read":
            codes |= dict.fromkeys(("forbidden",))
    if operation.body is not None:
        codes |= dict.fromkeys(("unsupported-media-type", "unsupported-content-coding", "body-too-slow"))
    if "{" in operation.path:
        codes |= dict.fromkeys(("not-found", "no-such-path"))
    if operation.keyed:
        codes |= dict.fromkeys(("idempotency-key-reused", "idempotency-key-in-flight"))
    if operation.secured or operation.body is not None:
        unavailable = ("unavailable", "storage-unavailable", "overloaded", "deadline-exceeded", "shutting-down")
        codes |= dict.fromkeys(unavailable)
    return codes


def _reply(operation: Operation, reply: Reply, schemas: dict[int, Any]) -> dict[str, Any]:
    names = (*_OF_EVERY, *reply.headers, *(("Idempotent-Replayed",) if operation.keyed else ()))
    described: dict[str, Any] = {"description": reply.description, "headers": _headers(names)}
    if reply.body is not None:
        media: dict[str, Any] = {"schema": schemas[id(reply.body)]}
        if reply.example is not None:
            media["example"] = reply.example
        texts = {name: {"schema": {"type": "string"}, "example": text} for name, text in reply.also.items()}
        described["content"] = {reply.media_type: media, **texts}
    return described


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    """All problems that have this status here: which codes, what each says and what to do about it."""
    about = {problem.code: problem.about for problem in known_problems()}
    problem = {"$ref": "#/components/schemas/Problem"}
    media = {
        "schema": {"allOf": [problem, {"properties": {"code": {"enum": codes}}}]},
        "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
    }
    return {
        "description": "\n".join(f"- `{code}`: {about[code]}" for code in codes),
        "headers": _headers((*_OF_EVERY, *HEADERS.get(status, ()))),
        "content": {"application/problem+json": media},
    }


def _problem_examples() -> dict[str, Any]:
    """`components/examples`: one for every code."""
    about = {problem.code: problem.about for problem in known_problems()}
    return {code: {"summary": about[code], "value": value} for code, value in problem_examples().items()}


def _headers(names: Sequence[str]) -> dict[str, Any]:
    unknown = set(names) - _HEADERS.keys()
    if unknown:
        raise KeyError(f"no description of the headers {sorted(unknown)}")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
