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
TOPS: Final = """async (columns) => {
  const moving = document.getAnimations().filter((one) => one.effect.target?.closest('.columns'));
  await Promise.all(moving.map((one) => one.finished.catch(() => null)));
  return columns.map((status) => {
    const card = document.querySelector(`.column[data-status=${status}] .card`);
    const { left, top } = card.getBoundingClientRect();
    return { x: left + 60, y: top + 8, task: card.dataset.task, version: card.dataset.version };
  });
}"""
"""Once all cards stand still: where the first of each column is taken, which is also where to drop one above it."""
MOVED: Final = """([status, task, version]) => {
  const card = document.querySelector(`.column[data-status=${status}] .card[data-task="${task}"]`);
  return card !== null && card.dataset.version !== version;
}"""
"""Whether the card is in the column, in another version than before."""
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
        """Seconds for dragging a column's first card to the top of another one, until the server has confirmed it.

        By the mouse and the document's own selectors: those of the driver go through every card, and are not the page.
        """
        page, self._drags = self._page, self._drags + 1
        source, target = ("open", "done") if self._drags % 2 else ("done", "open")
        grip, goal = await page.evaluate(TOPS, [source, target])
        started = time.perf_counter()
        await page.mouse.move(grip["x"], grip["y"])
        await page.mouse.down()
        await page.mouse.move(goal["x"], goal["y"], steps=4)
        await page.mouse.up()
        await page.wait_for_function(MOVED, arg=[target, grip["task"], grip["version"]], polling=10)
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
