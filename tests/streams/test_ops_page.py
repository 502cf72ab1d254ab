"""The operators' page of a worker: who may see it, what it shows, and a replay by its forms."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import structs

from api.health import Health
from api.metrics import Metrics
from api.settings import OpsSettings
from core.secret import Secret
from db import dead_letters
from db.pool import Pools
from streams.cloud_events import cloud_event
from streams.kafka.topics import event_headers
from taskforge.contradictions import contradictions
from taskforge.operators import listening
from taskforge.ops.page import OpsPage
from taskforge.settings import Settings
from tests.support.journal_writer import JournalWriter
from tests.support.letters import Source, bury
from tests.support.waiting import until
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"
TOKEN = "a token of twenty-four or more characters"


def basic(name: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


@pytest.fixture
def page(settings: Settings) -> OpsPage:
    return OpsPage(settings)


@pytest.fixture
async def http(page: OpsPage) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of this machine; the page shows no process yet."""
    async with (
        listening(HOST, 0, Health(), Metrics(), page=page) as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30) as client,
    ):
        yield client


async def test_lag_retries_dead_letters_and_their_causes_are_shown_and_tried_again_after_a_dry_run(
    settings: Settings, page: OpsPage, http: httpx.AsyncClient, journal: JournalWriter, pools: Pools
) -> None:
    (row,) = [one.row for one in await journal.append(await journal.team(), 1)]
    async with working(settings, "notifications", "relay") as process:
        with page.showing(process):
            source = Source(cloud_event(row), event_headers(row, "one"))
            await bury(settings.kafka, "notifications", source, ConnectionError("<b>no route</b>"))
            await until(lambda: any(one.dead for one in process.failures.statistics().backlogs))

            shown = (await http.get("/ops")).text
            assert '<a href="/ops/dead-letters?consumer=notifications">1<' in shown
            assert "1 running, 0 events wait" in shown
            listed = (await http.get("/ops/dead-letters", params={"consumer": "notifications"})).text
            assert "&lt;b&gt;no route&lt;/b&gt;" in listed
            assert "<b>no route" not in listed
            one = (await http.get("/ops/dead-letters/notifications:0:0")).text
            assert row.type in one
            assert '"task"' not in one

            dry = await http.post("/ops/dry-run", data={"id": "notifications:0:0"})
            assert "Send 1 letter again" in dry.text
            assert await dead_letters.newest(pools.worker, 10) == []
            form = {"id": "notifications:0:0", "who": "ann", "why": "the <route> is back"}
            done = await http.post("/ops/replay", data=form)
            assert "1 letter sent" in done.text
            await until(lambda: consumer_of(process).applied + consumer_of(process).passed >= 1)
            (audit,) = await dead_letters.newest(pools.worker, 10)
            assert (audit.who, audit.why, audit.letters) == ("ann", form["why"], 1)
            overview = (await http.get("/ops")).text
            assert "the &lt;route&gt; is back" in overview
            again = await http.post("/ops/dry-run", data={"consumer": "notifications", "error": "NO ROUTE"})
            assert "was sent again before" in again.text
    assert (await http.get("/ops")).status_code == 503


async def test_forms_that_cannot_be_meant_change_nothing(
    settings: Settings, page: OpsPage, http: httpx.AsyncClient, pools: Pools
) -> None:
    async with working(settings, "mail") as process:
        with page.showing(process):
            await bury(settings.kafka, "mail", Source(b"x", []), ValueError("no"))
            letter = {"id": "mail:0:0", "who": "ann", "why": "a test"}
            for path, form in (
                ("dry-run", {}),
                ("dry-run", {"id": "mail-0"}),
                ("dry-run", {"consumer": "cook"}),
                ("replay", {"who": "ann", "why": "a test"}),
                ("replay", {**letter, "why": " "}),
                ("replay", {"id": "mail:0:0", "why": "a test"}),
                ("replay", {**letter, "why": "x" * 70_000}),
            ):
                assert (await http.post(f"/ops/{path}", data=form)).status_code == 422, (path, form)
            for headers in (
                {"origin": "https://evil.example"},
                {"origin": "null"},
                {"sec-fetch-site": "cross-site"},
                {"origin": f"http://{HOST}:1"},
            ):
                assert (await http.post("/ops/replay", data=letter, headers=headers)).status_code == 403, headers
            assert (await http.get("/ops/replay", params=letter)).status_code == 404
            assert (await http.get("/ops/dead-letters/mail:0:99")).status_code == 404
            assert await dead_letters.newest(pools.worker, 10) == []
            ours = {"origin": str(http.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
            assert (await http.post("/ops/replay", data=letter, headers=ours)).status_code == 200
            assert len(await dead_letters.newest(pools.worker, 10)) == 1


async def test_without_a_token_the_page_is_for_this_machine_under_a_name_of_its_own(http: httpx.AsyncClient) -> None:
    """A name that somebody has made to point to this machine is how a page of theirs would get in."""
    assert (await http.get("/ops", headers={"host": "evil.example"})).status_code == 404
    assert (await http.get("/ops", headers={"host": "localhost:99"})).status_code == 503
    answer = await http.get("/ops")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert answer.headers["cache-control"] == "no-store"
    for path, kind in (("board.css", "text/css"), ("ops.css", "text/css"), ("icon.svg", "image/svg+xml")):
        asset = await http.get(f"/assets/board/{path}")
        assert (asset.status_code, asset.headers["content-type"].partition(";")[0]) == (200, kind)
    assert (await http.get("/assets/board/board.js")).status_code == 404


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_with_a_token_only_who_knows_it_gets_in_and_the_audit_has_their_name(
    settings: Settings, pools: Pools, mode: Any
) -> None:
    guarded = structs.replace(settings, mode=mode, ops=OpsSettings(token=Secret(TOKEN)))
    page = OpsPage(guarded)
    async with (
        listening(HOST, 0, Health(), Metrics(), page=page) as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30) as http,
    ):
        for header in ("", "Basic", "Basic !", basic("ann", "wrong"), basic("", TOKEN), f"Bearer {TOKEN}"):
            answer = await http.get("/ops", headers={"authorization": header})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        async with working(settings, "mail") as process:
            with page.showing(process):
                await bury(settings.kafka, "mail", Source(b"x", []), ValueError("no"))
                ann = {"authorization": basic("ann", TOKEN)}
                assert (await http.get("/ops", headers=ann)).status_code == 200
                form = {"id": "mail:0:0", "who": "somebody else", "why": "a test"}
                assert (await http.post("/ops/replay", data=form, headers=ann)).status_code == 200
        (audit,) = await dead_letters.newest(pools.worker, 10)
        assert audit.who == "ann"


async def test_in_production_there_is_no_page_without_a_token(settings: Settings) -> None:
    page = OpsPage(structs.replace(settings, mode="production"))
    async with (
        listening(HOST, 0, Health(), Metrics(), page=page) as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as http,
    ):
        for path in ("/ops", "/ops/dead-letters", "/assets/board/ops.css"):
            assert (await http.get(path)).status_code == 404
        assert (await http.get("/healthz")).status_code == 200


def test_a_short_token_is_refused(settings: Settings) -> None:
    short = structs.replace(settings, ops=OpsSettings(token=Secret("short")))
    assert [line for line in contradictions(short) if line.startswith("TASKFORGE_OPS__TOKEN")]
