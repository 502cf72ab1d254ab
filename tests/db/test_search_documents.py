"""Documents of search: the same answers with them, without them, and while they are behind."""

from uuid import UUID

import pytest
import uuid_utils.compat as uu

from core.commands import ArchiveTask, CreateTask, DeleteTask, UpdateTask
from core.query import TaskQuery
from core.task import Task, TaskFields, TaskPatch
from core.writes import Committed
from db import readmodel
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.search_documents import drop_documents, fill_documents, write_documents
from db.transaction import reading, writing
from tests.support.team_writer import Writer, add_user, new_team

pytestmark = pytest.mark.anyio

TEXTS = ("Straße nach Köln", "İstanbul", "fix the LOGIN", "плохо", "東京", "żółć", "nothing")
WORDS = (
    *("strasse", "KOLN", "istanbul", "login", "ПЛОХО", "京", "zolc", "eng-3", "ENG-", "absent", "th"),
    *("koln strasse", " login\tfix ", "login absent", "ENG-3 fix", "ENG-1 strasse", "strasse straße", "zug istanbul"),
)


@pytest.fixture
async def owner(pools: Pools) -> UUID:
    return await add_user(pools)


@pytest.fixture
async def writer(pools: Pools, owner: UUID) -> Writer:
    """A team of tasks with text in their titles or descriptions, some of them archived."""
    journal = PostgresJournal(pools)
    writer = await new_team(journal, owner)
    titled = [CreateTask(TaskFields(title=text)) for text in TEXTS]
    described = [CreateTask(TaskFields(title=str(number), description=text)) for number, text in enumerate(TEXTS)]
    assert await writer.commit(journal, *titled, *described) == Committed()
    ids = list(writer.state.tasks.as_dict())
    assert await writer.commit(journal, *map(ArchiveTask, ids[::3])) == Committed()
    return writer


def tasks_of(writer: Writer) -> list[Task]:
    return [*writer.state.tasks.values(), *writer.state.archived.values()]


async def check(pools: Pools, writer: Writer, comments: dict[UUID, list[str]] | None = None) -> None:
    """Every word is found in the tasks that memory would find it in, for the team and across teams."""
    said = comments or {}
    for words in WORDS:
        for archived in (False, True):
            for team_id in (None, writer.team_id):
                query = TaskQuery(q=words, archived=archived, limit=100)
                page = await readmodel.list_tasks(pools.api, writer.owner, query, team_id=team_id)
                assert {task.id for task in page.tasks} == {
                    task.id
                    for task in tasks_of(writer)
                    if query.matches(task, said.get(task.id, ())) and (task.archived_at is not None) == archived
                }


async def documents(pools: Pools, team_id: UUID) -> dict[UUID, tuple[int, str]]:
    async with reading(pools.worker, None) as tx:
        rows = await tx.fetch("select task_id, seq, text from search_documents where team_id = $1", team_id)
    return {row["task_id"]: (row["seq"], row["text"]) for row in rows}


async def comment(pools: Pools, writer: Writer, task_id: UUID, body: str) -> None:
    """A comment, and the version of its task that it raises."""
    row = "insert into comments (team_id, id, task_id, author_id, body, created_at, updated_at, version)"
    async with writing(pools.writer) as tx:
        await tx.execute(
            f"{row} values ($1, $2, $3, $4, $5, now(), now(), 1)",
            writer.team_id, uu.uuid7(), task_id, writer.owner, body,
        )  # fmt: skip
        raised = "update tasks set version = version + 1, comment_count = comment_count + 1 where id = $1"
        await tx.execute(raised, task_id)


async def test_answers_are_the_same_without_documents_with_some_and_with_all(pools: Pools, writer: Writer) -> None:
    await check(pools, writer)
    async with writing(pools.worker) as tx:
        assert await write_documents(tx, writer.team_id, list(writer.state.tasks.as_dict())[::2]) == 5
    await check(pools, writer)
    assert await fill_documents(pools.worker) == len(tasks_of(writer)) - 5
    await check(pools, writer)
    assert {task_id: seq for task_id, (seq, _) in (await documents(pools, writer.team_id)).items()} == {
        task.id: task.version for task in tasks_of(writer)
    }
    assert await fill_documents(pools.worker) == 0


async def test_a_task_that_changed_is_found_by_what_it_says_now(pools: Pools, writer: Writer) -> None:
    await fill_documents(pools.worker)
    journal, (first, second, *_) = PostgresJournal(pools), list(writer.state.tasks.as_dict())
    changes = (UpdateTask(first, TaskPatch(title="login")), UpdateTask(second, TaskPatch(priority="high")))
    assert await writer.commit(journal, *changes) == Committed()
    await check(pools, writer)
    assert await fill_documents(pools.worker) == 2
    await check(pools, writer)


async def test_comments_are_found_before_and_after_their_document_is_written(pools: Pools, writer: Writer) -> None:
    await fill_documents(pools.worker)
    task_id = next(iter(writer.state.tasks.as_dict()))
    await comment(pools, writer, task_id, "Mit Zug nach KÖLN")
    await comment(pools, writer, task_id, "İSTANBUL")
    said = {task_id: ["Mit Zug nach KÖLN", "İSTANBUL"]}
    await check(pools, writer, said)
    assert await fill_documents(pools.worker) == 1
    await check(pools, writer, said)


async def test_documents_go_with_their_task_and_when_a_redaction_says_so(pools: Pools, writer: Writer) -> None:
    await fill_documents(pools.worker)
    first, second, third, *_ = list(writer.state.tasks.as_dict())
    assert await writer.commit(PostgresJournal(pools), DeleteTask(first)) == Committed()
    assert first not in await documents(pools, writer.team_id)
    await comment(pools, writer, third, "by the owner")
    async with writing(pools.worker) as tx:
        assert set(await drop_documents(tx, writer.team_id, [second, writer.owner])) == {second, third}
    assert not {second, third} & (await documents(pools, writer.team_id)).keys()
    assert await fill_documents(pools.worker) == 2


async def test_a_stranger_sees_no_document(pools: Pools, writer: Writer) -> None:
    await fill_documents(pools.worker)
    for user_id, seen in ((writer.owner, len(tasks_of(writer))), (await add_user(pools, "Eve"), 0)):
        async with reading(pools.api, user_id) as tx:
            assert await tx.fetchval("select count(*) from search_documents") == seen


@pytest.mark.parametrize("words", ["\x1f", "\0", "\ud800"])
async def test_what_no_text_can_hold_is_found_nowhere(pools: Pools, writer: Writer, words: str) -> None:
    for _ in range(2):
        page = await readmodel.list_tasks(pools.api, writer.owner, TaskQuery(q=words))
        assert page.tasks == []
        await fill_documents(pools.worker)
