"""Twenty endpoints, of which six fail each in its own way: nothing is lost of any, and what mends gets all of it."""

from collections.abc import Mapping
from typing import Final

import pytest

from db.pool import Pools
from streams.consumers.webhooks import catch_up
from tests.support.hooks import Hook, Hooks
from tests.support.journal_writer import JournalWriter
from tests.support.proofs import share
from tests.support.receivers import Behaviour, Receiver, receiving
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

EVENTS, ENDPOINTS = 2_000, 20
FAILING: Final[Mapping[str, Behaviour]] = {
    "/0": Behaviour(status=500),
    "/1": Behaviour(kind="hang"),
    "/2": Behaviour(kind="reset"),
    "/3": Behaviour(status=410),
    "/4": Behaviour(kind="slow"),
    "/5": Behaviour(status=302, headers={"Location": "http://127.0.0.1:9/"}),
}
OTHERS: Final[Mapping[str, Behaviour]] = {"/6": Behaviour(status=200, kind="huge")}
GONE: Final = "/3"


SECONDS: Final = 3.0
"""How long an attempt may take here: what hangs shall not hold up the test, and what answers shall be in time."""

_LOGGED: Final = """
select '/' || split_part(s.url, '/', 4) as path, count(*) as attempts,
       count(*) filter (where a.error = 'timeout') as timeouts
from webhook_attempts a
join webhook_deliveries d on d.team_id = a.team_id and d.id = a.delivery_id
join webhook_subscriptions s on s.id = d.subscription_id group by 1
"""


async def of_status(hooks: Hooks) -> Mapping[tuple[str, str], int]:
    """How many deliveries there are, by the path of their endpoint and their status."""
    rows = await hooks.journal.pool.fetch(
        "select '/' || split_part(s.url, '/', 4) as path, d.status, count(*) as number from webhook_deliveries d"
        " join webhook_subscriptions s on s.id = d.subscription_id group by 1, 2"
    )
    return {(row["path"], row["status"]): row["number"] for row in rows}


async def play(hooks: Hooks, receiver: Receiver, events: int) -> None:
    mended = False
    receiver.behave = lambda path, _headers: (
        Behaviour() if mended else FAILING.get(path) or OTHERS.get(path) or Behaviour()
    )
    endpoints = {f"/{n}": await hooks.subscribe(receiver.url(f"/{n}")) for n in range(ENDPOINTS)}
    good = [path for path in endpoints if path not in FAILING]
    await hooks.happen(count=events)
    await catch_up(hooks.pools.worker, hooks.project)

    async def good_have_all() -> bool:
        found = await of_status(hooks)
        return all(found.get((path, "delivered"), 0) == events for path in good)

    async with hooks.sending(senders=2, seconds=SECONDS):
        await until_answered(good_have_all, 600)
        assert (await hooks.found(endpoints[GONE])).disabled_reason == "gone"
        assert len(receiver.at(GONE)) <= 16
        mended = True

        async def all_have_all() -> bool:
            hooks.ahead = min(hooks.ahead + 600.0, 4 * 86_400.0)  # Until what waits in its schedule has come up.
            found = await of_status(hooks)
            return all(found.get((path, "delivered"), 0) == events for path in endpoints if path != GONE)

        await until_answered(all_have_all, 600)
    await nothing_is_lost(hooks, receiver, endpoints, events)


async def nothing_is_lost(hooks: Hooks, receiver: Receiver, endpoints: Mapping[str, Hook], events: int) -> None:
    seqs = set(range(2, events + 2))
    logged = {row["path"]: row for row in await hooks.journal.pool.fetch(_LOGGED)}
    for path in endpoints:
        came = receiver.at(path)
        answered = [one.seq for one in came if one.answered is not None and 200 <= one.answered < 300]
        if path != GONE:
            assert set(answered) == seqs, path
        assert len(came) <= logged[path]["attempts"], f"{path} got a request that is in no log"
        if path not in FAILING:
            # An answer after the time is over is none: only then is an endpoint that answers asked again.
            assert len(came) - events <= logged[path]["timeouts"], f"{path} got some twice without a reason"
    assert (await of_status(hooks))[(GONE, "failed")] == events


async def test_a_part_of_it(pools: Pools, journal: JournalWriter) -> None:
    async with receiving() as receiver:
        await play(await Hooks(pools, journal).open(), receiver, 40)


@pytest.mark.proof
async def test_two_thousand_events_for_twenty_endpoints(pools: Pools, journal: JournalWriter) -> None:
    async with receiving() as receiver:
        await play(await Hooks(pools, journal).open(), receiver, share(EVENTS))
