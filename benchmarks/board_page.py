"""The board page in headless Chromium, as a person uses it: open it, scroll to every card, drag one."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Page, async_playwright

from benchmarks.account import PASSWORD, Account

__all__ = ["BoardPage", "open_page"]

FLAGS: Final = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
SIZE: Final[Any] = {"width": 1400, "height": 900}
LIVE: Final = "#connection[data-state=live]"
PATIENCE_MS: Final = 60_000
PAINTED: Final = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
"""Milliseconds since the navigation began, once two frames have been drawn."""
SCROLLED: Final = """() => {
  const left = [...document.querySelectorAll('.column .more:not([hidden])')];
  for (const more of left) more.scrollIntoView({ block: 'end' });
  const counts = [...document.querySelectorAll('.column .count')].map((one) => Number(one.textContent));
  const all = counts.reduce((sum, one) => sum + one, 0);
  return left.length === 0 && document.querySelectorAll('.card').length === all;
}"""
"""Scroll on to what is not loaded yet; true when every card that is counted is there."""
TO_THE_TOP: Final = "() => { for (const one of document.querySelectorAll('.scroll')) one.scrollTop = 0; }"


class BoardPage:
    """One page, signed in."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url
        self._drags = 0

    async def open(self, team_id: str) -> float:
        """Seconds from the navigation to a live board on the screen."""
        await self._page.goto("about:blank")  # Another team on the same page would not be a navigation.
        await self._page.goto(f"{self._url}/#/{team_id}", wait_until="commit")
        await self._page.wait_for_selector(LIVE)
        await self._page.wait_for_selector(".card")
        return float(await self._page.evaluate(PAINTED)) / 1000

    async def load_all(self) -> None:
        """Scroll every column to its end, and back to its top."""
        await self._page.wait_for_function(SCROLLED, polling=50)
        await self._page.evaluate(TO_THE_TOP)
        await self._page.evaluate(PAINTED)

    async def drag(self) -> float:
        """Seconds for dragging a column's first card to the top of another one, until the server has confirmed it."""
        page, self._drags = self._page, self._drags + 1
        source, target = ("open", "done") if self._drags % 2 else ("done", "open")
        card = page.locator(f".column[data-status={source}] .card").first
        task, version = await card.get_attribute("data-task"), await card.get_attribute("data-version")
        goal = page.locator(f".column[data-status={target}] .card-face").first
        started = time.perf_counter()
        await card.locator(".card-face").drag_to(goal, target_position={"x": 60, "y": 4})
        moved = f".column[data-status={target}] .card[data-task='{task}']:not([data-version='{version}'])"
        await page.wait_for_selector(moved)
        await page.evaluate(PAINTED)
        return time.perf_counter() - started


@asynccontextmanager
async def open_page(url: str, account: Account, team_id: str) -> AsyncIterator[BoardPage]:
    """A signed-in page. Raises RuntimeError without Chromium, and in the end when a script of the page had an error."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("chromium is not installed; Debian's package of that name brings it")
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{url}/#/{team_id}")
        await page.fill("#in-email", account.email)
        await page.fill("#in-password", PASSWORD)
        await page.click("#sign-in button[type=submit]")
        await page.wait_for_selector(LIVE)
        yield BoardPage(page, url)
        await browser.close()
    if errors:
        raise RuntimeError(f"the page had errors: {errors}")
