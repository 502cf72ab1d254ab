"""Answers in the coding that the client prefers, made once."""

import asyncio
import gzip
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import httpx
import pytest

from api import codings
from api.answers import Answer
from api.codings import VARY, Codings, preferred
from tests.support.desk import Desk
from tests.support.documented import RAW

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

TAG = b'"1.117"'
PLAIN_OF: dict[bytes, Callable[[bytes], bytes]] = {
    b"zstd": zstd.decompress,
    b"br": brotli.decompress,
    b"gzip": gzip.decompress,
}


BROWSER = b"gzip, deflate, br, zstd"


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        (b"gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"deflate, gzip;q=0.5", b"gzip"),
        (BROWSER, b"zstd"),
        (b"gzip, deflate, br", b"br"),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", b"br"),
        (b"br;q=0.5, gzip;q=0.8, zstd ; q=0.7", b"gzip"),
        (b"zstd;q=0, br;q=0, *", b"gzip"),
        (b"zstd;q=0, *", b"br"),
        (b"*", b"zstd"),
        (b"gzip, identity", b"gzip"),
        (b"identity, gzip;q=0.5", b""),
        (b"identity;q=0.5, br;q=0.4, gzip;q=0.6", b"gzip"),
        (b"gzip;q=0", b""),
        (b"*;q=0", b""),
        (b"*;q=0, br", b"br"),
        (b"identity", b""),
        (b"", b""),
        (b"deflate, compress", b""),
        (b"gzip;q=", b""),
        (b"gzip;q=nan", b""),
        (b"gzip;q=7", b""),
        (b"gzip;q=-1", b""),
        (b"gzip;level=1", b"gzip"),
        (b",, ;q=1 ,gzip", b"gzip"),
    ],
)
def test_the_client_says_what_it_likes(accepted: bytes, wanted: bytes) -> None:
    assert preferred(accepted) == wanted


@pytest.mark.parametrize("coding", list(PLAIN_OF))
@pytest.mark.parametrize("length", [codings.HERE_BYTES, codings.HERE_BYTES + 1, codings.BOARD_BYTES])
async def test_a_body_is_coded_once_while_it_is_true(
    monkeypatch: pytest.MonkeyPatch, coding: bytes, length: int
) -> None:
    made: list[int] = []
    pack = codings.PACKERS[coding]

    def counting(body: bytes) -> Iterator[bytes]:
        made.append(len(body))
        assert (threading.current_thread() is threading.main_thread()) == (length <= codings.HERE_BYTES)
        return pack(body)

    monkeypatch.setattr(codings, "PACKERS", {**codings.PACKERS, coding: counting})
    body, known = b"x" * length, dict[tuple[bytes, int], tuple[bytes, bytes]]()
    answer = Answer(200, body, ((b"etag", TAG), VARY))
    some = Codings()
    coded = await asyncio.gather(*(some.coded(coding, answer, known) for _ in range(10)))
    assert made == [length]
    assert len({id(one.body) for one in coded}) == 1
    assert PLAIN_OF[coding](coded[0].body) == body
    assert coded[0].headers == ((b"etag", b"W/" + TAG), VARY, (b"content-encoding", coding))
    assert await some.coded(b"identity", answer, known) is answer


async def test_each_client_gets_its_own_coding_of_one_body() -> None:
    body, known, some = b"x" * 5_000, dict[tuple[bytes, int], tuple[bytes, bytes]](), Codings()
    for _ in range(2):
        for coding, plain_of in PLAIN_OF.items():
            coded = await some.coded(coding, Answer(200, body), known)
            assert (plain_of(coded.body), coded.headers) == (body, ((b"content-encoding", coding),))
    assert len(known) == len(PLAIN_OF)


@pytest.mark.parametrize("length", [2_000, codings.BOARD_BYTES, 20 * 1024 * 1024])
def test_a_zstd_client_needs_no_more_room_than_it_must_have(length: int) -> None:
    """RFC 9659: at most 8 MiB, or a browser refuses what it cannot decode."""
    packed = b"".join(codings.PACKERS[b"zstd"](bytes(length)))
    assert zstd.get_frame_info(packed).decompressed_size == length
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})
    assert decoder.decompress(packed) == bytes(length)


async def test_what_is_short_is_sent_as_it_is() -> None:
    answer = Answer(200, b"x" * codings.LEAST_BYTES)
    assert await Codings().coded(b"gzip", answer, None) is answer


async def test_another_body_at_the_same_address_is_not_taken_for_the_one_before() -> None:
    body = b"y" * 2000
    known = {(b"gzip", id(body)): (b"x" * 2000, b"what was made of another one")}
    coded = await Codings().coded(b"gzip", Answer(200, body), known)
    assert gzip.decompress(coded.body) == body


async def raw(desk: Desk, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer with its body as it was sent."""
    given: dict[str, Any] = {**desk["owner"].headers, **headers}
    async with desk.client.stream("GET", path, headers=given, extensions=RAW) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()])


async def test_lists_and_boards_are_coded_and_keep_their_conditions(desk: Desk) -> None:
    team = await desk.site.team(desk["owner"])
    operations = [{"op": "create", "title": f"task {n}"} for n in range(20)]
    changed = await desk.post("/v1/tasks/batch", {"team_id": team, "operations": operations})
    tag = f'"1.{changed.headers["taskforge-seq"]}"'
    top, whole = f"/v1/teams/{team}/board?per_column=20", f"/v1/teams/{team}/board"
    for path in (whole, top, f"/v1/tasks?team_id={team}", f"/v1/tasks?team_id={team}&q=task"):
        plain, body = await raw(desk, path, **{"Accept-Encoding": "identity"})
        for coding in PLAIN_OF:
            coded, packed = await raw(desk, path, **{"Accept-Encoding": coding.decode()})
            assert PLAIN_OF[coding](packed) == body
            assert (coded.headers["content-encoding"], len(packed) < len(body) / 4) == (coding.decode(), True)
        assert int(coded.headers["content-length"]) == len(packed)
        assert (plain.headers["etag"], coded.headers["etag"]) == (tag, "W/" + tag)
        assert ("content-encoding" in plain.headers, coded.headers["content-encoding"]) == (False, "gzip")
        for known in (tag, "W/" + tag):
            unchanged, nothing = await raw(desk, path, **{"Accept-Encoding": "gzip", "If-None-Match": known})
            assert (unchanged.status_code, nothing, unchanged.headers["etag"]) == (304, b"", known)
            assert all("accept-encoding" in one.headers["vary"] for one in (unchanged, plain, coded))


async def test_what_if_match_names_is_never_coded(desk: Desk) -> None:
    task = await desk.site.task(desk["owner"], desk.team, "x" * 500)
    (await desk.patch(f"/v1/tasks/{task['id']}", {"description": "y" * 5000})).raise_for_status()
    answer, _ = await raw(desk, f"/v1/tasks/{task['id']}", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    changed = await desk.patch(f"/v1/tasks/{task['id']}", {"title": "z"}, **{"If-Match": answer.headers["etag"]})
    assert changed.status_code == 200


async def test_reads_that_memory_does_not_hold_are_coded_too(desk: Desk) -> None:
    path = f"/v1/teams/{desk.team}/events?after=0"
    _, plain = await raw(desk, path, **{"Accept-Encoding": "identity"})
    coded, packed = await raw(desk, path, **{"Accept-Encoding": "gzip"})
    assert (coded.headers["content-encoding"], "accept-encoding" in coded.headers["vary"]) == ("gzip", True)
    assert gzip.decompress(packed) == plain


async def test_files_and_the_document_are_coded_once_for_everybody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    pack = codings.PACKERS[b"br"]

    def counting(body: bytes) -> Iterator[bytes]:
        made.append(len(body))
        return pack(body)

    monkeypatch.setattr(codings, "PACKERS", {**codings.PACKERS, b"br": counting})
    paths = ("/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/assets/board/app.js", "/")
    for path in paths * 2:
        plain, body = await raw(desk, path, **{"Accept-Encoding": "identity"})
        coded, packed = await raw(desk, path, **{"Accept-Encoding": "br"})
        assert ("content-encoding" in plain.headers, coded.headers["content-encoding"]) == (False, "br")
        assert brotli.decompress(packed) == body
        assert all("accept-encoding" in one.headers["vary"] for one in (plain, coded))
    assert len(made) == len(paths)
    image, _ = await raw(desk, "/docs/favicon-16x16.png", **{"Accept-Encoding": "br"})
    assert "content-encoding" not in image.headers
