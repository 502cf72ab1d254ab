"""Two look at a board while a column of thousands of tasks goes and others move its cards: both see the truth."""

import threading
from collections.abc import Callable
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import sign_in
from tests.support.proofs import share
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

TASKS: Final = share(5_000)
CLIENTS: Final = 8
MOVES: Final = 25


def filled(account: Account, team_id: str, column: str) -> list[str]:
    ids = list[str]()
    for start in range(0, TASKS, 100):
        operations = [{"op": "create", "title": f"t{start + n}", "column_id": column} for n in range(100)]
        answer = account.call("POST", "/v1/tasks/batch", team_id=team_id, operations=operations)
        ids += [task["id"] for task in answer["items"]]
    return ids


def move(account: Account, cards: list[str], target: str, done: list[str]) -> None:
    """What a client acknowledges stands in `done`; what the deletion has moved meanwhile may be moved all the same."""
    for card in cards:
        account.call("POST", f"/v1/tasks/{card}/move", column_id=target)
        done.append(card)


def shown(page: Any) -> dict[str, Any]:
    """By column its count and the cards that are on the page."""
    found: dict[str, Any] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.column')].map((column) => [column.dataset.column,
             { count: column.querySelector('.count').textContent,
               cards: [...column.querySelectorAll('.card')].map((card) => card.dataset.task) }]))"""
    )
    return found


def agrees(page: Any, board: dict[str, Any]) -> bool:
    """Whether every count is right and what is shown of each column is its top."""
    columns = shown(page)
    return columns.keys() == board.keys() and all(
        columns[one]["count"] == str(len(ids)) and ids[: len(columns[one]["cards"])] == columns[one]["cards"]
        and bool(columns[one]["cards"]) == bool(ids)
        for one, ids in board.items()
    )  # fmt: skip


def test_two_browsers_agree_with_the_board_after_a_full_column_went(
    new_browser: Callable[..., Any], account: Account, system: System
) -> None:
    team_id = account.team()
    columns = {name: column["id"] for name, column in account.columns(team_id).items()}
    leaving = account.call("POST", f"/v1/teams/{team_id}/columns", name="Leaving", category="open")["id"]
    ids, moved = filled(account, team_id, leaving), list[str]()
    pages = [new_browser() for _ in range(2)]
    for page in pages:
        sign_in(page, account, team_id)
        expect(page.locator(f".column[data-column='{leaving}'] .count")).to_have_text(str(len(ids)))
    movers = [
        threading.Thread(
            target=move, args=(account, ids[number : number + CLIENTS * MOVES : CLIENTS], columns["Done"], moved)
        )
        for number in range(CLIENTS)
    ]
    for thread in movers:
        thread.start()
    path = f"/v1/teams/{team_id}/columns/{leaving}"
    account.http.request("DELETE", f"{path}?move_to={columns['Open']}", timeout=120).raise_for_status()
    for thread in movers:
        thread.join()
    for page in pages:
        expect(page.locator(f".column[data-column='{leaving}']")).to_have_count(0, timeout=120_000)
    found = account.call("GET", f"/v1/teams/{team_id}/board")
    board = {column["id"]: [task["id"] for task in column["tasks"]] for column in found["columns"]}
    assert sorted(task for column in board.values() for task in column) == sorted(ids)
    assert set(moved) == set(board[columns["Done"]])
    assert len(moved) == min(CLIENTS * MOVES, len(ids))
    for page in pages:
        eventually(lambda page=page: agrees(page, board), "the page agrees with the server")  # type: ignore[misc]
        assert page.evaluate("window.stayed")
