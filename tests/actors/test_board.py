"""Ready answers in more than one representation: from one board, kept apart, dropped together, weighed together."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec import structs

from actors import board
from actors.board import TeamView
from actors.ports import ColumnTop, Representation
from actors.slices import at_once
from api.rest_v1 import REST_V1
from core.columns import Column
from core.commands import ArchiveTask, MoveTask, UpdateTask
from core.query import SortKey, TaskQuery
from core.task import STATUSES, Task, TaskPatch
from tests.support.actor_harness import OWNER, Ports, new_task, new_team, retitle
from tests.support.asking import by
from tests.support.core_team import CoreTeam
from tests.support.representations import LISTS, PAGES

pytestmark = pytest.mark.anyio

QUERY = TaskQuery(limit=2)


class Counting:
    """Another representation, which counts what it is asked to make."""

    def __init__(self, shown: Representation, *, reuses_events: bool) -> None:
        self.reuses_events = reuses_events
        self.tasks = self.pages = self.boards = 0
        self._shown = shown

    def task(self, task: Task) -> bytes:
        self.tasks += 1
        return self._shown.task(task)

    def page(self, tasks: Sequence[bytes], query: TaskQuery, last: SortKey | None, epoch: int) -> bytes:
        self.pages += 1
        return self._shown.page(tasks, query, last, epoch)

    def board(self, seq: int, epoch: int, columns: Sequence[tuple[Column, Sequence[bytes]]]) -> bytes:
        self.boards += 1
        return self._shown.board(seq, epoch, columns)

    def board_top(self, seq: int, epoch: int, columns: Sequence[ColumnTop]) -> bytes:
        self.boards += 1
        return self._shown.board_top(seq, epoch, columns)

    @property
    def made(self) -> tuple[int, int, int]:
        return self.tasks, self.pages, self.boards


async def test_the_top_of_a_board_encodes_nothing_of_the_rest() -> None:
    team = CoreTeam()
    tasks = [team.task(f"t{n}") for n in range(30)]
    view, shown = TeamView(team.state), Counting(LISTS, reuses_events=True)
    top = msgspec.json.decode(view.board_top(3, shown))
    assert [(column[0], column[1], len(column[2])) for column in top["columns"]] == [
        ("open", 30, 3), ("in_progress", 0, 0), ("in_review", 0, 0), ("done", 0, 0), ("cancelled", 0, 0)
    ]  # fmt: skip
    assert [task["title"] for task in top["columns"][0][2]] == ["t0", "t1", "t2"]
    assert top["columns"][0][3][2] == str(tasks[2].id)
    assert top["columns"][1][3] is None
    assert shown.tasks == 3
    assert view.board_top(3, shown) is view.board_top(3, shown)
    state = view.state.fork()
    state.put_on_board(structs.replace(tasks[1], title="changed", version=99))
    state.seq += 1
    view.advance(state, {tasks[1].id: None})
    again = msgspec.json.decode(view.board_top(3, shown))
    assert [task["title"] for task in again["columns"][0][2]] == ["t0", "changed", "t2"]
    assert (again["seq"], shown.tasks) == (state.seq, 4)
    assert msgspec.json.decode(view.board_top(30, shown))["columns"][0][3] is None


async def test_a_large_board_is_put_together_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "JOINED_AT_ONCE", 4)
    team = CoreTeam()
    for number in range(30):
        team.task(f"t{number}", status=STATUSES[number % 3])
    view = TeamView(team.state)
    assert view.ready_board(REST_V1) is None
    joined = at_once(view.join_in_slices(REST_V1))
    assert [len(pieces) for _, pieces in joined.columns] == [3, 3, 3, 0, 0]
    made = REST_V1.board(view.seq, view.epoch, joined.columns)
    assert made == TeamView(team.state).board(REST_V1)
    assert [len(column["tasks"]) for column in msgspec.json.decode(made)["columns"]] == [10, 10, 10, 0, 0]
    view.keep(joined, made, REST_V1)
    assert view.ready_board(REST_V1) is made


async def test_a_board_that_went_on_meanwhile_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "JOINED_AT_ONCE", 4)
    team = CoreTeam()
    tasks = [team.task(f"t{n}") for n in range(30)]
    view = TeamView(team.state)
    whole, seq = TeamView(team.state).board(REST_V1), view.seq
    steps = view.join_in_slices(REST_V1)
    next(steps)
    state = view.state.fork()
    state.put_on_board(structs.replace(tasks[28], title="changed", version=99))
    state.seq += 1
    view.advance(state, {tasks[28].id: None})
    joined = at_once(steps)
    made = REST_V1.board(joined.state.seq, joined.state.epoch, joined.columns)
    assert (joined.state.seq, made) == (seq, whole)
    view.keep(joined, made, REST_V1)
    assert view.ready_board(REST_V1) is None


def read_all(view: TeamView, *shown: Representation) -> None:
    for representation in shown:
        view.page(QUERY, representation)
        view.board(representation)
        for task_id in [task.id for task in view.state.tasks.values()]:
            view.task(task_id, representation)


async def test_one_board_is_shown_in_two_representations() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        ids = [await new_task(system, team, f"t{n}", assignee_id=OWNER) for n in range(3)]
        view = await system.view(team)
        old, new = (msgspec.json.decode(view.page(QUERY, shown)) for shown in (LISTS, PAGES))
        latest = [str(ids[2]), str(ids[1])]
        assert [task["id"] for task in old["items"]] == [task["id"] for task in new["data"]] == latest
        assert (old["items"][0]["assignee_id"], new["data"][0]["assignee_ids"]) == (str(OWNER), [str(OWNER)])
        assert new["page"] == {"last": old["last"], "has_more": True}
        columns, data = (msgspec.json.decode(view.board(shown)) for shown in (LISTS, PAGES))
        assert (columns["seq"], data["at"]) == (6, "1:6")
        assert [task["title"] for task in data["data"]["open"]] == ["t0", "t1", "t2"]
        first = view.task(ids[0], PAGES)
        assert first is not None
        assert first == (4, msgspec.json.encode(data["data"]["open"][0]))


async def test_what_is_ready_is_made_once_for_each_representation() -> None:
    ports = Ports()
    one, other = Counting(LISTS, reuses_events=True), Counting(PAGES, reuses_events=False)
    async with ports.system() as system:
        team = await new_team(system)
        for n in range(3):
            await new_task(system, team, f"t{n}")
        view = await system.view(team)
        for _ in range(2):
            read_all(view, one, other)
            assert one.made == other.made == (3, 1, 1)


async def test_a_change_drops_what_it_touches_in_every_representation() -> None:
    ports = Ports()
    one, other = Counting(LISTS, reuses_events=True), Counting(PAGES, reuses_events=False)
    async with ports.system() as system:
        team = await new_team(system)
        ids = [await new_task(system, team, f"t{n}") for n in range(3)]
        view = await system.view(team)
        read_all(view, one, other)
        await retitle(system, team, ids[0], "changed")
        read_all(view, one, other)
        assert one.made == (3, 2, 2), "the bytes in the event are those of this representation"
        assert other.made == (4, 2, 2)
        for shown in (one, other):
            assert b'"changed"' in view.board(shown)
            assert view.board(shown) == TeamView(view.state).board(shown)


async def test_a_representation_gets_the_tasks_whose_rank_alone_changed() -> None:
    """They are in the event's `ranks`, without bytes of their own."""
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        ids = [await new_task(system, team, f"t{n}") for n in range(3)]
        view = await system.view(team)
        spread = False
        for turn in range(200):
            read_all(view, LISTS, PAGES)
            # Two tasks below a third take turns in the gap between it and the upper one of them.
            move = MoveTask(task_id=ids[2 - turn % 2], before_id=ids[1 + turn % 2])
            result = await system.ask(team, move, by(OWNER))
            spread = spread or any(b'"ranks"' in event.row.payload for event in result.events)
            fresh = TeamView(view.state)
            assert [view.board(shown) for shown in (LISTS, PAGES)] == [fresh.board(shown) for shown in (LISTS, PAGES)]
        assert spread, "some move left no room and spread its neighbours"


async def test_a_task_that_left_the_board_is_ready_in_no_representation() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        view = await system.view(team)
        read_all(view, LISTS, PAGES)
        await system.ask(team, ArchiveTask(task), by(OWNER))
        for shown in (LISTS, PAGES):
            assert view.task(task, shown) is None
            assert task not in view._ready[shown].tasks


async def test_the_weight_counts_every_representation() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        await new_task(system, team, "t", description="d" * 1_000)
        view = await system.view(team)
        weights = [view.weigh()]
        for shown in (LISTS, PAGES):
            read_all(view, shown)
            ready = view._ready[shown]
            made = [*ready.tasks.values(), *ready.pages.values(), ready.board or b""]
            weights.append(view.weigh())
            assert weights[-1] - weights[-2] == sum(map(len, made)) > 0
        view.reload(view.state)
        assert view.weigh() == weights[0]


async def test_a_commands_answer_takes_the_events_bytes_only_where_they_are_the_same() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        one, other = Counting(LISTS, reuses_events=True), Counting(PAGES, reuses_events=False)
        item = (await retitle(system, team, task, "changed")).items[0]
        assert item.encoded(one) == LISTS.task(item.task)
        assert item.encoded(other) == PAGES.task(item.task)
        assert (one.tasks, other.tasks) == (0, 1)
        unchanged = (await system.ask(team, UpdateTask(task, TaskPatch(title="changed")), by(OWNER))).items[0]
        assert unchanged.data is None
        assert unchanged.encoded(one) == item.encoded(LISTS)
        assert one.tasks == 1
