"""An API process that ends at a point as by kill -9: `python -m tests.support.dying_api POINT`.

Its settings are in the environment, and it says its port once it serves. The points lie on a file's way to a task.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import anyio

from api.changes import Changes
from api.incoming_files import IncomingFiles
from db.object_store import ObjectStore
from taskforge.settings import load
from tests.support.site import serving

__all__ = ["POINTS", "main"]

POINTS: Final[dict[str, tuple[type, str, bool]]] = {
    "before the object": (ObjectStore, "put", False),
    "after the object": (ObjectStore, "put", True),
    "after the file is whole": (IncomingFiles, "keep", True),
    "after the commit": (Changes, "make", True),
}
"""What is patched, and whether it happens before the end."""


def patch(kind: type, name: str, *, happens: bool) -> None:
    """Let the process end when it gets there."""
    real: Callable[..., Any] = getattr(kind, name)

    async def dying(self: Any, *given: Any, **named: Any) -> Any:
        if happens:
            await real(self, *given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(kind, name, dying)


async def main(point: str) -> None:
    """Serve until the point is reached."""
    async with serving(load(os.environ)) as site:
        kind, name, happens = POINTS[point]
        patch(kind, name, happens=happens)
        sys.stdout.write(f"{site.port}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
