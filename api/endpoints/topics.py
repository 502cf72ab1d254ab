"""What the topics hold, for data teams: the AsyncAPI document, and a page made of it."""

from typing import Final

from blacksheep import Content, Request, Response, Router

from api.answers import json
from api.asyncapi import asyncapi_document
from api.asyncapi_page import page_of
from api.calls import call_of
from api.codings import VARY, Coded
from api.endpoints.docs import FRESH, HTML, POLICY
from api.openapi import Operation
from api.services import Services

__all__ = ["OPERATIONS", "register"]

OPERATIONS: Final[tuple[Operation, ...]] = ()
"""A description is not described."""


def register(router: Router, services: Services) -> None:  # noqa: ARG001 (every register has this signature)
    """/asyncapi.json and /asyncapi."""
    described = asyncapi_document()
    page = page_of(described)
    coded: Coded = {}

    async def get_document(request: Request) -> Response:
        call_of(request).coded = coded
        return json(200, described, (FRESH, VARY))

    async def get_page(request: Request) -> Response:
        call_of(request).coded = coded
        return Response(200, [FRESH, POLICY, VARY], Content(HTML, page))

    router.add_get("/asyncapi.json", get_document)
    router.add_get("/asyncapi", get_page)
