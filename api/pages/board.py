"""The board page at `/` and its files, read once when the app is made and answered from memory.

Every file has a strong ETag (SHA-256 of its bytes) and is revalidated on each load, so a deploy is seen at once and an
unchanged page costs one 304 per file.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blacksheep import Content, Request, Response, Router
from msgspec import Struct

from api.etags import matches
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
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
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


def answer(file: StaticFile, request: Request) -> Response:
    """200 with the file, or 304 when the client has these very bytes (RFC 9110, weak comparison for If-None-Match)."""
    known = request.get_first_header(b"if-none-match")
    headers = [*HEADERS, (b"etag", file.etag)]
    if known is not None and matches(known, file.etag):
        return Response(304, headers)
    return Response(200, headers, Content(file.media_type, file.body))


def register(router: Router, services: "Services") -> None:  # noqa: ARG001 (every register has this signature)
    """Serve the page at `/` and its files under `/assets/board/`."""
    files = read_static(STATIC)
    index = files["index.html"]

    async def page(request: Request) -> Response:
        """The live board page."""
        return answer(index, request)

    async def asset(request: Request) -> Response:
        """A file of the board page."""
        values: Any = request.route_values
        file = files.get(values["name"])
        if file is None or file is index:
            raise NoSuchPath
        return answer(file, request)

    router.add_get("/", page)
    router.add_get("/assets/board/{name}", asset)
