"""Comments on the board page: each card says how many there are, live."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import sign_in

pytestmark = pytest.mark.timeout(120)


def test_a_card_counts_what_is_said_while_somebody_looks(account: Account, new_browser: Callable[..., Any]) -> None:
    team_id = account.team("Paint the shed", "Quiet")
    task = account.task(team_id, "Paint the shed")
    page = new_browser()
    sign_in(page, account, team_id)
    badge = page.locator(f"[data-task='{task['id']}'] .talk")
    expect(badge).to_have_count(0)
    said = [account.call("POST", f"/v1/tasks/{task['id']}/comments", body=f"number {n}")["id"] for n in range(3)]
    expect(badge).to_have_text("3")
    expect(page.locator(".talk")).to_have_count(1)
    account.call("PATCH", f"/v1/comments/{said[0]}", body="otherwise")
    account.call("DELETE", f"/v1/comments/{said[1]}")
    expect(badge).to_have_text("2")
    account.call("DELETE", f"/v1/comments/{said[0]}")
    account.call("DELETE", f"/v1/comments/{said[2]}")
    expect(badge).to_have_count(0)
    assert page.evaluate("window.stayed") is True
