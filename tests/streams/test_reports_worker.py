"""From the request to the PDF, through the outbox and the topic of jobs, with a worker that is one."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from msgspec import structs

from db.outbox import JOBS
from db.settings import ObjectSettings
from streams.operations.runner import OperationStatistics
from taskforge.parts.process import Process
from taskforge.settings import Settings
from tests.support.consuming import producing
from tests.support.long_work import files_in
from tests.support.site import serving
from tests.support.topic_reader import read_all
from tests.support.waiting import until, until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

COPIES = 64


async def test_a_job_that_comes_64_times_prints_one(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, objects=ObjectSettings(url=tmp_path.as_uri()))
    async with serving(settings) as site, working(settings, "relay", "reports") as worker:
        ada = await site.person()
        team = await site.team(ada)
        await site.task(ada, team, "Ship the board")
        asked = await site.client.post(f"/v1/teams/{team}/reports", json={"kind": "board"}, headers=ada.headers)
        location = asked.headers["location"]

        async def ended() -> bool:
            return (await site.client.get(location, headers=ada.headers)).json()["status"] == "succeeded"

        await until_answered(ended)
        await until(lambda: consumer_of(worker, "reports").applied >= 1)
        operation = asked.json()["id"].encode()
        (job,) = [one for one in await read_all(settings.kafka.bootstrap_servers, JOBS) if operation in one.value]
        async with producing(settings.kafka) as producer:
            await repeat(producer, job)
        await until(lambda: consumer_of(worker, "reports").applied >= 1 + COPIES)
        assert steps_of(worker) == OperationStatistics(steps=3, ended=1, ready=True)
        listed = (await site.client.get(f"/v1/teams/{team}/reports", headers=ada.headers)).json()["items"]
        assert len(listed) == 1
        assert len(files_in(tmp_path)) == 1
        assert consumer_of(worker, "reports").dead == 0


async def repeat(producer: AIOKafkaProducer, job: Any) -> None:
    """Send the job again and again."""
    for _ in range(COPIES):
        await producer.send_and_wait(JOBS, job.value, key=job.key, headers=list(job.headers))


def steps_of(worker: Process) -> Any:
    return next(part for part in worker.parts if part.name == "printing").statistics()


async def test_jobs_of_others_are_none_of_its_business(settings: Settings) -> None:
    async with working(settings, "relay", "reports") as worker, producing(settings.kafka) as producer:
        job = {"id": "019a3b1e-6e00-7000-8000-0000000000a1", "purpose": "thumbnail"}
        value = json.dumps({**job, "subject": job["id"]}).encode()
        await producer.send_and_wait(JOBS, value, key=b"019a3b1e-6e00-7000-8000-0000000000a1")
        await until(lambda: consumer_of(worker, "reports").passed >= 1)
        assert consumer_of(worker, "reports").dead == 0
