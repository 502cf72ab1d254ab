"""The object store: bytes under keys, in a directory or in an S3 bucket (obstore). What they are is in `db/objects.py`.

Keys are made once and never written again, so that nobody sees a mixture of two writes. Not every store keeps what kind
of thing an object is, or can sign an address: for a directory both are ours to do.
"""

import hashlib
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

import anyio.to_thread
from msgspec import Struct

from db.settings import ObjectSettings

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store
    from obstore.store import S3Config, S3Store

__all__ = [
    "ObjectMissing",
    "ObjectStore",
    "ObjectStoreUnavailable",
    "ObjectTooLarge",
    "Stored",
    "attachment",
    "bad_url",
    "open_store",
]

PIECE_BYTES: Final = 5 * 1024 * 1024
"""As much of an object is in memory while it is written: S3 takes no smaller pieces."""
READ_BYTES: Final = 256 * 1024
WRITES_AT_ONCE: Final = 2
S3_OPTIONS: Final = frozenset({"endpoint", "region", "prefix"})


class ObjectStoreUnavailable(Exception):
    """The store does not answer, or refuses. The text may name hosts: it is for logs."""


class ObjectMissing(Exception):
    """There is no object under this key."""


class ObjectTooLarge(Exception):
    """There were more bytes than an object of its kind may have."""


class Stored(Struct, frozen=True):
    """An object that is whole: its size in bytes and SHA-256."""

    key: str
    size: int
    sha256: bytes


class ObjectStore:
    """One store. Every method raises ObjectStoreUnavailable."""

    def __init__(self, store: "Store", *, signing: "S3Store | None" = None, folder: Path | None = None) -> None:
        """`signing` is the same store again where it signs addresses and keeps attributes; `folder` is where it is."""
        self._store, self._signing, self._folder = store, signing, folder

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        limit: int,
        media_type: str,
        name: str,
        inline: bool = False,
    ) -> Stored:
        """Write what comes, a piece at a time; it is there once all is. Raises ObjectTooLarge, and as `chunks` does.

        `inline`: a store that hands it out itself says that a browser may show it.

        A write that fails leaves nothing, or something that `delete_below` finds.
        """
        from obstore import open_writer_async

        digest, size = hashlib.sha256(), 0
        with _errors():
            writer = open_writer_async(
                self._store,
                key,
                attributes=_attributes(media_type, name, inline=inline) if self._signing else None,
                buffer_size=PIECE_BYTES,
                max_concurrency=WRITES_AT_ONCE,
            )
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise ObjectTooLarge(f"an object of at most {limit} bytes")
            digest.update(chunk)
            with _errors():
                await writer.write(chunk)
        with _errors():
            await writer.close()
        return Stored(key, size, digest.digest())

    async def get(self, key: str, part: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """The object's bytes, as they come: all, or those from the first of `part` up to, and without, the second.

        Raises ObjectMissing before the first of them.
        """
        from obstore import get_async

        with _errors():
            found = await get_async(self._store, key, options={} if part is None else {"range": part})
        return self._chunks(found.stream(min_chunk_size=READ_BYTES))

    async def _chunks(self, stream: Any) -> AsyncIterator[bytes]:
        with _errors():
            async for chunk in stream:
                yield bytes(chunk)

    async def delete_below(self, prefix: str) -> int:
        """Delete every object whose key begins with the path `prefix`; how many. Nothing there is nothing to do."""
        from obstore import delete_async

        deleted = 0
        while keys := await self.keys(prefix):
            try:
                with _errors():
                    await delete_async(self._store, keys)
            except ObjectMissing:  # Another worker deletes the same: see what is left.
                continue
            deleted += len(keys)
        if self._folder is not None:
            with _errors():
                await anyio.to_thread.run_sync(_remove_drafts, self._folder, prefix)
        return deleted

    async def delete(self, key: str) -> None:
        """Delete one object, if it is there."""
        from obstore import delete_async

        with suppress(ObjectMissing), _errors():
            await delete_async(self._store, key)

    async def size(self, key: str) -> int:
        """How many bytes an object has. Raises ObjectMissing."""
        from obstore import head_async

        with _errors():
            return (await head_async(self._store, key))["size"]

    async def keys(self, prefix: str) -> list[str]:
        """The keys of all objects below a path."""
        from obstore import list as list_objects

        with _errors():
            return [meta["path"] async for page in list_objects(self._store, prefix) for meta in page]

    async def address(self, key: str, seconds: float, method: Literal["GET", "PUT"] = "GET") -> str | None:
        """Where the store itself hands the object out, or takes it, for so long; None where that is ours to do."""
        if self._signing is None:
            return None
        from obstore import sign_async

        with _errors():
            return await sign_async(self._signing, method, key, timedelta(seconds=seconds))

    async def check(self) -> None:
        """Ask the store what there is at a place where nothing is. It says no more than that it answers."""
        if self._folder is not None and not await anyio.to_thread.run_sync(self._folder.is_dir):
            raise ObjectStoreUnavailable("the folder is gone")
        try:
            await self.keys("a-path-below-which-nothing-is")
        except ObjectMissing as error:
            raise ObjectStoreUnavailable("there is no such bucket") from error


def open_store(settings: ObjectSettings) -> ObjectStore | None:
    """The store of the settings; None when there is none. Raises ValueError for a URL that names none."""
    if not settings.url:
        return None
    if reason := bad_url(settings.url):
        raise ValueError(reason)
    # Loaded when there is a store: it costs a process a few megabytes.
    from obstore.store import LocalStore, MemoryStore, S3Store

    parts = urlsplit(settings.url)
    if parts.scheme == "memory":
        return ObjectStore(MemoryStore())
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ObjectStore(LocalStore(folder, automatic_cleanup=True), folder=folder)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = options.get("endpoint")
    config: S3Config = {"region": options.get("region", "us-east-1"), "virtual_hosted_style_request": False}
    if endpoint:
        config["endpoint"] = endpoint
    if settings.access_key_id:  # Without it obstore looks where programs on that machine are given theirs.
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key.reveal()
    store = S3Store(
        parts.netloc,
        prefix=options.get("prefix"),
        config=config,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
    )
    return ObjectStore(store, signing=store)


def bad_url(url: str) -> str:
    """What is wrong with a store's URL, as the end of a sentence about it; empty for a good one."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return ""
    if parts.scheme == "file":
        return "" if not parts.netloc and parts.path.startswith("/") else "must be file:/// and an absolute path"
    if parts.scheme != "s3":
        return "must start with file:/// or s3://"
    if not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or parts.path.strip("/"):
        return "must be s3:// and a bucket, with endpoint, region and prefix as its query"
    if unknown := parse_qs(parts.query, keep_blank_values=True).keys() - S3_OPTIONS:
        return f"knows no option {', '.join(sorted(unknown))}"
    return ""


def _remove_drafts(folder: Path, prefix: str) -> None:
    """What a process that was killed had begun to write: files that obstore neither lists nor deletes."""
    place = folder / prefix
    if ".." not in place.parts and place.is_dir():
        with suppress(FileNotFoundError):  # Another worker removes the same.
            shutil.rmtree(place)


def _attributes(media_type: str, name: str, *, inline: bool) -> dict[str, str]:
    """What a store that hands objects out itself says of one: never a page to be shown."""
    disposition = attachment(name, "inline" if inline else "attachment")
    return {"Content-Type": media_type, "Content-Disposition": disposition}


def attachment(name: str, kind: Literal["attachment", "inline"] = "attachment") -> str:
    """The Content-Disposition of a file to be saved under this name, whatever is in it (RFC 6266, RFC 8187)."""
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what the library raises into ours."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing("there is no such object") from error
    except (BaseError, OSError) as error:
        raise ObjectStoreUnavailable(f"{type(error).__name__}: {error}") from error
