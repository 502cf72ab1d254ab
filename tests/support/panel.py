"""The panel of a task in a browser, and other people of its team."""

from typing import Any

from tests.support.account import Account
from tests.support.browser import sign_in

__all__ = ["guest_of", "open_panel"]


def guest_of(owner: Account, guest: Account, team_id: str, role: str) -> str:
    """The guest joins the team by an invitation. Gives the id of the guest."""
    link = owner.call("POST", f"/v1/teams/{team_id}/invitations", role=role)
    user_id: str = guest.call("POST", "/v1/invitations/accept", token=link["token"])["user_id"]
    return user_id


def open_panel(page: Any, account: Account, team_id: str, title: str) -> None:
    """Sign in and open the task with this title; what is below its fields has been loaded."""
    sign_in(page, account, team_id)
    page.locator(".card-face", has_text=title).click()
    page.locator(".happened").first.wait_for()
