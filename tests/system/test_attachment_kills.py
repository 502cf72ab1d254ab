"""kill -9 of an API process at each point of a file's way: no row dangles, no object stays."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from core.secret import Secret
from db.object_store import ObjectStore
from db.settings import DatabaseSettings, ObjectSettings
from db.transaction import reading, writing
from streams.housekeeping import tidy
from taskforge.devstack import DevStack
from tests.support.account import NO_TLS
from tests.support.desk import new_key
from tests.support.dying_api import POINTS
from tests.support.files import digest_of
from tests.support.site import Person, Site, serving, settings_for
from tests.taskforge.test_cli import external

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(240)]

DATA = os.urandom(300_000)


@asynccontextmanager
async def dying_at(point: str, environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks a process that ends at the point; it must have ended by the end of the block."""
    command = (sys.executable, "-m", "tests.support.dying_api", point)
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, verify=NO_TLS) as client:
            yield client
        assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def rows_and_objects(site: Site, store: ObjectStore) -> tuple[set[str], set[str]]:
    """The ids of attachments, and those that objects in the store belong to, once what is over has been swept."""
    pool = site.services.pools.worker
    async with writing(pool) as tx:
        await tx.execute("update objects set expires_at = now() where expires_at is not null")
    await tidy(pool, store)
    async with reading(pool, None) as tx:
        rows = {str(row["id"]) for row in await tx.fetch("select id from attachments")}
        kept = {str(row["id"]) for row in await tx.fetch("select id from objects")}
    objects = {key.split("/")[1] for key in await store.keys("attachment")}
    assert kept == objects
    return rows, objects


async def announced(site: Site, ada: Person, path: str) -> str:
    """Where to complete an upload whose file was sent."""
    said = {"name": "a.bin", "size": len(DATA), "digest": digest_of(DATA)}
    signed = (await site.client.post(f"{path}/uploads", json=said, headers=ada.headers)).raise_for_status().json()
    (await site.client.put(signed["url"], content=DATA)).raise_for_status()
    return f"{path}/uploads/{signed['upload_id']}/complete"


@pytest.mark.parametrize("way", ["form", "direct"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_leaves_whole_attachments_and_nothing_else(
    services: DevStack,
    database: DatabaseSettings,
    tmp_path: Path,
    no_taskforge_environment: pytest.MonkeyPatch,
    point: str,
    way: str,
) -> None:
    no_taskforge_environment.chdir(tmp_path)
    url = (tmp_path / "objects").as_uri()
    environment = external(services, database) | {"TASKFORGE_OBJECTS__URL": url}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    settings = structs.replace(
        settings_for(database, services.valkey.url),
        keys=tuple(map(Secret, services.secrets.keyset)),
        objects=ObjectSettings(url=url),
    )
    async with serving(settings) as site:
        ada, store = await site.person(), site.services.objects
        assert store is not None
        team = await site.team(ada)
        task = await site.task(ada, team)
        path, headers = f"/v1/tasks/{task['id']}/attachments", {**ada.headers, "Idempotency-Key": new_key()}
        asked: dict[str, object] = {"headers": headers}
        if way == "form":
            asked["files"], asking = {"file": ("a.bin", DATA)}, path
        else:
            asking = await announced(site, ada, path)
        async with dying_at(point, environment) as client:
            with pytest.raises(httpx.TransportError):
                await client.post(asking, **asked)  # type: ignore[arg-type]
        again = await site.client.post(asking, **asked)  # type: ignore[arg-type]
        assert again.status_code == 201, again.text
        assert ("idempotent-replayed" in again.headers) == (point == "after the commit")
        rows, objects = await rows_and_objects(site, store)
        assert rows == objects == {again.json()["id"]}
        # This process may not have heard yet of what the one that died has committed.
        written = {**ada.headers, "TaskForge-Min-Seq": again.headers["TaskForge-Seq"]}
        after = (await site.client.get(f"/v1/tasks/{task['id']}", headers=written)).json()
        assert after["attachment_count"] == 1
        download = f"/v1/attachments/{again.json()['id']}/download"
        file = await site.client.get(download, headers=ada.headers, follow_redirects=True)
        assert file.content == DATA
