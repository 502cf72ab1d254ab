"""From the request to the archive, through the outbox and the topic of jobs, with a worker that is one."""

from pathlib import Path

import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from api.settings import HttpSettings
from db.operations import find
from db.settings import ObjectSettings
from db.transaction import reading, writing
from streams.operations.export import EXPORT
from streams.operations.runner import OperationStatistics
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.long_work import files_in
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


async def test_a_job_wakes_the_worker_that_does_it(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, objects=ObjectSettings(url=tmp_path.as_uri()), http=HttpSettings())
    user_id = uuids.uuid7()
    async with running(settings, frozenset({"relay", "operations"})) as process:
        pools = process.pools
        async with writing(pools.api, user_id) as tx:
            await tx.execute(
                "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Ada', now(), now())",
                user_id,
                f"{user_id}@example.org",
            )
            started = await EXPORT.start(tx, user_id)

        async def ended() -> bool:
            async with reading(pools.api, user_id) as tx:
                found = await find(tx, user_id, started.id)
            return found is not None and found.status == "succeeded"

        await until_answered(ended)
        (consumer,) = [part for part in process.parts if part.name == "operations"]
        await until_answered(lambda: _applied(consumer))
        (steps,) = [part for part in process.parts if part.name == "steps"]
        await until(lambda: steps.statistics() == OperationStatistics(steps=2, ended=1, ready=True))
    assert len(files_in(tmp_path)) == 1


async def _applied(consumer: object) -> bool:
    return consumer.statistics().applied >= 1  # type: ignore[attr-defined]
