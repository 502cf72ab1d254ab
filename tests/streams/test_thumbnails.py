"""Thumbnails: upright, small, without metadata; none of an attack; made by the worker, gone with their image."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image

from db import objects
from db.object_store import open_store
from db.settings import ObjectSettings
from db.transaction import reading, writing
from streams.housekeeping import tidy
from streams.thumbnails.making import CannotBeMade, make_picture
from taskforge.settings import Settings
from tests.support.pictures import an_image
from tests.support.waiting import until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

RED, BLUE = (255, 0, 0), (0, 0, 255)
ORIENTATION, GPS = 0x0112, 0x8825


def image_of(kind: str, size: tuple[int, int] = (800, 400), mode: str = "RGB") -> Image.Image:
    """Its left half is red, its right half blue."""
    image = Image.new(mode, size, RED if mode == "RGB" else (*RED, 128))
    image.paste(BLUE if mode == "RGB" else (*BLUE, 128), (size[0] // 2, 0, *size))
    return image.convert("P") if kind == "GIF" else image


def bytes_of(kind: str, size: tuple[int, int] = (800, 400), mode: str = "RGB", **more: object) -> bytes:
    file = BytesIO()
    image_of(kind, size, mode).save(file, kind, **more)
    return file.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that say that they are a very large image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
        + chunk(b"IEND", b"")
    )


async def made(folder: Path, data: bytes) -> Image.Image:
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    await make_picture(source, target)
    image = Image.open(BytesIO(target.read_bytes()))
    assert image.format == "WEBP"
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_a_picture_is_small_and_keeps_its_shape(tmp_path: Path, kind: str) -> None:
    image = await made(tmp_path, bytes_of(kind))
    assert image.size == (320, 160)
    red, _, blue = image.convert("RGB").getpixel((20, 80))  # type: ignore[misc]
    assert red > 200 > 50 > blue


async def test_a_small_image_is_not_made_larger_and_stays_transparent(tmp_path: Path) -> None:
    image = await made(tmp_path, bytes_of("PNG", (20, 10), "RGBA"))
    assert (image.size, image.mode) == ((20, 10), "RGBA")


async def test_a_photograph_stands_upright_and_does_not_say_where_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # It is to be turned by a quarter, clockwise.
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    exif[0x010E] = "a secret comment"
    data = bytes_of("JPEG", exif=exif, comment=b"a secret comment")
    assert b"secret" in data
    image = await made(tmp_path, data)
    assert image.size == (160, 320)
    red, _, blue = image.convert("RGB").getpixel((80, 20))  # type: ignore[misc]
    assert red > 200 > 50 > blue, "what was left is above"
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp"} & image.info.keys()
    assert b"secret" not in (tmp_path / "target").read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image at all",
        bytes_of("PNG")[:200],
        bytes_of("BMP"),
        huge_png(60_000, 60_000),
        huge_png(8_000, 8_000),
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x00\x00\x00,",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    ids=["empty", "text", "cut-off", "other-kind", "bomb", "large", "gif-bomb", "postscript", "svg"],
)
async def test_of_other_things_there_is_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CannotBeMade):
        await made(tmp_path, data)


async def test_an_image_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.thumbnails.making.SECONDS", 0.01)
    with pytest.raises(CannotBeMade, match="too long"):
        await made(tmp_path, bytes_of("PNG"))


async def test_the_worker_makes_one_and_it_goes_with_its_image(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, objects=ObjectSettings(url=tmp_path.as_uri()))
    store = open_store(settings.objects)
    assert store is not None
    async with working(settings, "relay", "operations", "thumbnails") as process:
        pools = process.pools
        broken = await an_image(pools, store, b"\x89PNG\r\n\x1a\n and nothing more")
        image = await an_image(pools, store, bytes_of("PNG"))

        async def has_one() -> bool:
            async with reading(pools.worker, None) as tx:
                return bool(await tx.fetchval("select thumbnail_size from objects where id = $1", image))

        await until_answered(has_one)
        assert consumer_of(process, "thumbnails").dead == consumer_of(process, "operations").dead == 0
        (key,) = await store.keys(f"attachment/{image}/thumbnail")
        data = b"".join([chunk async for chunk in await store.get(key)])
        assert Image.open(BytesIO(data)).size == (320, 160)
        assert await store.keys(f"attachment/{broken}/thumbnail") == []
        async with writing(pools.worker) as tx:
            await objects.expire(tx, image)
        await tidy(pools.worker, store)
        assert await store.keys(f"attachment/{image}") == []
