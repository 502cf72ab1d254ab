"""Each page of a search brought all text of the board to lower case in one go: up to 210 ms for 1,000 long tasks."""

from uuid import UUID

import pytest

from actors import board, search
from actors.board import TeamView
from actors.slices import in_slices
from api.rest_v1 import REST_V1
from core.query import TaskQuery, search_text
from core.task import Task
from tests.support.core_team import CoreTeam
from tests.support.desk import Desk
from tests.support.turns import most_in_one_turn

pytestmark = pytest.mark.anyio

LENGTH = 20_000


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks whose text is brought to lower case, as it happens."""
    seen: list[Task] = []

    def counted(task: Task) -> str:
        seen.append(task)
        return search_text(task)

    monkeypatch.setattr(search, "search_text", counted)
    return seen


def a_board(tasks: int, length: int) -> TeamView:
    team = CoreTeam()
    for number in range(tasks):
        team.task(f"Task {number}", description="Ю" * length)
    return TeamView(team.state)


async def test_much_text_is_searched_in_slices(lowered: list[Task]) -> None:
    view, query = a_board(60, LENGTH), TaskQuery(q="missing")
    assert view.ready_page(query, REST_V1) is None
    assert not lowered, "the hot path must not begin what it cannot end"

    def characters() -> int:
        return sum(len(task.description) for task in lowered)

    most = await most_in_one_turn(in_slices(view.page_in_slices(query, REST_V1)), characters)
    assert characters() == 60 * LENGTH
    assert most <= search.SLICE + LENGTH
    assert view.ready_page(query, REST_V1) == b'{"items":[],"next_cursor":null}'


async def test_a_task_is_brought_to_lower_case_once(lowered: list[Task]) -> None:
    view = a_board(60, LENGTH)
    for words in ("a", "ab", "abc"):
        await in_slices(view.page_in_slices(TaskQuery(q=words), REST_V1))
    assert len(lowered) == 60


async def test_many_tasks_are_filtered_in_slices() -> None:
    view = a_board(200, 0)
    query = TaskQuery(parent=(None,), status=("done",))
    page = search.find_tasks(query, view._order("created_at"), view.state.tasks, search.SearchTexts())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SLICE", 10 * search.TASK_COST)
        assert sum(1 for _ in page) == 20
    assert search.cost_of(TaskQuery(parent=(None,)), 10_000, 0) > board.LONG
    assert view.ready_page(TaskQuery(), REST_V1) is not None


async def test_a_page_that_is_soon_found_is_made_at_once_however_large_the_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages of one status were made off the hot path after every change, from a copy of the whole board."""
    monkeypatch.setattr(search, "SLICE", 20 * search.TASK_COST)
    view = a_board(100, 0)
    assert view.ready_page(TaskQuery(status=("open",), limit=10), REST_V1) is not None
    assert view.ready_page(TaskQuery(status=("done",), limit=10), REST_V1) is None
    assert view.ready_page(TaskQuery(status=("open",), limit=30), REST_V1) is None


async def test_a_long_search_answers_over_http_as_a_short_one(desk: Desk) -> None:
    words = "Ж" * 15_000
    tasks = [await desk.task(f"Long {number}", description=words) for number in range(30)]
    path = f"/v1/tasks?team_id={desk.team}&q=жжж&limit=20"
    view = desk.site.services.teams.peek(UUID(desk.team))
    assert view is not None
    query = TaskQuery(q="жжж", limit=20)
    assert view.ready_page(query, REST_V1) is None
    first = await desk.get(path)
    assert first.status_code == 200
    assert first.content == TeamView(view.state).page(query, REST_V1)
    assert first.headers["taskforge-seq"] == str(view.seq)
    again = await desk.get(path, **{"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    second = await desk.get(f"{path}&cursor={first.json()['next_cursor']}")
    seen = [task["id"] for answer in (first, second) for task in answer.json()["items"]]
    assert seen == [task["id"] for task in reversed(tasks)]


async def test_a_board_of_many_tasks_is_encoded_in_slices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.task("One of many")
    monkeypatch.setattr(board, "LONG", 0)
    monkeypatch.setattr(board, "SLICE", 1)
    view = desk.site.services.teams.peek(UUID(desk.team))
    assert view is not None
    view.reload(view.state)
    assert view.ready_board(REST_V1) is None
    answer = await desk.get(f"/v1/teams/{desk.team}/board")
    assert answer.status_code == 200
    assert answer.content == TeamView(view.state).board(REST_V1)
