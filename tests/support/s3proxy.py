"""S3Proxy, a real server of S3's interface, over a directory: with a JVM and the jars of `make s3`.

It judges every signature, in headers and in addresses; our own stand-in (`s3.py`) judges only what users are handed.
https://github.com/gaul/s3proxy
"""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio
import httpx
import pytest

from taskforge.devstack.child import Child, Launch
from taskforge.devstack.ports import LOOPBACK, free_port
from tests.support.s3 import BUCKET, KEY_ID, REGION, SECRET
from tests.support.source import ROOT

__all__ = ["needs_s3proxy", "running_s3proxy", "why_not"]

LIBS: Final = ROOT / ".s3proxy" / "libs"
LOGGING: Final = ROOT / "tests" / "s3proxy" / "logback.xml"
START_SECONDS: Final = 60.0


def why_not() -> str:
    """Why S3Proxy cannot run here; empty when it can."""
    if shutil.which("java") is None:
        return "S3Proxy needs a JVM (java is not on the path)"
    return "" if any(LIBS.glob("s3proxy-*.jar")) else "S3Proxy's jars are missing: `make s3` gets them"


def needs_s3proxy() -> None:
    """Skip the test, with the reason, where S3Proxy cannot run."""
    if reason := why_not():
        pytest.skip(reason)


@asynccontextmanager
async def running_s3proxy(folder: Path) -> AsyncIterator[str]:
    """A server with one empty bucket until the block ends; its URL for TASKFORGE_OBJECTS__URL."""
    port = free_port()
    buckets, properties, log = folder / "buckets", folder / "s3proxy.properties", folder / "s3proxy.log"
    buckets.mkdir()
    (buckets / BUCKET).mkdir(mode=0o700)  # What others may read on disk is public.
    endpoint = f"http://{LOOPBACK}:{port}"
    settings = {
        "s3proxy.endpoint": endpoint,
        "s3proxy.authorization": "aws-v4",
        "s3proxy.identity": KEY_ID,
        "s3proxy.credential": SECRET,
        # Deletions come with a checksum of their body, which S3 asks for and S3Proxy does not know.
        "s3proxy.ignore-unknown-headers": "true",
        "jclouds.provider": "filesystem-nio2",
        "jclouds.identity": KEY_ID,
        "jclouds.credential": SECRET,
        "jclouds.filesystem.basedir": str(buckets),
    }
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlogback.configurationFile={LOGGING}"]
    argv = ["java", *options, "-cp", f"{LIBS}/*", "org.gaul.s3proxy.Main", "--properties", str(properties)]
    env = {"PATH": os.environ.get("PATH", os.defpath)}
    child = await Child.spawn(Launch(argv=argv, env=env, cwd=folder, log=log, death_signal=signal.SIGKILL))
    try:
        await _answers(child, endpoint, log)
        yield f"s3://{BUCKET}?endpoint={quote(endpoint, safe='')}&region={REGION}&prefix=taskforge"
    finally:
        await child.stop(signal.SIGTERM, 10.0)


async def _answers(child: Child, endpoint: str, log: Path) -> None:
    with anyio.fail_after(START_SECONDS):
        async with httpx.AsyncClient(trust_env=False) as anybody:
            while True:
                assert child.alive, f"S3Proxy has ended; see {log}"
                try:
                    answer = await anybody.get(f"{endpoint}/{BUCKET}")
                except httpx.TransportError:
                    await anyio.sleep(0.05)
                    continue
                assert answer.is_client_error, answer.text  # Nobody signed it.
                return
