"""A page sorted by title gave a cursor of up to 2,700 characters, and the next request refused all above 2,000."""

import pytest

from tests.support.desk import Desk

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("archived", [False, True])
async def test_the_longest_titles_have_a_next_page(desk: Desk, archived: bool) -> None:
    team = await desk.new_team()
    for number in range(2):
        body = {"team_id": team, "title": "😀" * 499 + str(number)}
        task = (await desk.post("/v1/tasks", body)).json()
        if archived:
            await desk.delete(f"/v1/tasks/{task['id']}")
    path = f"/v1/tasks?team_id={team}&sort=title&limit=1&archived={str(archived).lower()}"
    first = (await desk.get(path)).json()
    second = await desk.get(f"{path}&cursor={first['next_cursor']}")
    assert second.status_code == 200
    assert [task["title"][-1] for task in (*first["items"], *second.json()["items"])] == ["0", "1"]
