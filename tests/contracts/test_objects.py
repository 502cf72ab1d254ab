"""What every object store does: in memory, in a directory, and in an S3 bucket."""

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from core.secret import Secret
from db.object_store import ObjectMissing, ObjectStore, ObjectStoreUnavailable, ObjectTooLarge, bad_url, open_store
from db.settings import ObjectSettings
from tests.support.long_work import files_in
from tests.support.s3 import KEY_ID, S3, SECRET, running_s3
from tests.support.s3proxy import needs_s3proxy, running_s3proxy

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def whole(store: ObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in await store.get(key)])


async def put(store: ObjectStore, key: str, *parts: bytes, limit: int = 100 * MIB) -> bytes:
    """What was written."""
    stored = await store.put(key, pieces(*parts), limit=limit, media_type="application/zip", name='a ".zip')
    data = b"".join(parts)
    assert (stored.key, stored.size, stored.sha256) == (key, len(data), hashlib.sha256(data).digest())
    return data


def mode_of(folder: Path) -> int:
    return folder.stat().st_mode


def draft(path: Path) -> None:
    path.write_bytes(b"half of an arch")


class ObjectStoreContract:
    """Inherited by the tests of each store, which have a fixture `store`."""

    async def test_what_was_written_is_read(self, store: ObjectStore) -> None:
        data = await put(store, "exports/a/1", b"one", b"two")
        assert await whole(store, "exports/a/1") == data

    async def test_an_object_larger_than_a_piece_is_whole(self, store: ObjectStore) -> None:
        data = await put(store, "exports/a/large", *[bytes([n]) * MIB for n in range(12)])
        assert hashlib.sha256(await whole(store, "exports/a/large")).digest() == hashlib.sha256(data).digest()

    async def test_an_empty_object_is_one(self, store: ObjectStore) -> None:
        await put(store, "exports/a/empty")
        assert await whole(store, "exports/a/empty") == b""

    async def test_a_part_of_it_comes_alone(self, store: ObjectStore) -> None:
        data = await put(store, "exports/p/1", bytes(range(256)) * 100)
        for start, end in ((0, 1), (100, 300), (25_599, 25_600), (0, 25_600)):
            assert b"".join([chunk async for chunk in await store.get("exports/p/1", (start, end))]) == data[start:end]

    async def test_its_size_is_known_and_it_can_go_alone(self, store: ObjectStore) -> None:
        await put(store, "exports/q/1", b"data")
        await put(store, "exports/q/2", b"data")
        assert await store.size("exports/q/1") == 4
        await store.delete("exports/q/1")
        await store.delete("exports/q/1")
        assert await store.keys("exports/q") == ["exports/q/2"]
        with pytest.raises(ObjectMissing):
            await store.size("exports/q/1")

    async def test_what_is_not_there_is_missing(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectMissing):
            await store.get("exports/nothing")

    async def test_too_much_is_refused_and_is_not_there(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectTooLarge):
            await put(store, "exports/b/1", b"x" * 600, b"x" * 600, limit=1000)
        with pytest.raises(ObjectMissing):
            await store.get("exports/b/1")

    async def test_a_write_that_breaks_off_is_not_there(self, store: ObjectStore) -> None:
        async def breaks() -> AsyncIterator[bytes]:
            yield b"x" * 6 * MIB
            raise LookupError("the database went away")

        with pytest.raises(LookupError):
            await store.put("exports/c/1", breaks(), limit=100 * MIB, media_type="application/zip", name="a.zip")
        with pytest.raises(ObjectMissing):
            await store.get("exports/c/1")

    async def test_everything_below_a_path_goes_and_nothing_beside_it(self, store: ObjectStore) -> None:
        for key in ("exports/d/1", "exports/d/2", "exports/dd/1"):
            await put(store, key, b"data")
        assert sorted(await store.keys("exports/d")) == ["exports/d/1", "exports/d/2"]
        assert await store.delete_below("exports/d") == 2
        assert await store.delete_below("exports/d") == 0
        assert await whole(store, "exports/dd/1") == b"data"

    async def test_two_who_delete_the_same_both_succeed(self, store: ObjectStore) -> None:
        for number in range(20):
            await put(store, f"exports/f/{number}", b"data")
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(store.delete_below, "exports/f")
        assert await store.keys("exports/f") == []

    async def test_a_store_that_answers_is_well(self, store: ObjectStore) -> None:
        await store.check()

    async def test_no_key_leads_out_of_the_store(self, store: ObjectStore) -> None:
        for key in ("../outside", "exports/../../outside"):
            with pytest.raises((ObjectStoreUnavailable, ValueError)):
                await put(store, key, b"data")


class TestMemory(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        store = open_store(ObjectSettings(url="memory:"))
        assert store is not None
        return store


class TestDirectory(ObjectStoreContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "a folder" / "objects"

    @pytest.fixture
    def store(self, folder: Path) -> ObjectStore:
        store = open_store(ObjectSettings(url=folder.as_uri()))
        assert store is not None
        return store

    async def test_its_folder_is_for_its_user_alone_and_hands_nothing_out(
        self, folder: Path, store: ObjectStore
    ) -> None:
        await put(store, "exports/a/1", b"data")
        assert mode_of(folder) & 0o077 == 0
        assert await store.address("exports/a/1", 60.0) is None

    async def test_a_folder_that_is_gone_is_said_to_be(self, folder: Path, store: ObjectStore) -> None:
        await put(store, "exports/a/1", b"data")
        shutil.rmtree(folder)
        with pytest.raises(ObjectStoreUnavailable):
            await store.check()

    async def test_what_a_killed_process_had_begun_to_write_goes_with_the_rest(
        self, folder: Path, store: ObjectStore
    ) -> None:
        await put(store, "exports/e/1", b"data")
        await put(store, "exports/ee/1", b"data")
        draft(folder / "exports" / "e" / "2#1")
        assert await store.keys("exports/e") == ["exports/e/1"]
        assert await store.delete_below("exports/e") == 1
        assert [path.name for path in files_in(folder)] == ["1"]

    async def test_what_broke_off_leaves_no_file(self, folder: Path, store: ObjectStore) -> None:
        with pytest.raises(ObjectTooLarge):
            await put(store, "exports/b/1", b"x" * 6 * MIB, b"x" * 6 * MIB, limit=7 * MIB)
        await store.delete_below("exports/b")
        assert files_in(folder) == []


class TestBucket(ObjectStoreContract):
    @pytest.fixture
    def s3(self) -> Iterator[S3]:
        with running_s3() as server:
            yield server

    @pytest.fixture
    def store(self, s3: S3) -> ObjectStore:
        store = open_store(ObjectSettings(url=s3.url, access_key_id=KEY_ID, secret_access_key=Secret(SECRET)))
        assert store is not None
        return store

    async def test_a_bucket_that_is_not_there_is_said_not_to_be(self, s3: S3) -> None:
        url = s3.url.replace("s3://files", "s3://others")
        store = open_store(ObjectSettings(url=url, access_key_id=KEY_ID, secret_access_key=Secret(SECRET)))
        assert store is not None
        with pytest.raises(ObjectStoreUnavailable):
            await store.check()

    async def test_its_own_address_downloads_a_file_for_a_while(self, store: ObjectStore) -> None:
        data = await put(store, "exports/a/1", b"data")
        address = await store.address("exports/a/1", 60.0)
        assert address is not None
        async with httpx.AsyncClient() as anybody:
            answer = await anybody.get(address)
            assert (answer.status_code, answer.content) == (200, data)
            assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22.zip"
            assert answer.headers["content-type"] == "application/zip"
            for other in (
                address.replace("/1?", "/2?"),
                address.replace("Expires=60", "Expires=6000"),
                address[:-1] + ("1" if address[-1] == "0" else "0"),
            ):
                assert (await anybody.get(other)).status_code == 403

    async def test_its_own_address_takes_one_file_for_a_while(self, store: ObjectStore) -> None:
        address = await store.address("exports/u/1", 60.0, "PUT")
        assert address is not None
        async with httpx.AsyncClient() as anybody:
            assert (await anybody.put(address, content=b"sent")).status_code == 200
            assert await whole(store, "exports/u/1") == b"sent"
            assert (await anybody.get(address)).status_code == 403
            assert (await anybody.put(address.replace("/1?", "/2?"), content=b"sent")).status_code == 403
        assert await store.keys("exports/u") == ["exports/u/1"]


class TestS3Proxy(TestBucket):
    """The same before a real server of S3's interface."""

    @pytest.fixture(scope="class")
    async def url(self, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
        needs_s3proxy()
        async with running_s3proxy(tmp_path_factory.mktemp("s3proxy")) as url:
            yield url

    @pytest.fixture
    def store(self, url: str) -> ObjectStore:
        store = open_store(ObjectSettings(url=url, access_key_id=KEY_ID, secret_access_key=Secret(SECRET)))
        assert store is not None
        return store

    async def test_a_bucket_that_is_not_there_is_said_not_to_be(self, url: str) -> None:  # type: ignore[override]
        other = url.replace("s3://files", "s3://others")
        store = open_store(ObjectSettings(url=other, access_key_id=KEY_ID, secret_access_key=Secret(SECRET)))
        assert store is not None
        with pytest.raises(ObjectStoreUnavailable):
            await store.check()


class TestUrls:
    """What does not take a server: addresses that S3 hands out are computed here, and say what they are good for."""

    async def test_a_bucket_signs_the_address_of_one_object_for_a_while(self) -> None:
        url = "s3://files?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-north-1&prefix=taskforge"
        store = open_store(ObjectSettings(url=url, access_key_id="AKIATEST", secret_access_key=Secret("a secret")))
        assert store is not None
        address = await store.address("exports/a/1", 60.0)
        assert address is not None
        assert address.startswith("http://127.0.0.1:9000/files/taskforge/exports/a/1?")
        for part in ("X-Amz-Expires=60", "AKIATEST", "eu-north-1", "X-Amz-Signature="):
            assert part in address
        assert "secret" not in address

    async def test_a_bucket_that_is_away_is_said_to_be(self) -> None:
        url = "s3://files?endpoint=http://127.0.0.1:9"
        store = open_store(ObjectSettings(url=url, access_key_id="a", secret_access_key=Secret("b")))
        assert store is not None
        with pytest.raises(ObjectStoreUnavailable):
            await store.check()

    @pytest.mark.parametrize(
        "url",
        [
            "file://host/directory",
            "file:relative",
            "https://bucket",
            "s3://",
            "s3://bucket/folder",
            "s3://user:password@bucket",
            "s3://bucket?endpiont=http://127.0.0.1",
        ],
    )
    def test_a_url_that_names_no_store_is_refused(self, url: str) -> None:
        assert bad_url(url)
        with pytest.raises(ValueError, match=r"must|option"):
            open_store(ObjectSettings(url=url))

    def test_without_a_url_there_is_no_store(self) -> None:
        assert open_store(ObjectSettings()) is None
