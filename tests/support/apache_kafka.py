"""Apache Kafka in the place of the embedded broker: `make test KAFKA=apache`, with a JVM and the jars of `make kafka`.

One node is broker and controller (KRaft). Like the embedded broker it begins empty at each start, so that a test that
takes the broker away means the same on both: all topics, offsets and the cluster's own name are gone.
"""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.settings import KafkaSettings
from taskforge.devstack.child import Child, Launch
from taskforge.devstack.errors import ServiceFailed
from taskforge.devstack.kafka import Kafka
from taskforge.devstack.ports import LOOPBACK, free_port
from taskforge.devstack.service import tail
from tests.support.source import ROOT

__all__ = ["APACHE", "ApacheKafka", "broker_kind", "empty", "kafka_settings", "needs_apache", "why_not"]

APACHE: Final = os.environ.get("KAFKA") == "apache"
"""Whether the tests of this run have Apache Kafka as their broker."""

LIBS: Final = ROOT / ".kafka" / "libs"
LOGGING: Final = ROOT / "tests" / "apache" / "log4j2.xml"
CLUSTER: Final = "dGFza2ZvcmdlLXRlc3RzMA"
FORMAT_SECONDS: Final = 60.0
DELETE_SECONDS: Final = 30.0

PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}


def why_not() -> str:
    """Why Apache Kafka cannot run here; empty when it can."""
    if shutil.which("java") is None:
        return "Apache Kafka needs a JVM (java is not on the path)"
    return "" if any(LIBS.glob("kafka_*.jar")) else "Apache Kafka's jars are missing: `make kafka` gets them"


def needs_apache() -> None:
    """Skip the test, with the reason, where Apache Kafka cannot run."""
    if reason := why_not():
        pytest.skip(reason)


def broker_kind() -> type[Kafka]:
    """The broker of this run. Asked for by name, Apache Kafka is never replaced in silence."""
    if APACHE:
        needs_apache()
        return ApacheKafka
    return Kafka


def kafka_settings(bootstrap: str) -> KafkaSettings:
    """The broker of this run as our programs are told of it."""
    return KafkaSettings(bootstrap_servers=bootstrap, idempotent=APACHE)


class ApacheKafka(Kafka):
    """One node on loopback; `listeners` adds further ones by name (their protocol) with their ports."""

    stop_signal = signal.SIGTERM
    stop_seconds = 15.0
    start_seconds = 90.0

    listeners: Mapping[str, int] = {}
    properties: Mapping[str, str] = {}
    format_arguments: Sequence[str] = ()

    async def prepare(self) -> None:
        """Forget everything, and format the storage as for a new cluster."""
        await super().prepare()
        shutil.rmtree(self._storage, ignore_errors=True)
        controller = free_port()
        ports = {"PLAINTEXT": self.port, **self.listeners}
        addresses = [f"{name}://{LOOPBACK}:{port}" for name, port in ports.items()]
        lines = {
            **PROPERTIES,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
            "listeners": ",".join([*addresses, f"CONTROLLER://{LOOPBACK}:{controller}"]),
            "advertised.listeners": ",".join(addresses),
            "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in ports)]),
            "log.dirs": str(self._storage),
            **self.properties,
        }
        self._configuration.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        await self._format()

    async def _format(self) -> None:
        arguments = ["format", "-t", CLUSTER, "-c", str(self._configuration), *self.format_arguments]
        child = await Child.spawn(self._java("kafka.tools.StorageTool", *arguments))
        try:
            with anyio.fail_after(FORMAT_SECONDS):
                code = await child.wait()
        finally:
            await child.stop(signal.SIGKILL, 5.0)
        if code != 0:
            raise ServiceFailed(
                f"the storage of Apache Kafka was not formatted; {self.log} ends with:\n{tail(self.log)}"
            )

    async def launch(self) -> Launch:
        return self._java("kafka.Kafka", str(self._configuration))

    def _java(self, main: str, *arguments: str) -> Launch:
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return Launch(
            argv=["java", *options, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{LIBS}/*", main, *arguments],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd=self._directory,
            log=self.log,
            death_signal=signal.SIGKILL,
        )

    @property
    def _storage(self) -> Path:
        return self._directory / "storage"

    @property
    def _configuration(self) -> Path:
        return self._directory / "server.properties"


async def empty(broker: Kafka) -> None:
    """A running broker without topics. The embedded one forgets them by a restart, which costs Apache's far more."""
    if not isinstance(broker, ApacheKafka):
        await broker.stop()
        await broker.start()
        return
    await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        if topics := [name for name in await admin.list_topics() if not name.startswith("__")]:
            await admin.delete_topics(topics)
        with anyio.fail_after(DELETE_SECONDS):
            while set(topics) & set(await admin.list_topics()):
                await anyio.sleep(0.05)
    finally:
        await admin.close()
