"""`/schemas`: the JSON Schema of every event's `data`, under the name that its `dataschema` gives.

The name is a URN, the same on every host (`urn:taskforge:schema:<type>:<version>`). Events that were written before
there were URNs name `/schemas/<type>.v<version>.json`, which answers the same.
"""

import inspect
from typing import Any, Final

import msgspec
from blacksheep import Content, Request, Response, Router
from msgspec import Struct

from api import paths
from api.answers import Header, encode, json
from api.binding import no_query, path_value
from api.calls import call_of
from api.openapi import Operation, Reply
from api.paths import pattern
from api.problems import NoSuchPath
from api.services import Services
from core.event_data import OLDER_DATA, data_type
from core.events import EVENT_TYPES
from core.rights import ANYBODY
from streams.cloud_events import schema_urn

__all__ = ["OPERATIONS", "register", "schemas"]

MEDIA_TYPE: Final = b"application/schema+json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
CACHE: Final[tuple[Header, ...]] = ((b"cache-control", b"public, max-age=86400"),)


class EventSchema(Struct, frozen=True):
    """What the `data` of one type of event looks like, and where that is described."""

    urn: str
    type: str
    version: int
    href: str


class EventSchemaPage(Struct, frozen=True):
    """All of them, on one page."""

    items: tuple[EventSchema, ...]
    next_cursor: None = None


_URN: Final = "urn:taskforge:schema:label.deleted:1"
_LIST: Final = {
    "items": [{"urn": _URN, "type": "label.deleted", "version": 1, "href": f"/schemas/{_URN}"}],
    "next_cursor": None,
}
_SCHEMA: Final = {
    "$schema": DIALECT,
    "$id": _URN,
    "title": "label.deleted",
    "type": "object",
    "properties": {"label": {"type": "object", "required": ["id", "name", "color"]}},
    "required": ["label"],
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.SCHEMAS,
        id="listEventSchemas",
        summary="What events look like",
        tag="Events",
        description="Every type of event in its versions, with the address of its schema.",
        replies={
            200: Reply(
                description="Every type of event.", body=EventSchemaPage, headers=("Cache-Control",), example=_LIST
            ),
        },
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="GET",
        path=paths.SCHEMA,
        id="getEventSchema",
        summary="The JSON Schema of an event's data",
        tag="Events",
        description="By the URN in the event's `dataschema`. A version never changes; unknown members may come.",
        replies={
            200: Reply(
                description="JSON Schema, draft 2020-12.",
                body=dict[str, Any],
                media_type=MEDIA_TYPE.decode(),
                headers=("Cache-Control",),
                example=_SCHEMA,
            )
        },
        secured=False,
        requires=ANYBODY,
    ),
)


def schemas() -> dict[str, tuple[EventSchema, bytes]]:
    """By URN: what is listed, and the schema itself."""
    found = {}
    for name, event in EVENT_TYPES.items():
        urn = schema_urn(name, event.schema_version)
        listed = EventSchema(urn, name, event.schema_version, paths.link(paths.SCHEMA, urn).decode())
        found[urn] = (listed, encode(_schema(name, urn, data_type(event), inspect.getdoc(event))))
    for (name, version), (data, about) in OLDER_DATA.items():
        urn = schema_urn(name, version)
        listed = EventSchema(urn, name, version, paths.link(paths.SCHEMA, urn).decode())
        found[urn] = (listed, encode(_schema(name, urn, data, about)))
    return found


def _schema(name: str, urn: str, data: type[Struct], about: str | None) -> dict[str, Any]:
    """The schema of the payload's struct, which stands at the top and loses the name it has in the program."""
    schema = msgspec.json.schema(data, ref_template="#/$defs/{name}")
    definitions = dict(schema["$defs"])
    top = definitions.pop(schema["$ref"].rpartition("/")[2])
    return {
        "$schema": DIALECT,
        "$id": urn,
        **top,
        "title": name,
        **({"description": about} if about else {}),
        "$defs": definitions,
    }


def register(router: Router, services: Services) -> None:  # noqa: ARG001 (every register has this signature)
    """/schemas and what they list."""
    known = schemas()
    listed = encode(EventSchemaPage(tuple(one for one, _ in known.values())))
    bodies = {urn: body for urn, (_, body) in known.items()}
    bodies |= {f"{one.type}.v{one.version}.json": body for one, body in known.values()}

    async def get_schemas(request: Request) -> Response:
        no_query(call_of(request))
        return json(200, listed, CACHE)

    async def get_schema(request: Request) -> Response:
        no_query(call_of(request))
        body = bodies.get(path_value(request, "urn"))
        if body is None:
            raise NoSuchPath
        return Response(200, list(CACHE), Content(MEDIA_TYPE, body))

    router.add_get(pattern(paths.SCHEMAS), get_schemas)
    router.add_get(pattern(paths.SCHEMA), get_schema)
