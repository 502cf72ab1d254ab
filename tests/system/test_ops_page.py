"""The operators' page in Chromium: light and dark, found well by axe-core, and a replay by clicks, audited."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import expect

from streams.settings import KafkaSettings
from tests.support.browser import AXE, violations
from tests.support.letters import Source, bury
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.system,
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci --prefix tests/support/axe"),
]

CAUSE = "the server said <script>alert(1)</script> 535 Authentication failed"


def bury_some(system: System, count: int) -> None:
    """As the consumer of mails leaves them; for a thread, because the browser has this one's event loop."""
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{system.port('kafka')}")

    async def all_of_them() -> None:
        for _ in range(count):
            source = Source(b"no job at all", [("event_id", b"odd")], topic="taskforge.mail.v1")
            await bury(kafka, "mail", source, ConnectionError(CAUSE))

    asyncio.run(all_of_them())


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_dead_letters_are_looked_at_and_tried_again_by_clicks(
    new_browser: Callable[..., Any], system: System, colours: str
) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(bury_some, system, 3).result()
    page = new_browser(color_scheme=colours, base_url=f"http://127.0.0.1:{system.port('ops')}")
    page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
    row = page.locator("tr", has=page.get_by_role("rowheader", name="mail", exact=True))

    def shows_them() -> bool:
        page.goto("/ops")
        return bool(row.count()) and not row.get_by_role("link").inner_text().startswith("0")

    eventually(shows_them, "the dead letters are counted")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    row.get_by_role("link").click()
    expect(page.locator("td.cause").first).to_contain_text(CAUSE)
    assert violations(page) == []

    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="Headers")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Dry run: nothing was sent")).to_be_visible()
    page.get_by_label("Who you are").fill("ann")
    page.get_by_label("Why, for the audit").fill(f"to try it in {colours}")
    assert violations(page) == []
    page.get_by_role("button", name="Send 1 letter again").click()
    expect(page.get_by_text("1 letter sent to where they failed")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("section", has_text="Replays")).to_contain_text(f"to try it in {colours}")
    assert violations(page) == []


def test_it_fits_a_telephone(new_browser: Callable[..., Any], system: System) -> None:
    size = {"width": 390, "height": 780}
    page = new_browser(viewport=size, base_url=f"http://127.0.0.1:{system.port('ops')}")
    row = page.get_by_role("rowheader", name="notifications")

    def shows_consumers() -> bool:
        page.goto("/ops")
        return bool(row.count())

    eventually(shows_consumers, "the worker has looked at its consumers")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
