"""Chromium for the tests of pages: contexts with a storage of their own, signing in, and axe-core."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.account import PASSWORD, Account
from tests.support.source import ROOT
from tests.support.system import System

__all__ = ["AXE", "CHROMIUM", "LIVE", "chromium", "enter", "new_browser", "sign_in", "violations"]

CHROMIUM = shutil.which("chromium")
AXE = ROOT / "tests/support/axe/node_modules/axe-core/axe.min.js"
"""`npm ci --prefix tests/support/axe` puts it there."""
LIVE = "#connection[data-state=live]"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One for a file: as long as it is there, so is its event loop, beside which no asynchronous test could run."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    playwright_api.expect.set_options(timeout=15_000)
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_browser(chromium: Any, system: System) -> Iterator[Callable[..., Any]]:
    """Opens pages, each in a browser context of its own (own storage); a script error anywhere fails the test."""
    errors: list[str] = []
    with contextlib.ExitStack() as stack:

        def open_page(**options: Any) -> Any:
            size = {"width": 1400, "height": 900}
            context = chromium.new_context(**{"base_url": system.url, "viewport": size, **options})
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if "Policy" in message.text else None)
            return page

        yield open_page
    assert errors == []


def enter(page: Any, account: Account, password: str = PASSWORD) -> None:
    """Fill in the form and send it."""
    page.fill("#in-email", account.email)
    page.fill("#in-password", password)
    page.click("#sign-in button[type=submit]")


def sign_in(page: Any, account: Account, team_id: str) -> None:
    """Sign in by the form and wait for the live board; `window.stayed` then tells whether the page was reloaded."""
    page.goto(f"/#/{team_id}")
    enter(page, account)
    page.wait_for_selector(LIVE)
    page.evaluate("window.stayed = true")


def violations(page: Any) -> list[str]:
    """What axe-core finds that is serious or critical, as the rule and where it is broken.

    It runs over the debugger's connection: the page's own policy allows no script from elsewhere. Colours are looked at
    once nothing moves any more.
    """
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => null)))")
    page.evaluate(AXE.read_text() + "; null")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((results) => results.violations)")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
        if one["impact"] in {"serious", "critical"}
    ]
