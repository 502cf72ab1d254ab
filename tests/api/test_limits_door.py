"""Who is counted for which class of endpoint, by a clock that stands still unless it is told to go on."""

from typing import Any, cast
from uuid import UUID

import pytest

from api.auth.tokens import AccessTokens
from api.calls import Call
from api.limits.door import Limits
from api.limits.policies import LimitClass
from api.openapi import Operation
from core.errors import RateLimited, Unauthenticated
from core.principal import Principal
from tests.support.rates import few

pytestmark = pytest.mark.anyio

HERE, THERE = "192.0.2.1", "192.0.2.2"
ADA, EVE = UUID(int=1), UUID(int=2)


class Tokens:
    """Whose token it is: `Bearer <number of the user>`."""

    def principal_of(self, authorization: bytes) -> Principal:
        if not (number := authorization.removeprefix(b"Bearer ")).isdigit():
            raise Unauthenticated("Not one of ours.")
        return Principal.of_user(UUID(int=int(number)))


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def receive() -> dict[str, Any]:
    raise AssertionError("limits read no body")


def call(route: str, client: str = HERE, *, by: UUID | None = None, method: str = "POST", bad: bool = False) -> Call:
    authorization = b"Bearer nonsense" if bad else None if by is None else b"Bearer %d" % by.int
    scope = {
        "headers": [] if authorization is None else [(b"authorization", authorization)],
        "method": method,
        "client": (client, 4711),
        "raw_path": route.encode(),
        "query_string": b"",
    }
    made = Call(scope, receive, cast(AccessTokens, Tokens()), 1_000, 1.0)
    made.route = route
    return made


def operation(path: str, limit: LimitClass | None = None, *, secured: bool = False) -> Operation:
    return Operation(method="POST", path=path, id=path, summary="", tag="", replies={}, secured=secured, limit=limit)


def door(clock: Clock, **limits: int) -> Limits:
    made = Limits(few(**limits), clock=clock)
    made.learn(
        [
            operation("/v1/reset", "reset"),
            operation("/v1/invite", "invitations", secured=True),
            operation("/v1/accept", "accept"),
            operation("/v1/prove", "password", secured=True),
            operation("/v1/plain", secured=True),
        ]
    )
    return made


async def refused(limits: Limits, asked: Call) -> str:
    with pytest.raises(RateLimited) as caught:
        await limits.admit(asked)
    assert asked.limits is not None
    assert asked.limits[1][1].startswith(b'"%s";r=0;t=' % caught.value.policy.encode())
    return caught.value.policy


async def test_resets_are_counted_by_address_and_by_address_and_account() -> None:
    clock = Clock()
    limits = door(clock, reset=5, reset_account=2, reset_account_seconds=900)
    for number in range(2):
        await limits.admit(asked := call("/v1/reset"))
        await limits.admit_account(asked, "reset", "ada@example.com")
        assert asked.limits is not None
        assert asked.limits[1][1].startswith(b'"reset";r=%d;' % (4 - number))
        assert asked.limits[1][1].endswith(b'"reset-account";r=%d;t=900' % (1 - number))
    for written in ("ada@example.com", " ADA@Example.com"):
        with pytest.raises(RateLimited) as caught:
            await limits.admit_account(call("/v1/reset"), "reset", written)
        assert (caught.value.policy, caught.value.retry_after) == ("reset-account", 900)
    await limits.admit_account(call("/v1/reset"), "reset", "eve@example.com")
    await limits.admit_account(call("/v1/reset", THERE), "reset", "ada@example.com")
    for _ in range(3):
        await limits.admit(call("/v1/reset"))
    assert await refused(limits, call("/v1/reset")) == "reset"
    await limits.admit(call("/v1/reset", THERE))
    clock.now += 900
    await limits.admit_account(call("/v1/reset"), "reset", "ada@example.com")


@pytest.mark.parametrize(("path", "name"), [("/v1/invite", "invitations"), ("/v1/prove", "password")])
async def test_what_needs_a_session_is_counted_by_its_user_wherever_they_are(path: str, name: str) -> None:
    limits = door(Clock(), invitations=3, password=3)
    for client in (HERE, THERE, HERE):
        await limits.admit(call(path, client, by=ADA))
    assert await refused(limits, call(path, "192.0.2.9", by=ADA)) == name
    await limits.admit(call(path, HERE, by=EVE))
    await limits.admit(call("/v1/plain", HERE, by=ADA))


async def test_accepting_is_counted_by_address() -> None:
    limits = door(Clock(), accept=1)
    await limits.admit(call("/v1/accept"))
    assert await refused(limits, call("/v1/accept", by=ADA)) == "accept"
    await limits.admit(call("/v1/accept", THERE))


async def test_bad_credentials_are_counted_by_address_and_said_to_be_bad_until_there_are_too_many() -> None:
    limits = door(Clock(), address=2)
    for asked in (call("/v1/plain", bad=True), call("/v1/plain")):
        with pytest.raises(Unauthenticated):
            await limits.admit(asked)
        assert asked.limits is not None
    assert await refused(limits, call("/v1/plain", bad=True)) == "address"
    await limits.admit(call("/v1/plain", by=ADA))


async def test_an_address_that_is_used_up_is_known_before_credentials_are_looked_up() -> None:
    limits = door(Clock(), address=2)
    for _ in range(2):
        limits.check_address(call("/v1/nowhere"))
        await limits.admit(call("/v1/nowhere"))
    with pytest.raises(RateLimited):
        limits.check_address(call("/v1/plain", by=ADA))
    limits.check_address(call("/v1/plain", THERE))


async def test_a_hundred_thousand_addresses_do_not_grow_without_limit() -> None:
    limits = door(Clock())
    for number in range(100_000):
        limits.refused_before(call("/v1/nowhere", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert limits.statistics().subjects <= 32_768
    assert len(limits._networks) <= 8_192


async def test_who_is_idle_for_a_window_is_forgotten() -> None:
    clock = Clock()
    limits = door(clock)
    for number in range(100):
        await limits.admit(call("/v1/plain", by=UUID(int=number)))
    clock.now += 60
    await limits.admit(call("/v1/plain", by=ADA))
    limits.forget_idle()
    assert limits.statistics().subjects == 1
