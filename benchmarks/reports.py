"""How long a report takes: a board of 500 tasks, read from Postgres and printed, and the same of 2,000."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

from benchmarks.account import Account
from benchmarks.measure import Goal, Result
from benchmarks.stack import open_stack
from db.pool import Pool, open_pools
from streams.operations.report import Wanted, read_report
from streams.reports.printing import print_report

__all__ = ["run"]

GOAL_SECONDS: Final = 2.0
SIZES: Final = (500, 2_000)
TURNS: Final = 7


async def run(*, quick: bool) -> Result:
    """Each kind for each size; what is promised is the board of 500."""
    result = Result("reports", note="Seconds, medians; from the first statement to the PDF in the file system.")
    async with open_stack() as stack, open_pools(stack.settings.database) as pools:
        with stack.api() as api, Account(api.url) as account:
            user_id = UUID(account.get("/v1/me").json()["id"])
            teams = {size: UUID(account.team(number, size)[0]) for number, size in enumerate(SIZES, 1)}
        for size, team_id in teams.items():
            for kind in ("board", "activity"):
                wanted = Wanted(kind, datetime.now(UTC) - timedelta(days=28), datetime.now(UTC) + timedelta(days=1))
                turns = 1 if quick else TURNS
                times = [await _once(pools.worker, user_id, team_id, wanted) for _ in range(turns)]
                result.numbers[f"{kind} of {size}"] = [round(one, 3) for one in times]
                if (kind, size) == ("board", SIZES[0]):
                    result.goals.append(
                        Goal("seconds of a board of 500", statistics.median(times), GOAL_SECONDS, False)
                    )
    return result


async def _once(pool: Pool, user_id: UUID, team_id: UUID, wanted: Wanted) -> float:
    started = time.perf_counter()
    with TemporaryDirectory(prefix="taskforge-benchmark-") as folder:
        read = await read_report(pool, user_id, team_id, wanted, datetime.now(UTC))
        await print_report(read.document, Path(folder))
    return time.perf_counter() - started
