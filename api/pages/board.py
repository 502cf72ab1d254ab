"""The board page at `/`, where links in mails lead too, the pages beside it, and their files: answered from memory.

Every file has an ETag (SHA-256 of its bytes) and is revalidated on each load, so a deploy is seen at once and an
unchanged page costs one 304 per file. What is compressed for one client is kept for all.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blacksheep import Content, Request, Response, Router
from msgspec import Struct

from api.calls import call_of
from api.codings import VARY, Coded
from api.etags import matches
from api.paths import ACCOUNT_PAGE, PAGES, TEAM_SETTINGS_PAGE, WEBHOOKS_PAGE
from api.problems import NoSuchPath

if TYPE_CHECKING:
    from api.services import Services

__all__ = ["StaticFile", "answer", "read_static", "register"]

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
POLICY: Final = (
    b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types comments"
)
"""Text becomes markup by the policy `comments` of `markup.js` alone."""
HEADERS: Final = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    VARY,
)


class StaticFile(Struct, frozen=True):
    """A file as it is answered: its bytes, their media type and their quoted ETag."""

    body: bytes
    media_type: bytes
    etag: bytes


def read_static(folder: Path) -> dict[str, StaticFile]:
    """The folder's files by name. Raises KeyError for a kind of file that `TYPES` does not know."""
    return {path.name: _read(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    return StaticFile(body, TYPES[path.suffix], etag)


def answer(file: StaticFile, request: Request, coded: Coded) -> Response:
    """200 with the file, or 304 when the client has it (RFC 9110, weak comparison for If-None-Match).

    `coded` keeps the file in the codings that were asked for.
    """
    known = request.get_first_header(b"if-none-match")
    if known is not None and matches(known, file.etag):
        weak = b"W/" + file.etag  # As it came with a compressed answer.
        return Response(304, [*HEADERS, (b"etag", weak if weak in known else file.etag)])
    call_of(request).coded = coded
    return Response(200, [*HEADERS, (b"etag", file.etag)], Content(file.media_type, file.body))


def register(router: Router, services: "Services") -> None:  # noqa: ARG001 (every register has this signature)
    """Serve the pages, and their files under `/assets/board/`."""
    files = read_static(STATIC)
    coded = dict[tuple[bytes, int], tuple[bytes, bytes]]()

    def page(name: str) -> Callable[[Request], Awaitable[Response]]:
        file = files.pop(name)

        async def show(request: Request) -> Response:
            return answer(file, request, coded)

        return show

    async def asset(request: Request) -> Response:
        """A file of the pages; the pages themselves have paths of their own."""
        values: Any = request.route_values
        file = files.get(values["name"])
        if file is None:
            raise NoSuchPath
        return answer(file, request, coded)

    board = page("index.html")
    for path in PAGES:
        router.add_get(path, board)
    router.add_get(ACCOUNT_PAGE, page("account.html"))
    router.add_get(TEAM_SETTINGS_PAGE, page("team-settings.html"))
    router.add_get(WEBHOOKS_PAGE, page("webhooks.html"))
    router.add_get("/assets/board/{name}", asset)
