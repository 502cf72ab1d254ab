"""A small disk of the system's own, which a test can fill to the last byte without harming anybody else's.

It is a tmpfs in a mount namespace that only the system lives in (mount_namespaces(7)); who is not root gets a user
namespace with it, where the machine allows that. So it is the kernel that says ENOSPC, and it says so to everything
that writes there: the tables and the log of Postgres, the logs and the files of all other parts.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SmallDisk", "small_disk"]

BYTES = 2 * 2**30
READY = "mounted"
FILLER = "filler"


class SmallDisk:
    """Mounted at `path` for those started behind `before`; `seen` is where everybody else sees it."""

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.seen = Path(f"/proc/{holder}/root{path}")
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        # Entering a mount namespace ends at its root.
        self.before: Sequence[str] = (
            *("nsenter", f"--target={holder}", "--mount", *user),
            *("sh", "-c", 'cd "$0" && exec "$@"', str(path.parent)),
        )

    def fill(self) -> int:
        """Leave no free byte; how many there were."""
        state = os.statvfs(self.seen)
        taken, step = 0, state.f_bavail * state.f_frsize
        with (self.seen / FILLER).open("ab") as file:
            while step >= state.f_frsize:
                try:
                    os.posix_fallocate(file.fileno(), taken, step)
                    taken += step
                except OSError:  # The rest is less than that.
                    step //= 2
        return taken

    def free(self) -> None:
        (self.seen / FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk | None]:
    """An empty disk mounted at `path`; None where nobody but the machine's owner may mount one."""
    path.mkdir()
    unshare = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
    mount = f'mount -t tmpfs -o size={BYTES},mode=0755 none "$0" && echo {READY} && exec sleep infinity'
    try:
        holder = subprocess.Popen(
            [*unshare, "sh", "-c", mount, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except FileNotFoundError:  # No util-linux.
        yield None
        return
    with holder:
        try:
            assert holder.stdout is not None
            yield SmallDisk(path, holder.pid) if holder.stdout.readline().strip() == READY else None
        finally:
            holder.kill()
