"""`/v1/objects/{token}`: an object for whoever has its signed address, or a place for one, if its user may still."""

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from blacksheep import Request, Response, Router
from blacksheep.contents import StreamedContent
from msgspec import Meta, Struct

from api import paths
from api.answers import Header, empty
from api.binding import no_query, path_value
from api.calls import BodyTooLarge, call_of
from api.etags import fresh
from api.incoming_files import store_errors
from api.object_links import LINK_SECONDS
from api.openapi import Operation, Reply
from api.paths import pattern
from api.ranges import NOT_SATISFIABLE, part_of
from api.services import Services
from core.errors import BadInput, NotFound
from core.file_types import BYTES, PICTURES
from core.rights import ANYBODY
from db import objects
from db.object_store import ObjectMissing, ObjectTooLarge, attachment
from db.objects import Object
from db.thumbnails import THUMBNAIL_TYPE
from db.transaction import reading
from db.uploads import find_upload, sent_key

__all__ = ["OPERATIONS", "register"]

HAND_ON_SECONDS: Final = 60.0
"""How long the store's own address is good to which we redirect; it begins to be used at once."""

FILE_HEADERS: Final = ("Content-Disposition", "Cache-Control", "Content-Security-Policy", "Accept-Ranges", "ETag")
FileBody = Annotated[str, Meta(extra_json_schema={"format": "binary"}, description="The file.")]

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.OBJECT,
        id="getObject",
        summary="Download an object by its signed address",
        tag="Operations",
        description=(
            f"The address comes from another answer (a `download_url`), is good for {LINK_SECONDS} seconds, and is all "
            "that it takes: no token is asked for. It is judged when it is used. One that is wrong, over, for another "
            "method, for an object that has gone, or of somebody who may not have it any more is a 404. Where the "
            "store hands objects out itself, the answer is a redirect. One range of bytes may be asked for, and "
            "`If-Range` by ETag, which is the digest. Only PNG, JPEG, GIF and WebP are shown by browsers; all else is "
            "a file to be saved. `If-None-Match` with the ETag is a 304."
        ),
        replies={
            200: Reply(
                description="The object, as a file to be saved.",
                media_type="application/octet-stream",
                headers=FILE_HEADERS,
            ),
            206: Reply(
                description="The part of it that Range asks for.",
                media_type="application/octet-stream",
                headers=("Content-Range", *FILE_HEADERS),
            ),
            304: Reply(description="You have this already.", headers=("ETag", "Cache-Control")),
            302: Reply(description="Where the store hands it out.", headers=("Location", "Cache-Control")),
        },
        problems=("not-found", NOT_SATISFIABLE, "unavailable", "storage-unavailable"),
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="PUT",
        path=paths.OBJECT,
        id="putObject",
        summary="Send a file to its signed address",
        tag="Operations",
        description=(
            f"The address comes from `beginUpload`, is good for {LINK_SECONDS} seconds, and is all that it takes. The "
            "body is the file itself, as long as was announced. Until the upload is completed, it may be sent again."
        ),
        body=FileBody,
        body_media_types=(BYTES,),
        body_example="the file",
        replies={204: Reply(description="It is there: complete the upload.", headers=("Cache-Control",))},
        problems=("not-found", "unavailable", "storage-unavailable"),
        secured=False,
        requires=ANYBODY,
    ),
)

PRIVATE: Final[Header] = (b"cache-control", b"private, no-store")
SANDBOX: Final[Header] = (b"content-security-policy", b"sandbox; default-src 'none'")
"""Whatever is in it runs nothing, should a browser show it after all."""
RANGES: Final[Header] = (b"accept-ranges", b"bytes")


class Shown(Struct, frozen=True):
    """What an address hands out: an object, or its thumbnail."""

    key: str
    media_type: str
    size: int
    disposition: str
    etag: bytes


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    handlers = _Objects(services)
    router.add_get(pattern(paths.OBJECT), handlers.download)
    router.add_put(pattern(paths.OBJECT), handlers.upload)


class _Objects:
    def __init__(self, services: Services) -> None:
        self._pool, self._clock = services.pools.api, services.clock
        self._store, self._links = services.objects, services.object_links

    async def download(self, request: Request) -> Response:
        """GET /v1/objects/{token}. Raises NotFound whatever is wrong, Unavailable when the store does not answer."""
        call = call_of(request)
        no_query(call)
        link = self._links.read(("GET", "IMG"), path_value(request, "token"), self._clock.now().timestamp())
        async with reading(self._pool, link.user_id) as tx:
            found = await objects.find(tx, link.object_id)
        if found is None or self._store is None:
            raise NotFound("object")
        shown = _thumbnail(found) if link.method == "IMG" else _whole(found)
        if fresh(call, shown.etag):
            return empty(304, ((b"etag", shown.etag), PRIVATE))
        try:
            with store_errors():
                # A store's own address is signed for GET alone. Our pages, whose policy knows no other host, show
                # thumbnails and ask for the head of a file to learn its address.
                ours = call.method == "HEAD" or link.method == "IMG"
                address = None if ours else await self._store.address(shown.key, HAND_ON_SECONDS)
                if address is not None:
                    return empty(302, ((b"location", address.encode()), PRIVATE))
                part = part_of(call.headers, shown.etag, shown.size)
                chunks = await self._store.get(shown.key, part)
        except ObjectMissing as error:
            raise NotFound("object") from error
        return _file(shown, chunks, part, bodiless=call.method == "HEAD")

    async def upload(self, request: Request) -> Response:
        """PUT /v1/objects/{token}: the file of an upload, which must be as long as was said."""
        call = call_of(request)
        no_query(call)
        link = self._links.read(("PUT",), path_value(request, "token"), self._clock.now().timestamp())
        async with reading(self._pool, link.user_id) as tx:
            upload = await find_upload(tx, link.user_id, link.object_id)
        if upload is None or upload.key is not None or upload.claimed_size is None or self._store is None:
            raise NotFound("object")
        call.body_limit = upload.claimed_size
        try:
            with store_errors():
                pieces, limit = _no_fewer(call.pieces(), upload.claimed_size), upload.claimed_size
                await self._store.put(sent_key(upload.id), pieces, limit=limit, media_type=BYTES, name=upload.name)
        except ObjectTooLarge as error:
            raise BodyTooLarge(upload.claimed_size) from error
        return empty(204, (PRIVATE,))


async def _no_fewer(pieces: AsyncIterator[bytes], announced: int) -> AsyncIterator[bytes]:
    """The pieces; their end comes too early before so many bytes, and then none of them are stored. Raises BadInput."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        yield piece
    if size < announced:
        raise BadInput(f"The file must be {announced} bytes long, as was announced.")


def _whole(found: Object) -> Shown:
    kind: Literal["attachment", "inline"] = "inline" if found.media_type in PICTURES else "attachment"
    etag = b'"%s"' % found.sha256.hex().encode()
    return Shown(found.key, found.media_type, found.size, attachment(found.name, kind), etag)


def _thumbnail(found: Object) -> Shown:
    if found.thumbnail_key is None or found.thumbnail_size is None:
        raise NotFound("object")
    name = attachment(f"{found.id}.webp", "inline")
    etag = b'"%s"' % found.thumbnail_key.rpartition("/")[2].encode()
    return Shown(found.thumbnail_key, THUMBNAIL_TYPE, found.thumbnail_size, name, etag)


def _file(shown: Shown, chunks: AsyncIterator[bytes], part: tuple[int, int] | None, *, bodiless: bool) -> Response:
    """The object as a file: never shown as a page, whatever it is."""
    headers = [(b"content-disposition", shown.disposition.encode()), PRIVATE, SANDBOX, RANGES, (b"etag", shown.etag)]
    start, end = part or (0, shown.size)
    if part is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, shown.size)))

    async def parts() -> AsyncIterator[bytes]:
        if bodiless:
            return
        async for chunk in chunks:
            yield chunk

    return Response(
        200 if part is None else 206, headers, StreamedContent(shown.media_type.encode(), parts, end - start)
    )
