"""Too many attempts to sign in: the page says in how long it is worth trying again."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.directories import open_directory
from tests.support.rates import few, variables_of
from tests.support.system import System

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def system(services_root: Path) -> Iterator[System]:
    with open_directory(services_root) as directory:
        system = System(directory, environment=variables_of(few(login=2, login_seconds=600)))
        try:
            system.start()
            yield system
            assert system.stop() == 0, system.said()[-4000:]
        finally:
            system.kill()


def test_a_sign_in_over_the_limit_says_when_to_try_again(new_browser: Callable[..., Any]) -> None:
    page = new_browser()
    page.goto("/")
    page.fill("#in-email", "nobody@example.com")
    page.fill("#in-password", "a wrong guess")
    for _ in range(3):
        with page.expect_response("**/v1/auth/login"):
            page.click("#sign-in button[type=submit]")
    said = re.compile(r"^Too many attempts\. Try again in ([2-9]|10) minutes\.$")
    expect(page.locator("#sign-in [role=alert]")).to_have_text(said)
