"""Access tokens of a real OpenID provider (npm's `oidc-provider`), while it changes its key and while it is away."""

from collections.abc import AsyncIterator, Iterator

import anyio.to_thread
import pytest
from msgspec import structs

from api.auth.refetched import INTERVAL_SECONDS
from api.issuer_settings import IssuerSettings
from api.settings import AuthSettings
from db.settings import DatabaseSettings
from taskforge.devstack.ports import free_port
from tests.support.desk import problem
from tests.support.oidc_provider import ABSENT, AUDIENCE, OidcProvider, providing
from tests.support.site import Site, serving, settings_for

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(ABSENT, reason="npm's oidc-provider is not installed in tests/support/oidc_provider"),
]


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with providing(free_port(), "http://127.0.0.1:9/unused") as running:
        yield running


@pytest.fixture
async def site(database: DatabaseSettings, valkey_url: str, provider: OidcProvider) -> AsyncIterator[Site]:
    issuer = IssuerSettings(name="idp", issuer=provider.url, audience=AUDIENCE)
    settings = structs.replace(settings_for(database, valkey_url), auth=AuthSettings(issuers=(issuer,)))
    async with serving(settings) as running:
        yield running


async def status(site: Site, token: str) -> int:
    answer = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        problem(answer, 401, "unauthenticated")
    return answer.status_code


async def test_a_changed_key_is_learnt_within_a_minute_and_an_absence_is_outlived(
    site: Site, provider: OidcProvider
) -> None:
    now, keys = [0.0], site.services.external.issuers.by_name["idp"].keys
    keys._monotonic, keys._shared = lambda: now[0], None
    first, first_again = [await anyio.to_thread.run_sync(provider.robot_token) for _ in range(2)]
    assert await status(site, first) == 200
    await anyio.to_thread.run_sync(provider.restart, "second")
    second = await anyio.to_thread.run_sync(provider.robot_token)
    assert await status(site, second) == 401, "its key may be asked for once the minute is over"
    now[0] += INTERVAL_SECONDS
    assert await status(site, second) == 200
    assert await status(site, first_again) == 401, "its key was withdrawn"
    good = [await anyio.to_thread.run_sync(provider.robot_token) for _ in range(20)]
    await anyio.to_thread.run_sync(provider.stop)
    fetched = keys.statistics().fetched
    for token in good:
        now[0] += 30
        assert await status(site, token) == 200
        assert await status(site, first_again) == 401
    assert keys.statistics().fetched - fetched <= 10
    assert keys.statistics().failed >= 1
