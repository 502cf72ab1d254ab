"""`/docs` in Chromium: Swagger UI shows the whole description, in the colours that the reader prefers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from api.endpoints import all_operations

pytestmark = [pytest.mark.system, pytest.mark.browser]


def test_every_operation_is_shown_in_light_and_dark(new_browser: Callable[..., Any]) -> None:
    page = new_browser(color_scheme="dark")
    page.goto("/docs")
    expect(page.locator(".opblock")).to_have_count(len(all_operations()))
    expect(page.locator("html")).to_have_class(re.compile("dark-mode"))
    shown = "getComputedStyle(document.documentElement).backgroundColor"
    channels = [int(value) for value in re.findall(r"\d+", page.evaluate(shown))[:3]]
    assert max(channels) < 80, channels
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class(re.compile("dark-mode"))


def test_an_operation_shows_its_examples_and_codes(new_browser: Callable[..., Any]) -> None:
    page = new_browser()
    page.goto("/docs#/Tasks/createTask")
    block = page.locator("#operations-Tasks-createTask")
    expect(block.locator(".opblock-body")).to_contain_text("Ship the board")
    expect(block.locator(".responses-table")).to_contain_text("idempotency-key-reused")
