"""The API's description: the OpenAPI document, Swagger UI from local files, and a page for every problem type."""

from html import escape
from pathlib import Path
from typing import Final

import swagger_ui_bundle
from blacksheep import Content, Request, Response, Router

from api.answers import json
from api.binding import path_value
from api.calls import call_of
from api.codings import VARY, Coded
from api.openapi import Operation, document
from api.problems import NoSuchPath, Problem, known_problems
from api.services import Services

__all__ = ["OPERATIONS", "register"]

OPERATIONS: Final[tuple[Operation, ...]] = ()
"""The description does not describe itself."""

PNG: Final = b"image/png"
ASSETS: Final = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-16x16.png": PNG,
}
STATIC: Final = Path(__file__).parent / "static"
CACHE: Final = (b"cache-control", b"public, max-age=86400")
FRESH: Final = (b"cache-control", b"no-cache")
POLICY: Final = (
    b"content-security-policy",
    (
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
)
HTML: Final = b"text/html; charset=utf-8"
PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    "<style>:root{{color-scheme:light dark}}"
    "body{{font:16px/1.6 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem}}"
    "code{{background:#8883;padding:.1em .3em;border-radius:.2em}}</style>"
    "<h1>{title}</h1><p>Status <code>{status}</code>, code <code>{code}</code></p><p>{about}</p></html>"
)


def register(router: Router, services: Services) -> None:  # noqa: ARG001 (every register has this signature)
    """/openapi.json, /docs with its files, /problems/{code}."""
    from api.endpoints import all_operations

    described = document(all_operations())
    folder = Path(swagger_ui_bundle.swagger_ui_path)
    files = {name: (kind, (folder / name).read_bytes()) for name, kind in ASSETS.items()}
    files["docs.js"] = (b"text/javascript; charset=utf-8", (STATIC / "docs.js").read_bytes())
    page = (STATIC / "docs.html").read_bytes()
    problems = {problem.code: problem for problem in known_problems()}

    coded: Coded = {}

    async def get_document(request: Request) -> Response:
        call_of(request).coded = coded
        return json(200, described, (FRESH, VARY))

    async def get_page() -> Response:
        return Response(200, [FRESH, POLICY], Content(HTML, page))

    async def get_asset(request: Request) -> Response:
        found = files.get(path_value(request, "name"))
        if found is None:
            raise NoSuchPath
        if found[0] != PNG:  # Which is compressed already.
            call_of(request).coded = coded
        return Response(200, [CACHE, VARY], Content(*found))

    async def get_problem(request: Request) -> Response:
        problem = problems.get(path_value(request, "code"))
        if problem is None:
            raise NoSuchPath
        return Response(200, [CACHE, POLICY], Content(HTML, page_about(problem)))

    router.add_get("/openapi.json", get_document)
    router.add_get("/docs", get_page)
    router.add_get("/docs/{name}", get_asset)
    router.add_get("/problems/{code}", get_problem)


def page_about(problem: Problem) -> bytes:
    """What the `type` of a problem document leads to."""
    title, code, about = escape(problem.title), escape(problem.code), escape(problem.about)
    return PAGE.format(title=title, status=problem.status, code=code, about=about).encode()
