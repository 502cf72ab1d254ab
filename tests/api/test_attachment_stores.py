"""Files of tasks over each kind of store: a directory, our stand-in for S3, and a real server of its interface."""

import hashlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec import structs

from core.commands import RemoveMember
from core.secret import Secret
from db.object_store import Stored
from db.settings import DatabaseSettings, ObjectSettings
from db.thumbnails import keep_thumbnail, thumbnail_key
from db.transaction import writing
from streams.housekeeping import tidy
from taskforge.devstack import DevStack
from tests.support.account import NO_TLS
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, problem
from tests.support.files import PNG, attached, begun, digest_of
from tests.support.leaks import leak_free
from tests.support.s3 import KEY_ID, SECRET, running_s3
from tests.support.s3proxy import needs_s3proxy, running_s3proxy
from tests.support.site import serving, settings_for

pytestmark = pytest.mark.anyio

DATA = hashlib.sha256(b"seed").digest() * 200_000
"""More than one piece of S3."""


@pytest.fixture(scope="module", params=["directory", "stand-in", "s3proxy"])
async def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("store")
    match request.param:
        case "directory":
            yield folder.as_uri()
        case "stand-in":
            with running_s3() as s3:
                yield s3.url
        case _:
            needs_s3proxy()
            async with running_s3proxy(folder) as address:
                yield address


@pytest.fixture(scope="module")
async def desk(services: DevStack, module_database: DatabaseSettings, url: str) -> AsyncIterator[Desk]:
    await services.valkey.start()
    objects = ObjectSettings(url=url, access_key_id=KEY_ID, secret_access_key=Secret(SECRET))
    settings = structs.replace(settings_for(module_database, services.valkey.url), objects=objects)
    async with leak_free(), serving(settings) as site:
        yield await Desk.open(site)


@pytest.fixture(autouse=True)
def guarded() -> None:
    """The module's worker outlives each test, and its tasks with it."""


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without our token, who follows wherever an address leads."""
    async with httpx.AsyncClient(verify=NO_TLS, follow_redirects=True) as client:
        yield client


async def address_of(desk: Desk, attachment_id: str, who: str = "owner") -> str:
    answer = await desk.get(f"/v1/attachments/{attachment_id}/download", who)
    assert answer.status_code == 302, answer.text
    return str(desk.client.base_url.join(answer.headers["location"]))


def place_of(desk: Desk, signed: Any) -> str:
    """Where a file is sent, whether that is ours or the store's."""
    return str(desk.client.base_url.join(signed["url"]))


async def test_a_form_becomes_a_file_that_is_downloaded_whole_and_in_parts(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    task = await desk.task()
    made = await attached(desk, task["id"], DATA, "Grüße.bin", media_type="")
    assert (made["size"], made["digest"]) == (len(DATA), digest_of(DATA))
    address = await address_of(desk, made["id"])
    whole = await browser.get(address)
    assert (whole.status_code, digest_of(whole.content)) == (200, made["digest"])
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.bin"
    assert whole.headers["content-type"] == "application/octet-stream"
    part = await browser.get(address, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, DATA[100:200])


async def test_a_page_is_never_shown_as_one(desk: Desk, browser: httpx.AsyncClient) -> None:
    task = await desk.task()
    made = await attached(desk, task["id"], b"<script>alert(1)</script>", "a.html", media_type="text/html")
    file = await browser.get(await address_of(desk, made["id"]))
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"].startswith("attachment;")


async def test_a_file_is_sent_to_the_store_and_checked(desk: Desk, browser: httpx.AsyncClient) -> None:
    task = await desk.task()
    signed = (await begun(desk, task["id"], DATA, name="plan.pdf")).json()
    complete = f"/v1/tasks/{task['id']}/attachments/uploads/{signed['upload_id']}/complete"
    place = place_of(desk, signed)
    assert (await browser.put(place, content=DATA)).is_success
    made = (await desk.post(complete)).json()
    assert (made["digest"], made["media_type"]) == (digest_of(DATA), "application/octet-stream")
    # The store's own address may be good for some minutes more: what is sent there changes nothing.
    await browser.put(place, content=DATA[:-1] + b"!")
    file = await browser.get(await address_of(desk, made["id"]))
    assert digest_of(file.content) == made["digest"]
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''plan.pdf"
    assert (await desk.delete(f"/v1/attachments/{made['id']}")).status_code == 204
    await tidy(desk.site.services.pools.worker, desk.site.services.objects)
    assert desk.site.services.objects is not None
    assert await desk.site.services.objects.keys(f"attachment/{made['id']}") == []


@pytest.mark.parametrize(
    "sent", [DATA[:-1], DATA + b"!", DATA[:-1] + b"!", b""], ids=["short", "long", "other", "none"]
)
async def test_what_was_not_announced_is_not_attached(desk: Desk, browser: httpx.AsyncClient, sent: bytes) -> None:
    task = await desk.task()
    signed = (await begun(desk, task["id"], DATA)).json()
    await browser.put(place_of(desk, signed), content=sent)
    complete = f"/v1/tasks/{task['id']}/attachments/uploads/{signed['upload_id']}/complete"
    refused = problem(await desk.post(complete), 409, "conflict")
    assert refused["reason"] in ("upload-differs", "upload-missing")
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["attachment_count"] == 0


async def is_refused(sending: Awaitable[httpx.Response]) -> bool:
    """Whether a file is refused, be it by closing the connection before the answer could be read."""
    try:
        return (await sending).status_code in (403, 404)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return True


async def test_addresses_that_were_tampered_with_lead_nowhere(desk: Desk, browser: httpx.AsyncClient) -> None:
    task = await desk.task()
    made, other = await attached(desk, task["id"]), await attached(desk, task["id"], b"other", "other.txt")
    signed = (await begun(desk, task["id"], DATA)).json()
    address, place = await address_of(desk, made["id"]), place_of(desk, signed)
    end = "A" if place[-1] != "A" else "B"
    assert await is_refused(browser.put(place[:-1] + end, content=DATA))
    assert await is_refused(browser.put(place.replace(signed["upload_id"], RANDOM)[:-1] + end, content=DATA))
    assert (await browser.get(place)).status_code in (403, 404)
    assert await is_refused(browser.put(address, content=b"x"))
    handed_on = await desk.client.get(address)
    if handed_on.status_code == 302:  # By a store that hands files out itself.
        own = handed_on.headers["location"]
        assert "X-Amz-Expires=60" in own
        for wrong in (own.replace(made["id"], other["id"]), own.replace("Expires=60", "Expires=6000")):
            assert (await browser.get(wrong)).status_code == 403
        assert await is_refused(browser.put(own, content=b"x"))
    assert (await browser.get(address)).content == b"some text"


async def test_a_removed_member_gets_no_file_and_brings_none(desk: Desk, browser: httpx.AsyncClient) -> None:
    desk.people["leaving"] = await desk.site.person()
    await desk.join(desk.team, "owner", "leaving", "member")
    task = await desk.task()
    made = await attached(desk, task["id"])
    address = await address_of(desk, made["id"], "leaving")
    signed = (await begun(desk, task["id"], DATA, "leaving")).json()
    assert (await browser.get(address)).status_code == 200
    command = RemoveMember(UUID(desk["leaving"].user_id))
    await desk.site.services.teams.ask(UUID(desk.team), command, by(desk["owner"].user_id))
    assert (await browser.get(address)).status_code == 404
    await browser.put(place_of(desk, signed), content=DATA)
    complete = f"/v1/tasks/{task['id']}/attachments/uploads/{signed['upload_id']}/complete"
    problem(await desk.post(complete, None, "leaving"), 404, "not-found")


async def test_a_thumbnail_has_an_address_of_its_own(desk: Desk, browser: httpx.AsyncClient) -> None:
    task = await desk.task()
    made = await attached(desk, task["id"], PNG, "one.png", media_type="image/png")
    path, store = f"/v1/attachments/{made['id']}/thumbnail", desk.site.services.objects
    problem(await desk.get(path), 404, "not-found")
    assert store is not None

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a small picture"

    key, name = thumbnail_key(UUID(made["id"]), UUID(RANDOM)), f"{made['id']}.webp"
    stored: Stored = await store.put(key, chunks(), limit=100, media_type="image/webp", name=name, inline=True)
    async with writing(desk.site.services.pools.worker) as tx:
        assert await keep_thumbnail(tx, UUID(made["id"]), stored)
    answer = await desk.get(path)
    assert answer.status_code == 302
    picture = await browser.get(str(desk.client.base_url.join(answer.headers["location"])))
    assert picture.history == [], "the policy of our pages knows no other host"
    assert (picture.status_code, picture.content) == (200, b"a small picture")
    assert picture.headers["content-type"] == "image/webp"
    assert picture.headers["content-disposition"].startswith("inline;")
    whole = await browser.get(await address_of(desk, made["id"]))
    assert (whole.content, whole.headers["content-disposition"][:7]) == (PNG, "inline;")


async def test_a_page_learns_the_address_of_a_file_from_its_head_and_never_leaves_our_host(desk: Desk) -> None:
    made = await attached(desk, (await desk.task())["id"], DATA)
    answer = await desk.client.head(await address_of(desk, made["id"]))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(DATA))
