"""Signing in by a real OpenID provider (npm's `oidc-provider`) in a real browser, against the whole system."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from taskforge.devstack.ports import free_port
from tests.support.account import PASSWORD
from tests.support.browser import LIVE
from tests.support.directories import open_directory
from tests.support.oidc_provider import ABSENT, CLIENT, OidcProvider, providing
from tests.support.system import System

pytestmark = [
    pytest.mark.skipif(ABSENT, reason="npm's oidc-provider is not installed in tests/support/oidc_provider"),
    pytest.mark.timeout(180),
]

PROVIDER_PORT = free_port()


@pytest.fixture(scope="module")
def system(services_root: Path) -> Iterator[System]:
    issuer = {"name": "idp", "issuer": f"http://127.0.0.1:{PROVIDER_PORT}", "label": "Test & Co"}
    issuer |= {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
    with open_directory(services_root) as directory:
        system = System(directory, environment={"TASKFORGE_AUTH__ISSUERS": json.dumps([issuer])})
        try:
            system.start()
            yield system
            assert system.stop() == 0, system.said()[-4000:]
        finally:
            system.kill()


@pytest.fixture(scope="module")
def provider(system: System) -> Iterator[OidcProvider]:
    with providing(PROVIDER_PORT, f"{system.url}/v1/auth/oidc/idp/callback") as running:
        yield running


@pytest.fixture
def page(new_browser: Callable[..., Any]) -> Any:
    return new_browser()


def sign_in(page: Any, name: str) -> None:
    """From our page to the provider's forms, and back to a board or the founding of a team."""
    page.goto("/")
    page.get_by_role("link", name="Continue with Test & Co").click()
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", "any password")
    page.click("button[type=submit]")
    page.wait_for_selector("input[name=prompt][value=consent]", state="attached")
    page.click("button[type=submit]")


def test_a_newcomer_signs_in_founds_a_team_and_comes_back(page: Any, provider: OidcProvider, system: System) -> None:
    sign_in(page, "kim")
    page.fill("#found-name", "Platform")
    page.click("#found button[type=submit]")
    page.wait_for_selector(LIVE)
    expect(page.locator("#me")).to_have_text(re.compile(r"Kim$"))
    assert page.url.startswith(f"{system.url}/#/")
    page.reload()
    page.wait_for_selector(LIVE)
    page.click("#sign-out")
    page.get_by_role("link", name="Continue with Test & Co").click()
    page.wait_for_selector(LIVE)
    expect(page.locator("#teams option:checked")).to_have_text("Platform")


def test_no_token_is_in_an_address_and_nothing_of_the_sign_in_stays(page: Any, provider: OidcProvider) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    sign_in(page, "ada")
    page.wait_for_selector("#found-name")
    assert any("/callback?" in url for url in seen)
    assert not [url for url in seen if "tfs_" in url.partition("#")[0] or "tfr_" in url or "access_token" in url]
    assert "code=" not in page.url
    assert not [cookie for cookie in page.context.cookies() if cookie["name"].endswith("taskforge-sign-in")]


def test_who_changes_their_mind_is_told_so_on_the_page(page: Any, provider: OidcProvider) -> None:
    page.goto("/")
    page.get_by_role("link", name="Continue with Test & Co").click()
    page.click("a[href$='/abort']")
    page.wait_for_selector("#sign-in")
    expect(page.locator("#gate-note")).to_have_text("The sign-in was cancelled.")
    assert page.url.endswith("/")


def test_an_address_that_is_taken_is_said_and_linked_after_its_password(
    page: Any, provider: OidcProvider, system: System
) -> None:
    page.goto("/")
    page.click("#to-sign-up")
    for field, value in (("name", "Eve"), ("email", "eve@example.org"), ("password", PASSWORD)):
        page.fill(f"#up-{field}", value)
    page.click("#sign-up button[type=submit]")
    page.wait_for_selector("#found-name")
    page.evaluate("localStorage.clear()")
    sign_in(page, "eve")
    page.wait_for_selector("#gate-note:has-text('already')")
    page.fill("#in-email", "eve@example.org")
    page.fill("#in-password", PASSWORD)
    page.click("#sign-in button[type=submit]")
    page.wait_for_selector(".toast:has-text('Linked')")
    page.evaluate("localStorage.clear()")
    page.goto("/")
    page.get_by_role("link", name="Continue with Test & Co").click()
    page.wait_for_selector("#found-name")


def test_a_provider_that_is_away_is_said_on_the_page(page: Any, provider: OidcProvider) -> None:
    page.goto("/sign-in#error=unavailable")
    page.wait_for_selector("#gate-note:has-text('cannot be reached')")
    assert page.url.endswith("/")


def test_an_account_links_and_unlinks_an_identity_on_its_page(page: Any, provider: OidcProvider) -> None:
    page.goto("/")
    page.click("#to-sign-up")
    for field, value in (("name", "Lin"), ("email", "lin-here@example.org"), ("password", PASSWORD)):
        page.fill(f"#up-{field}", value)
    page.click("#sign-up button[type=submit]")
    page.wait_for_selector("#found-name")
    page.goto("/account")
    page.get_by_role("link", name="Link Test & Co").click()
    page.fill("input[name=login]", "lin")
    page.fill("input[name=password]", "any password")
    page.click("button[type=submit]")
    page.wait_for_selector("input[name=prompt][value=consent]", state="attached")
    page.click("button[type=submit]")
    row = page.locator("#linked .row")
    row.wait_for()
    assert page.url.endswith("/account#identities")
    row.get_by_role("button").click()
    page.click(".question[open] button:has-text('Unlink')")
    row.wait_for(state="detached")
