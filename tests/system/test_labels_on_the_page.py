"""Labels of any colour on the board page, in light and dark: each can be told from the card that it is on."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import sign_in

pytestmark = pytest.mark.timeout(120)

CONTRAST = """(label) => {
    const light = (colour) => {
        const canvas = document.createElement("canvas").getContext("2d");
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const channels = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => one / 255);
        const [r, g, b] = channels.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ring = light(getComputedStyle(label, "::before").borderTopColor);
    const around = light(getComputedStyle(label).backgroundColor);
    const [high, low] = [ring, around].toSorted((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
}"""
"""Of the ring around a label's dot, to what is around it (WCAG 2.2, relative luminance)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dark_label_in_the_dark_and_a_pale_one_in_the_light_are_seen(
    new_browser: Callable[..., Any], account: Account, scheme: str
) -> None:
    team_id = account.team("plan")
    colours = {"night": "#0b0d12", "snow": "#fdfdfb", "middle": "#8a8f98"}
    labels = [
        account.call("POST", f"/v1/teams/{team_id}/labels", name=name, color=color)["id"]
        for name, color in colours.items()
    ]
    account.call("PATCH", f"/v1/tasks/{account.task(team_id, 'plan')['id']}", label_ids=labels)
    page = new_browser(color_scheme=scheme)
    sign_in(page, account, team_id)
    shown = page.locator(".card .label")
    expect(shown).to_have_count(3)
    for index in range(3):
        expect(shown.nth(index)).to_have_css("border-top-width", "1px")
        assert shown.nth(index).evaluate(CONTRAST) >= 3, "what WCAG asks of parts of a page (1.4.11)"
