"""A worker's listener for operators existed and no command opened it, so that nobody could ask a worker anything."""

import asyncio
import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from taskforge.devstack.ports import free_port
from taskforge.processes import http_get
from tests.taskforge.test_cli import external

pytestmark = pytest.mark.anyio


async def test_a_worker_as_it_runs_in_production_answers_its_operators(
    services: DevStack,
    database: DatabaseSettings,
    kafka_bootstrap: str,
    no_taskforge_environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    no_taskforge_environment.chdir(tmp_path)  # Where nobody has left the data of an embedded system.
    port = free_port()
    environment = os.environ | external(services, database) | {"TASKFORGE_OPS__PORT": str(port)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "taskforge", "worker", env=environment)
    try:
        with anyio.fail_after(30):
            while (answer := await http_get("127.0.0.1", port, "/readyz"))[0] != 200:
                assert process.returncode is None, "the worker has ended"
                await asyncio.sleep(0.05)
        checks = json.loads(answer[1])["checks"]
        parts = {"relay", "outbox", "notifications", "mail", "steps", "operations", "redaction"}
        parts |= {"thumbnails", "search", "history", "recurrence", "scheduler", "checkpoints", "printing", "reports"}
        parts |= {"webhooks", "deliveries"}
        assert set(checks) == {"postgres", "valkey", "kafka", *parts}
        status, numbers = await http_get("127.0.0.1", port, "/metrics")
        assert status == 200
        assert b'taskforge_part_ready{part="notifications"} 1.0' in numbers
        assert b'taskforge_consumer_lag{consumer="notifications"}' in numbers
        process.terminate()
        with anyio.fail_after(15):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
