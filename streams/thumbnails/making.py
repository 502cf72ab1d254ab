"""Has a picture made by a process of its own, and waits for it no longer than it may take."""

import logging
from pathlib import Path
from typing import Final

from streams.children import run_child

__all__ = ["SECONDS", "CannotBeMade", "make_picture"]

log = logging.getLogger(__name__)

SECONDS: Final = 30.0
PROGRAM: Final = Path(__file__).with_name("picture.py")


class CannotBeMade(Exception):
    """The image is broken, too large, or no image: trying again makes no difference."""


async def make_picture(source: Path, target: Path) -> None:
    """Write a thumbnail of the image at `source` to `target`. Raises CannotBeMade."""
    try:
        done = await run_child(PROGRAM, str(source), str(target), seconds=SECONDS)
    except TimeoutError as error:
        raise CannotBeMade("it took too long") from error
    if done.returncode != 0:
        raise CannotBeMade(done.stderr.decode(errors="replace").strip()[:200] or f"exit code {done.returncode}")
