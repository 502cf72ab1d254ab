"""Files of tasks before two API processes on one database and one store: an address of one is good at the other."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from db.settings import DatabaseSettings, ObjectSettings
from streams.housekeeping import tidy
from tests.support.desk import Desk
from tests.support.files import attach, begun
from tests.support.long_work import files_in
from tests.support.site import serving, settings_for

pytestmark = pytest.mark.anyio

DATA = b"%PDF-1.7\n" + b"x" * 100_000


async def test_files_begin_at_one_and_end_at_the_other(
    database: DatabaseSettings, valkey_url: str, tmp_path: Path
) -> None:
    settings = structs.replace(settings_for(database, valkey_url), objects=ObjectSettings(url=tmp_path.as_uri()))
    async with serving(settings) as here, serving(settings) as there:
        desk = await Desk.open(here)
        task, headers = await desk.task(), desk["owner"].headers
        path = f"/v1/tasks/{task['id']}"
        signed = (await begun(desk, task["id"], DATA)).json()
        assert (await there.client.put(signed["url"], content=DATA)).status_code == 204
        complete = f"{path}/attachments/uploads/{signed['upload_id']}/complete"
        made = await here.client.post(complete, headers=headers)
        assert made.status_code == 201, made.text
        seen = {**headers, "TaskForge-Min-Seq": made.headers["taskforge-seq"]}
        handed_on = await there.client.get(f"/v1/attachments/{made.json()['id']}/download", headers=seen)
        assert (await here.client.get(handed_on.headers["location"])).content == DATA
        gone = await there.client.delete(f"/v1/attachments/{made.json()['id']}", headers=headers)
        assert gone.status_code == 204
        assert (await here.client.get(handed_on.headers["location"])).status_code == 404
        # The same addresses again, at both: what is over is over everywhere.
        for site in (here, there):
            assert (await site.client.put(signed["url"], content=DATA)).status_code == 404
            assert (await site.client.post(complete, headers=headers)).status_code == 404


async def test_both_count_all_files_whoever_took_them(
    database: DatabaseSettings, valkey_url: str, tmp_path: Path
) -> None:
    settings = structs.replace(settings_for(database, valkey_url), objects=ObjectSettings(url=tmp_path.as_uri()))
    settings = structs.replace(settings, quotas=structs.replace(settings.quotas, attachments_per_task=12))
    async with serving(settings) as here, serving(settings) as there:
        desk = await Desk.open(here)
        other = Desk(there)
        other.people, other.team = desk.people, desk.team
        task = await desk.task()
        askers = [one for _ in range(10) for one in (desk, other)]
        answers = await asyncio.gather(*(attach(one, task["id"], b"%d" % n) for n, one in enumerate(askers)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] * 12 + [409] * 8
        seq = str(max(int(answer.headers["taskforge-seq"]) for answer in answers if answer.status_code == 201))
        for one in (desk, other):
            after = (await one.get(f"/v1/tasks/{task['id']}", **{"TaskForge-Min-Seq": seq})).json()
            assert after["attachment_count"] == 12
        await tidy(here.services.pools.worker, here.services.objects)
        kept = {path.parent.name for path in files_in(tmp_path)}
        assert kept == {answer.json()["id"] for answer in answers if answer.status_code == 201}
