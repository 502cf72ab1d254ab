"""Has a picture made by a process of its own, and waits for it no longer than it may take."""

import logging
import sys
from pathlib import Path
from typing import Final

import anyio

__all__ = ["SECONDS", "CannotBeMade", "make_picture"]

log = logging.getLogger(__name__)

SECONDS: Final = 30.0
PROGRAM: Final = Path(__file__).with_name("picture.py")


class CannotBeMade(Exception):
    """The image is broken, too large, or no image: trying again makes no difference."""


async def make_picture(source: Path, target: Path) -> None:
    """Write a thumbnail of the image at `source` to `target`. Raises CannotBeMade."""
    # Isolated from the environment, in which our secrets are.
    command = [sys.executable, "-I", str(PROGRAM), str(source), str(target)]
    try:
        with anyio.fail_after(SECONDS):
            done = await anyio.run_process(command, check=False, env={})
    except TimeoutError as error:
        raise CannotBeMade("it took too long") from error
    if done.returncode != 0:
        raise CannotBeMade(done.stderr.decode(errors="replace").strip()[:200] or f"exit code {done.returncode}")
