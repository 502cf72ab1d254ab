"""`/v1/objects/{token}`: an object for whoever has its signed address, if its user may still have it."""

from collections.abc import AsyncIterator
from typing import Final

from blacksheep import Request, Response, Router
from blacksheep.contents import StreamedContent

from api import paths
from api.answers import Header, empty
from api.binding import no_query, path_value
from api.calls import call_of
from api.object_links import LINK_SECONDS
from api.openapi import Operation, Reply
from api.paths import pattern
from api.services import Services
from core.errors import NotFound, Unavailable
from core.rights import ANYBODY
from db import objects
from db.object_store import ObjectMissing, ObjectStoreUnavailable, attachment
from db.objects import Object
from db.transaction import reading

__all__ = ["OPERATIONS", "register"]

HAND_ON_SECONDS: Final = 60.0
"""How long the store's own address is good to which we redirect; it begins to be used at once."""

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
            "store hands objects out itself, the answer is a redirect."
        ),
        replies={
            200: Reply(
                description="The object, as a file to be saved.",
                media_type="application/octet-stream",
                headers=("Content-Disposition", "Cache-Control", "Content-Security-Policy"),
            ),
            302: Reply(description="Where the store hands it out.", headers=("Location", "Cache-Control")),
        },
        problems=("not-found", "unavailable", "storage-unavailable"),
        secured=False,
        requires=ANYBODY,
    ),
)

PRIVATE: Final[Header] = (b"cache-control", b"private, no-store")
SANDBOX: Final[Header] = (b"content-security-policy", b"sandbox; default-src 'none'")
"""Whatever is in it runs nothing, should a browser show it after all."""


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_get(pattern(paths.OBJECT), _Objects(services).download)


class _Objects:
    def __init__(self, services: Services) -> None:
        self._pool, self._clock = services.pools.api, services.clock
        self._store, self._links = services.objects, services.object_links

    async def download(self, request: Request) -> Response:
        """GET /v1/objects/{token}. Raises NotFound whatever is wrong, Unavailable when the store does not answer."""
        no_query(call_of(request))
        link = self._links.read("GET", path_value(request, "token"), self._clock.now().timestamp())
        async with reading(self._pool, link.user_id) as tx:
            found = await objects.find(tx, link.object_id)
        if found is None or self._store is None:
            raise NotFound("object")
        try:
            address = await self._store.address(found.key, HAND_ON_SECONDS)
            if address is not None:
                return empty(302, ((b"location", address.encode()), PRIVATE))
            chunks = await self._store.get(found.key)
        except ObjectMissing as error:
            raise NotFound("object") from error
        except ObjectStoreUnavailable as error:
            raise Unavailable("The object store does not answer.") from error
        return _file(found, chunks)


def _file(found: Object, chunks: AsyncIterator[bytes]) -> Response:
    """The object as a file: never shown as a page, whatever it is."""
    headers = [(b"content-disposition", attachment(found.name).encode()), PRIVATE, SANDBOX]

    async def parts() -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk

    return Response(200, headers, StreamedContent(found.media_type.encode(), parts, found.size))
