"""What Postgres does for the questions of `db/insights` on a team of 10,000 tasks, and the pages that say so."""

import re
from collections.abc import AsyncIterator

import pytest

from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import reading
from taskforge.devstack import DevStack
from tests.support import databases
from tests.support.explains import EXPLAIN, FOLDER, LARGE, QUESTIONS, Plan, page, plans, seed

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def seeded(services: DevStack, module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    await seed(databases.superuser_url(services, module_database))
    async with open_pools(module_database) as pools:
        yield pools


@pytest.mark.parametrize("name", QUESTIONS)
async def test_no_large_table_is_read_from_end_to_end(seeded: Pools, name: str) -> None:
    found = await plans(seeded.api, name)
    assert found, "no statement of the module was run"
    for plan in found:
        assert not set(plan.scans()) & set(LARGE), "\n".join(plan.lines)
        assert any("memberships" in line for line in plan.lines), "it does not ask who asks"


@pytest.mark.parametrize("name", QUESTIONS)
async def test_the_page_has_the_queries_of_today(seeded: Pools, name: str) -> None:
    kept = (FOLDER / f"{name}.md").read_text()
    assert without_plans(kept) == without_plans(page(name, await plans(seeded.api, name))), (
        "write the pages anew: python -m tests.support.explains"
    )
    assert not set(re.findall(r"Seq Scan on (\w+)", kept)) & set(LARGE)


async def test_there_is_a_page_for_each_question_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(QUESTIONS)


async def test_a_table_that_is_read_from_end_to_end_is_seen(seeded: Pools) -> None:
    async with reading(seeded.api, None) as rows:
        explained = await rows.fetch(f"{EXPLAIN} select count(description) from tasks")
    assert "tasks" in Plan("all", "", [row[0] for row in explained]).scans()


def without_plans(text: str) -> str:
    return re.sub(r"```text\n.*?```", "", text, flags=re.DOTALL)
