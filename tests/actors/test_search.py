"""Pages over the board: the tasks that the query says, in its order, whether they are found at once or in slices."""

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from actors import search
from actors.board import TeamView
from actors.search import SearchTexts, find_tasks
from actors.slices import at_once, in_slices
from core.query import SORT_FIELDS, SortField, TaskQuery, sort_key
from core.task import PRIORITIES, STATUSES, Task
from tests.support.core_team import ADMIN, MEMBER, MISSING, START, CoreTeam
from tests.support.representations import LISTS, PAGES

T = TypeVar("T")
TITLES = ("Paint", "pAINT the shed", "ΣΊΣΥΦΟΣ", "Straße", "ἈΡΧΉ", "shed")
TEXTS = ("", "PAINT", "İstanbul", "needs COFFEE and paint", "x" * 300)
WORDS = ("paint", "PAINT", "ς", "σίσυφος", "strasse", "ß", "i̇", "eng-3", "ENG-1", "eng-", "a\0b", "\0", "zebra")


def a_board() -> CoreTeam:
    team = CoreTeam()
    label = team.label()
    for number in range(40):
        team.task(
            TITLES[number % len(TITLES)],
            description=TEXTS[number % len(TEXTS)],
            status=STATUSES[number % len(STATUSES)],
            priority=PRIORITIES[number % len(PRIORITIES)],
            assignee_id=(MEMBER, ADMIN, None)[number % 3],
            label_ids=(label,) if number % 4 == 0 else (),
            due_at=START + timedelta(days=number % 7) if number % 2 else None,
            estimate=float(number % 5) if number % 3 else None,
        )
    return team


BOARD = a_board()
LABEL = next(iter(BOARD.state.labels))


def some(values: tuple[Any, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    """None of them mostly, so that not all conditions meet at once."""
    return st.just(()) | st.just(()) | st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


optional = {
    "assignee": some((None, MEMBER, ADMIN, MISSING)),
    "assignee_not": some((None, MEMBER, ADMIN, MISSING)),
    "labels": some((LABEL, MISSING)) | st.just((None,)),
    "labels_not": some((None, LABEL, MISSING)),
    "priority": some(PRIORITIES),
    "priority_not": some(PRIORITIES),
    "parent": some((None, MISSING)),
    "parent_not": some((None, MISSING)),
    "due_before": st.none() | st.just(START + timedelta(days=3)),
    "updated_after": st.none() | st.just(START + timedelta(seconds=30)),
    "changed_since": st.none() | st.just(20),
    "external_source": st.sampled_from((None, None, "jira")),
    "q": st.none() | st.sampled_from(WORDS),
}
queries = st.builds(
    TaskQuery,
    status=some(STATUSES),
    status_not=some(STATUSES),
    sort=st.sampled_from(SORT_FIELDS),
    descending=st.booleans(),
    limit=st.integers(1, 50),
    **optional,
)


def expected(team: CoreTeam, query: TaskQuery) -> list[Task]:
    """The slow and obvious way: missing values come last in both directions."""
    keys = {sort_key(task, query.sort): task for task in team.state.tasks.values() if query.matches(task)}
    there = sorted((key for key in keys if not key[0]), reverse=query.descending)
    missing = sorted((key for key in keys if key[0]), reverse=query.descending)
    return [keys[key] for key in (*there, *missing)]


def order_of(team: CoreTeam, field: SortField) -> list[Any]:
    return sorted(sort_key(task, field) for task in team.state.tasks.values())


@settings(max_examples=400, deadline=None, derandomize=True)
@given(queries)
def test_a_page_has_the_first_tasks_that_match_in_their_order(query: TaskQuery) -> None:
    found = at_once(find_tasks(query, order_of(BOARD, query.sort), BOARD.state.tasks, SearchTexts()))
    wanted = expected(BOARD, query)
    assert found.tasks == wanted[: query.limit]
    assert found.more == (len(wanted) > query.limit)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(queries)
def test_pages_follow_each_other_without_gap_or_repeat(query: TaskQuery) -> None:
    order, texts, seen = order_of(BOARD, query.sort), SearchTexts(), list[Task]()
    while True:
        found = at_once(find_tasks(query, order, BOARD.state.tasks, texts))
        seen += found.tasks
        if not found.more:
            break
        query = structs.replace(query, after=sort_key(seen[-1], query.sort))
    assert seen == expected(BOARD, structs.replace(query, after=None))


def stepped(work: Generator[None, None, T], between: Callable[[], object]) -> tuple[T, int]:
    """The work's result and how often it paused, with something else happening in each pause."""
    pauses = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1
        between()


def retitled(team: CoreTeam, view: TeamView, task: Task, title: str) -> None:
    """Change a task behind the view's back, as the committer does."""
    fork = view.state.fork()
    fork.put_on_board(structs.replace(task, title=title, version=fork.seq + 1))
    fork.seq += 1
    view.advance(fork, {task.id: None})


def test_a_page_in_slices_is_that_of_its_first_step_whatever_happens_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE", 1_000)
    team = a_board()
    view, query = TeamView(team.state), TaskQuery(q="paint", limit=100, sort="title", descending=False)
    before = TeamView(team.state).page(query, LISTS)
    tasks = iter(list(team.state.tasks.values()))
    page, pauses = stepped(view.page_in_slices(query, LISTS), lambda: retitled(team, view, next(tasks), "Zebra"))
    assert pauses > 3
    assert page == before
    assert view.page(query, LISTS) != before
    assert view.page(query, LISTS) == TeamView(view.state).page(query, LISTS)


@pytest.mark.anyio
async def test_work_in_slices_gives_its_result() -> None:
    view = TeamView(a_board().state)
    assert await in_slices(view.page_in_slices(TaskQuery(q="paint"), PAGES)) == view.page(TaskQuery(q="paint"), PAGES)


def test_encoding_in_slices_makes_the_board_and_follows_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.board.SLICE", 2_000)
    monkeypatch.setattr("actors.board.LONG", 1_000)
    team = a_board()
    view = TeamView(team.state)
    tasks = iter(list(team.state.tasks.values()))
    assert view.ready_board(PAGES) is None
    _, pauses = stepped(view.encode_in_slices(PAGES), lambda: retitled(team, view, next(tasks), "Zebra"))
    assert pauses > 3
    stepped(view.encode_in_slices(PAGES), lambda: None)
    assert view.ready_board(PAGES) == TeamView(view.state).board(PAGES)


def test_texts_are_made_once_for_each_version() -> None:
    texts, task = SearchTexts(), CoreTeam().task("Grüße", description="AN ALLE")
    text, cost = texts.of(task)
    again, less = texts.of(task)
    assert text is again
    assert less < cost
    changed, _ = texts.of(structs.replace(task, title="Other", version=task.version + 1))
    assert changed.startswith("other")
    assert texts.characters == len(changed)


def test_only_so_much_text_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "KEPT_CHARACTERS", 1_000)
    texts, task = SearchTexts(), CoreTeam().task("t", description="x" * 300)
    for number in range(20):
        text, _ = texts.of(structs.replace(task, id=msgspec.convert(f"{number:032x}", type(task.id))))
        assert text == "t\x1f" + "x" * 300
        assert texts.characters <= 1_000
        assert texts.characters == sum(len(kept) for _, kept in texts._texts.values())
