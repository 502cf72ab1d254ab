"""How attempts are repeated, throttled and given up, one at a time and over days, on a clock that the test moves."""

from collections.abc import AsyncIterator

import anyio
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from core.errors import Conflict
from core.webhooks import DELAYS, Outcome
from db.pool import Pools
from db.transaction import writing
from db.webhooks import claiming
from db.webhooks.deliveries import recover, redeliver
from db.webhooks.subscriptions import change_subscription, hold_subscription, rotate_secret
from tests.support.hooks import Hook, Hooks
from tests.support.journal_writer import JournalWriter
from tests.support.receivers import Behaviour, Receiver, receiving
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

DAY = 86_400.0


@pytest.fixture
async def hooks(pools: Pools, journal: JournalWriter) -> Hooks:
    return await Hooks(pools, journal).open()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


def says(receiver: Receiver, status: int, **headers: str) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=status, headers=headers)


async def test_the_whole_schedule_is_played_and_then_it_is_given_up(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 500)
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    waits = []
    async with hooks.sending():
        for number in range(1, len(DELAYS)):
            delivery = await hooks.tried(hook, number)
            assert delivery.status == "pending"
            assert delivery.next_at is not None
            (attempted,) = [one.at for one in await hooks.attempts(delivery) if one.number == number]
            waits.append((delivery.next_at - attempted).total_seconds())
            hooks.ahead += waits[-1] + 0.5
        (delivery,) = await hooks.ended(hook)
    for wanted, wait in zip(DELAYS[1:], waits, strict=True):
        assert 0.8 * wanted <= wait <= 1.2 * wanted + 2.0, f"{wait} s for {wanted} s"
    assert (delivery.status, delivery.attempts) == ("failed", 10)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert len({got.body for got in receiver.received}) == 1
    assert len(receiver.received) == 10


async def test_no_attempt_is_made_before_it_is_due(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 500)
    hook, other = await hooks.subscribe(receiver.url("/a")), await hooks.subscribe(receiver.url("/b"))
    await hooks.sent()
    async with hooks.sending():
        await hooks.tried(hook, 1)
        await hooks.tried(other, 1)
        hooks.ahead += 3.5  # The next ones are due in 4 to 6 s.
        says(receiver, 200)
        last = await hooks.subscribe(receiver.url("/c"))
        await hooks.sent()
        await hooks.ended(last)
    assert sorted(got.path for got in receiver.received if got.seq == 2) == ["/a", "/b"]


@pytest.mark.parametrize(("asked", "seconds"), [("3600", 3_600.0), ("999999", DAY)])
async def test_an_endpoint_that_asks_for_a_pause_gets_it_for_everything(
    hooks: Hooks, receiver: Receiver, asked: str, seconds: float
) -> None:
    says(receiver, 429, **{"Retry-After": asked})
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending() as sender:
        await hooks.tried(hook, 1)
        says(receiver, 204)
        await hooks.sent()
        hooks.ahead += seconds - 5
        assert await claimable(hooks) == 0
        assert sender.statistics().delivered == 0
        hooks.ahead += 6
        await hooks.ended(hook, 2)
    assert len(receiver.received) == 3


async def claimable(hooks: Hooks) -> int:
    """How many attempts could be begun now; nothing is kept of the look."""
    found = 0
    for failing in (False, True):
        try:
            async with writing(hooks.pools.worker) as tx:
                claimed = await claiming.claim(
                    tx, failing=failing, limit=100, per_endpoint=8, lease=45.0, ahead=hooks.ahead
                )
                found += len(claimed)
                raise _Nothing
        except _Nothing:
            continue
    return found


class _Nothing(Exception):
    """Takes back what was claimed for a look."""


async def test_a_503_that_says_when_is_asked_then_and_slows_nothing(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 503, **{"Retry-After": "20"})
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        delivery = await hooks.tried(hook, 1)
        paused = (await hooks.found(hook)).paused_until
        (attempt,) = await hooks.attempts(delivery)
        assert paused is not None
        assert 20 <= (paused - attempt.at).total_seconds() < 22
        assert delivery.next_at == paused, "the second attempt, due after 5 s, waits for the end of the pause"
        hooks.ahead += 19
        assert await claimable(hooks) == 0
        for _ in range(12):
            await hooks.sent()
        hooks.ahead += 2.5
        assert await claimable(hooks) > 1


async def test_an_endpoint_that_says_when_is_not_left_alone_for_longer(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 502)
    hook = await hooks.subscribe(receiver.url())
    async with hooks.sending():
        for _ in range(7):
            await hooks.sent()
            hooks.ahead += 61
            await until_answered(lambda: everything_tried(hooks, hook))
        says(receiver, 429, **{"Retry-After": "20"})
        await hooks.sent()
        hooks.ahead += 61
        await until_answered(lambda: everything_tried(hooks, hook))
        newest = (await hooks.deliveries(hook))[0]
        attempt = (await hooks.attempts(newest))[-1]
        paused = (await hooks.found(hook)).paused_until
    assert paused is not None
    assert attempt.status == 429
    assert 20 <= (paused - attempt.at).total_seconds() < 22


async def test_an_endpoint_that_is_overloaded_gets_one_request_at_a_time(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 502)
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await hooks.tried(hook, 1)
        for _ in range(12):
            await hooks.sent()
        hooks.ahead += 4
        assert await claimable(hooks) <= 1


async def test_410_disables_at_once_and_what_waits_has_failed(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 410)
    hook = await hooks.subscribe(receiver.url(), in_order=True)
    for _ in range(3):
        await hooks.sent()
    async with hooks.sending():
        await hooks.ended(hook, 3)
    assert len(receiver.received) == 1
    found = await hooks.found(hook)
    assert found.disabled_reason == "gone"
    assert {one.status for one in await hooks.deliveries(hook)} == {"failed"}
    assert [(one.subscription_id, one.notice, one.reason) for one in hooks.told] == [(hook.id, "disabled", "gone")]


async def test_what_happens_while_it_is_disabled_is_recovered_under_the_same_ids(
    hooks: Hooks, receiver: Receiver
) -> None:
    says(receiver, 410)
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await hooks.ended(hook, 1)
        await hooks.sent()
        says(receiver, 204)
        first, second = await hooks.deliveries(hook)
        assert (first.status, first.attempts, first.last_error) == ("failed", 0, "disabled")
        assert (second.attempts, second.last_status, second.last_error) == (1, 410, None)
        async with writing(hooks.pools.api, hooks.admin) as tx:
            held = await hold_subscription(tx, hook.id)
            enabled = await change_subscription(tx, held, held, enabled=True)
            assert await recover(tx, enabled, second.happened_at) == 2
        assert [one.last_error for one in await hooks.deliveries(hook)] == [None, None]
        await until(lambda: len(receiver.received) == 3)
        await hooks.ended(hook, 2)
    (gone, *recovered) = receiver.received
    assert {got.seq for got in recovered} == {2, 3}
    assert gone.headers["webhook-id"] in {got.headers["webhook-id"] for got in recovered}
    assert {(got.seq, got.headers["taskforge-prev-seq"]) for got in recovered} == {(2, "0"), (3, "2")}


async def test_five_days_of_failing_disable_with_a_notice_after_one(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 500)
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await hooks.tried(hook, 1)
        for day in (1, 2, 5):
            hooks.ahead = day * DAY + 60
            await hooks.sent()
            await until_answered(lambda: everything_tried(hooks, hook))
        found = await hooks.found(hook)
    assert found.disabled_reason == "failing"
    assert [one.notice for one in hooks.told] == ["failing", "disabled"]
    async with writing(hooks.pools.worker) as tx:
        rows = await tx.fetch(
            "select user_id, kind, mail_id is not null as mailed from notifications order by created_at"
        )
    assert [(row["user_id"], row["kind"], row["mailed"]) for row in rows] == [
        (hooks.admin, kind, True) for kind in ("webhook.failing", "webhook.disabled")
    ]
    assert not [one for one in await hooks.deliveries(hook) if one.status == "pending"]


async def everything_tried(hooks: Hooks, hook: Hook) -> bool:
    newest = (await hooks.deliveries(hook))[0]
    return newest.last_status is not None or (await hooks.found(hook)).disabled_at is not None


async def test_a_success_in_between_begins_the_five_days_anew(hooks: Hooks, receiver: Receiver) -> None:
    says(receiver, 500)
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await hooks.tried(hook, 1)
        says(receiver, 204)
        hooks.ahead = 4 * DAY
        await hooks.sent()
        await until_answered(lambda: everything_tried(hooks, hook))
        await hooks.ended(hook, 2)
        says(receiver, 500)
        hooks.ahead = 6 * DAY
        await hooks.sent()
        await until_answered(lambda: everything_tried(hooks, hook))
    assert (await hooks.found(hook)).disabled_at is None


async def test_in_order_an_event_that_fails_holds_back_only_its_own_endpoint(hooks: Hooks, receiver: Receiver) -> None:
    receiver.behave = lambda path, headers: Behaviour(
        status=500 if (path, headers["taskforge-seq"]) == ("/a", "2") and not retried else 204
    )
    retried: list[int] = []
    held, other = (
        await hooks.subscribe(receiver.url("/a"), in_order=True),
        await hooks.subscribe(receiver.url("/b"), in_order=True),
    )
    for _ in range(4):
        await hooks.sent()
    async with hooks.sending():
        await hooks.ended(other, 4)
        assert [got.seq for got in receiver.at("/b")] == [2, 3, 4, 5]
        await until(lambda: len(receiver.at("/a")) == 1)
        await until_answered(lambda: waits_for_its_second_attempt(hooks, held))
        assert [got.seq for got in receiver.at("/a")] == [2]
        *blocked, first = await hooks.deliveries(held)
        assert [(one.blocked_by, one.next_at) for one in blocked] == [(first.id, None)] * 3
        assert first.blocked_by is None
        assert {one.blocked_by for one in await hooks.deliveries(other)} == {None}
        retried.append(1)
        hooks.ahead += 6.5
        await hooks.ended(held, 4)
    assert [got.seq for got in receiver.at("/a")] == [2, 2, 3, 4, 5]


async def waits_for_its_second_attempt(hooks: Hooks, hook: Hook) -> bool:
    first = (await hooks.deliveries(hook))[-1]
    return first.last_status is not None and first.next_at is not None


@pytest.mark.parametrize("in_order", [True, False])
async def test_once_the_endpoint_is_well_again_what_waits_is_sent_at_once(
    hooks: Hooks, receiver: Receiver, in_order: bool
) -> None:
    says(receiver, 429, **{"Retry-After": "3600"})
    hook = await hooks.subscribe(receiver.url(), in_order=in_order)
    for _ in range(4):
        await hooks.sent()
    async with hooks.sending():
        await until_answered(lambda: is_paused(hooks, hook))
        says(receiver, 204)
        assert await claimable(hooks) == 0
        oldest = (await hooks.deliveries(hook))[-1]
        async with writing(hooks.pools.api, hooks.admin) as tx:
            held = await hold_subscription(tx, hook.id)
            assert await recover(tx, held, oldest.happened_at, ("failed",)) == 0
            assert await recover(tx, held, oldest.happened_at, ("pending",)) == 4
        await hooks.ended(hook, 4)
    assert {one.status for one in await hooks.deliveries(hook)} == {"delivered"}
    if in_order:
        assert [got.seq for got in receiver.received][-4:] == [2, 3, 4, 5]


async def is_paused(hooks: Hooks, hook: Hook) -> bool:
    """Whether the endpoint is left alone and nothing is on its way."""
    waiting = await hooks.journal.pool.fetchval("select count(*) from webhook_deliveries where claim is not null")
    return (await hooks.found(hook)).paused_until is not None and not waiting


async def test_during_a_rotation_both_secrets_are_good_and_a_day_later_one(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    secret = await rotated(hooks, hook)
    async with hooks.sending():
        await hooks.sent()
        await hooks.ended(hook, 1)
        hooks.ahead = 25 * 3_600.0
        await hooks.sent()
        await hooks.ended(hook, 2)
    both, one = receiver.received
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    for known in (hook.secret, secret):
        Webhook(known).verify(both.body, dict(both.headers))
    assert len(one.headers["webhook-signature"].split(" ")) == 1


async def test_every_secret_signs_for_a_day_however_often_it_is_rotated(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    known = [hook.secret, *[await rotated(hooks, hook) for _ in range(5)]]
    with pytest.raises(Conflict) as refused:
        await rotated(hooks, hook)
    assert refused.value.reason == "too-many-rotations"
    async with hooks.sending():
        await hooks.sent()
        await hooks.ended(hook, 1)
        hooks.ahead = 25 * 3_600.0
        await hooks.sent()
        await hooks.ended(hook, 2)
    every, last = receiver.received
    assert len(every.headers["webhook-signature"].split(" ")) == 6
    for secret in known:
        Webhook(secret).verify(every.body, dict(every.headers))
    assert len(last.headers["webhook-signature"].split(" ")) == 1


async def test_a_secret_that_has_had_its_day_makes_room_for_a_rotation(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    for _ in range(5):
        await rotated(hooks, hook)
    # The first of the older ones was replaced a day ago.
    ended = "update webhook_subscriptions set older_until[1] = now() where id = $1"
    await hooks.journal.pool.execute(ended, hook.id)
    newest = await rotated(hooks, hook)
    async with hooks.sending():
        await hooks.sent()
        await hooks.ended(hook, 1)
    (got,) = receiver.received
    assert len(got.headers["webhook-signature"].split(" ")) == 6
    Webhook(newest).verify(got.body, dict(got.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(hook.secret).verify(got.body, dict(got.headers))


async def rotated(hooks: Hooks, hook: Hook) -> str:
    """The new secret of the subscription."""
    secret, sealed = hooks.secrets.new(hook.id)
    async with writing(hooks.pools.api, hooks.admin) as tx:
        await rotate_secret(tx, await hold_subscription(tx, hook.id), sealed)
    return secret


async def test_an_endpoint_has_no_more_than_its_share_over_all_senders(hooks: Hooks, receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(kind="hang")
    await hooks.subscribe(receiver.url())
    await hooks.sent(*await hooks.happen(count=40))
    async with hooks.sending(senders=3, per_endpoint=4, seconds=1.5):
        await until(lambda: receiver.open == 4)
        async with receiving() as quick:
            other = await hooks.subscribe(quick.url())
            await hooks.sent(*await hooks.happen(count=20))
            await hooks.ended(other, 20)
    assert receiver.most_open == 4


async def test_any_number_of_senders_make_one_chain_of_each(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    async with hooks.sending(senders=4):
        for _ in range(10):
            await hooks.sent(*await hooks.happen(count=10))
        await hooks.ended(hook, 100)
    assert sorted(got.seq for got in receiver.received) == list(range(2, 102))


async def test_whoever_dies_in_the_middle_leaves_an_attempt_to_be_made_again(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with writing(hooks.pools.worker) as tx:
        (claimed,) = await claiming.claim(tx, failing=False, limit=10, per_endpoint=8, lease=45.0)
    async with hooks.sending():
        hooks.ahead = 20.0
        await hooks.sent()
        await hooks.ended(hook, 1)
        assert [got.seq for got in receiver.received] == [3]
        hooks.ahead = 46.0
        await hooks.ended(hook, 2)
    assert [got.seq for got in receiver.received] == [3, 2]
    (delivery,) = [one for one in await hooks.deliveries(hook) if one.seq == 2]
    assert [(one.number, one.error, one.status) for one in await hooks.attempts(delivery)] == [
        (1, "interrupted", None),
        (2, None, 204),
    ]
    # The one that was taken for dead comes back, and changes nothing but its own line of the log.
    async with writing(hooks.pools.worker) as tx:
        await claiming.settle(tx, [claiming.Settled(claimed, Outcome(status=500))])
    (delivery,) = [one for one in await hooks.deliveries(hook) if one.seq == 2]
    assert (delivery.status, delivery.last_status) == ("delivered", 204)
    assert (await hooks.found(hook)).failing_since is None


async def test_a_sender_that_is_stopped_gives_back_what_hangs(hooks: Hooks, receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(kind="hang")
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await until(lambda: receiver.open == 1)
    receiver.behave = lambda _path, _headers: Behaviour()
    with anyio.fail_after(5):  # No lease has to run out.
        async with hooks.sending():
            (delivery,) = await hooks.ended(hook)
    assert [one.status for one in await hooks.attempts(delivery)] == [None, 204]


async def test_what_is_older_than_two_weeks_is_not_sent_whoever_asks(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    hooks.ahead = 15 * DAY
    async with hooks.sending():
        (delivery,) = await hooks.ended(hook)
    assert (delivery.status, receiver.received) == ("expired", [])
    await hooks.journal.pool.execute("update webhook_deliveries set happened_at = now() - interval '15 days'")
    with pytest.raises(Exception, match="14 days"):
        async with writing(hooks.pools.api, hooks.admin) as tx:
            await redeliver(tx, await hold_subscription(tx, hook.id), delivery)


async def test_redelivering_begins_the_schedule_anew_with_the_same_id(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    async with hooks.sending():
        await hooks.sent()
        (delivery,) = await hooks.ended(hook)
        async with writing(hooks.pools.api, hooks.admin) as tx:
            again = await redeliver(tx, await hold_subscription(tx, hook.id), delivery)
        assert again.status == "pending"
        await until(lambda: len(receiver.received) == 2)
        await hooks.ended(hook)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
