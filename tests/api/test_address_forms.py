"""An address's domain is one, however it is spelt, and nobody who has an account loses the way to it."""

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.databases import superuser_url
from tests.support.desk import Desk

pytestmark = pytest.mark.anyio

PASSWORD = "a long enough password"


async def test_a_domain_is_one_whatever_its_spelling_and_old_accounts_are_found_by_theirs(
    desk: Desk, module_database: DatabaseSettings, services: DevStack
) -> None:
    client, number = desk.client, uuids.uuid7().hex
    body = {"email": f"ada{number}@BÜCHER.example", "password": PASSWORD, "name": "Ada"}
    made = await client.post("/v1/auth/signup", json=body)
    assert made.status_code == 201, made.text
    for domain in ("xn--bcher-kva.example", "bücher.example", "Bücher.EXAMPLE"):
        login = {"email": f"ada{number}@{domain}", "password": PASSWORD}
        assert (await client.post("/v1/auth/login", json=login)).status_code == 200
        assert (await client.post("/v1/auth/signup", json={**login, "name": "Eve"})).status_code == 409
    headers = {"Authorization": f"Bearer {made.json()['access_token']}"}
    user_id = (await client.get("/v1/me", headers=headers)).json()["id"]
    superuser = await asyncpg.connect(superuser_url(services, module_database))
    await superuser.execute("update users set email = $2 where id = $1", user_id, f"ada{number}@xn--bcher-kva.example")
    await superuser.close()
    login = {"email": f"ada{number}@xn--bcher-kva.example", "password": PASSWORD}
    assert (await client.post("/v1/auth/login", json=login)).status_code == 200
