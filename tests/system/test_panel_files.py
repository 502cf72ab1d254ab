"""The files in the panel of a task: dropped, chosen, refused, saved, deleted, and seen by others at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.panel import open_panel
from tests.support.pictures import png

pytestmark = pytest.mark.timeout(120)

DROP = """
([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, { type: "text/plain" }));
  const place = document.querySelector("#p-description");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    place.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}
"""


def test_a_dropped_file_appears_for_others_and_can_be_saved(account: Account, new_browser: Callable[..., Any]) -> None:
    team_id = account.team("Paint")
    here, there = new_browser(), new_browser()
    for page in (here, there):
        open_panel(page, account, team_id, "Paint")
    here.evaluate(DROP, ["plan.txt", "a plan for the shed"])
    for page in (here, there):
        expect(page.locator(".file-name")).to_have_text("plan.txt")
        expect(page.locator(".file .help")).to_contain_text("19 bytes")
    expect(here.locator(".sending")).to_have_count(0)
    with there.expect_download() as download:
        there.click(".file-name")
    assert download.value.path().read_text() == "a plan for the shed"
    assert download.value.suggested_filename == "plan.txt"
    here.click(".file [data-does=delete]")
    here.click(".question .destructive")
    for page in (here, there):
        expect(page.locator(".file")).to_have_count(0)
        expect(page.locator("#files-none")).to_be_visible()
    expect(here.locator("#files-heading")).to_be_focused()


def test_a_picture_shows_what_is_on_it(account: Account, new_browser: Callable[..., Any]) -> None:
    page = new_browser()
    open_panel(page, account, account.team("Paint"), "Paint")
    page.set_input_files("#file-input", {"name": "red.png", "mimeType": "image/png", "buffer": png(64, 48)})
    expect(page.locator(".thumbnail img")).to_be_visible()
    with page.expect_download() as download:
        page.click(".file-name")
    assert download.value.path().read_bytes() == png(64, 48)


def test_what_is_refused_says_why_and_the_rest_arrives(
    account: Account, new_browser: Callable[..., Any], tmp_path: Path
) -> None:
    page = new_browser()
    open_panel(page, account, account.team("Paint"), "Paint")
    large, small = tmp_path / "large.bin", tmp_path / "small.txt"
    with large.open("wb") as file:
        file.truncate(26 * 1024 * 1024)
    small.write_text("small")
    page.set_input_files("#file-input", [large, small])
    expect(page.locator("#files-sending [role=alert]")).to_contain_text("large.bin: The body must be at most")
    expect(page.locator(".file-name")).to_have_text("small.txt")
    page.click("#files-sending button")
    expect(page.locator("#files-sending li")).to_have_count(0)
