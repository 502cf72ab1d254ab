"""Choosing TCP ports on loopback and remembering them between starts."""

import contextlib
import itertools
import os
import secrets
import socket
import sys
from pathlib import Path

import msgspec

from taskforge.devstack import private
from taskforge.devstack.errors import DevstackError

__all__ = ["LOOPBACK", "PortBook", "claim", "free_port", "is_free", "listens"]

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral range (32768 up): a client that retries against a dead service in that range can be given
# the service's own port as its source port, connect to itself, and so keep the service from listening again.
POOL = range(20_000, 32_000)
NEIGHBOURS = 100


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def claim(port: int, holder: str) -> socket.socket | None:
    """Reserve a port for a server that listens with SO_REUSEPORT, which would let a second one in unnoticed.

    Gives a handle to keep open while serving (forked workers keep it too), None when another `holder` has it. An
    abstract Unix socket, so it lives and dies with its holders in the same network namespace as the port (Linux).
    """
    handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sys.platform == "linux":
        try:
            handle.bind(f"\0taskforge-{holder}-{port}")
        except OSError:
            handle.close()
            return None
    return handle


def listens(pid: int, port: int) -> bool:
    """Whether this very process, one of our own user, listens on the TCP port; where there is no /proc: true."""
    if sys.platform != "linux":
        return True
    process = Path("/proc") / str(pid)
    try:
        sockets = {
            line.split()[9] for line in _listening(process / "net") if int(line.split()[1].split(":")[1], 16) == port
        }
        return any(f"socket:[{inode}]" in _links(process / "fd") for inode in sockets)
    except OSError:  # Ended meanwhile.
        return False


def _listening(net: Path) -> list[str]:
    """Lines of the kernel's socket tables in state LISTEN (0A), https://docs.kernel.org/networking/proc_net_tcp.html"""
    tables = [table for table in (net / "tcp", net / "tcp6") if table.exists()]
    lines = [line for table in tables for line in table.read_text().splitlines()[1:]]
    return [line for line in lines if line.split()[3] == "0A"]


def _links(folder: Path) -> set[str]:
    found = set()
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return found


def free_port(near: int | None = None, *, avoid: frozenset[int] = frozenset()) -> int:
    """`near` itself when free, else the next free one above it, else any free one of the pool."""
    close = range(near, min(near + NEIGHBOURS, 65_536)) if near else range(0)
    start = secrets.randbelow(len(POOL))  # Copies that start at once begin far from each other.
    for port in itertools.chain(close, POOL[start:], POOL[:start]):
        if port not in avoid and is_free(port):
            return port
    raise DevstackError(f"no free port on {LOOPBACK}")


class PortBook:
    """Ports by service name, kept in a JSON file so that a restart meets the same addresses.

    `defaults` are tried first; without a default any free port of the pool is taken.
    """

    def __init__(self, path: Path, defaults: dict[str, int]) -> None:
        self._path = path
        self._defaults = defaults
        self._ports: dict[str, int] = {}
        # A file that cannot be read costs a stable port number, nothing else.
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            self._ports = msgspec.json.decode(path.read_bytes(), type=dict[str, int])

    def claim(self, name: str) -> int:
        """The remembered port when still free, else the default or a free one; remembered from now on."""
        known = self._ports.get(name)
        if known and is_free(known):
            return known
        others = frozenset(port for other, port in self._ports.items() if other != name)
        chosen = free_port(self._defaults.get(name), avoid=others)
        self._ports[name] = chosen
        self._save()
        return chosen

    def remember(self, name: str, port: int) -> None:
        """Note a port that was chosen elsewhere, for those who read the file."""
        self._ports[name] = port
        self._save()

    def known(self) -> dict[str, int]:
        """Ports by name as of the last run."""
        return dict(self._ports)

    def _save(self) -> None:
        draft = self._path.with_suffix(f".{os.getpid()}")
        with private.opened(draft, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self._ports)))
        draft.replace(self._path)
