"""Has a report set by a process of its own, and waits for it no longer than it may take."""

import shutil
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
from msgspec import structs

from streams.children import run_child
from streams.reports.fonts import SCRIPTS, font_folders
from streams.reports.layout import Document

__all__ = ["SECONDS", "CannotBePrinted", "prepare", "print_report"]

SECONDS: Final = 90.0
HERE: Final = Path(__file__).parent
PROGRAM: Final = HERE / "press.py"
TEMPLATE: Final = HERE / "report.typ"
PDF: Final = "report.pdf"


class CannotBePrinted(Exception):
    """It took too long, too much memory, or typst refused: trying again makes no difference."""


async def print_report(document: Document, folder: Path) -> tuple[Path, int]:
    """The PDF, written into the folder, which must be empty, and how many pages it has.

    Raises CannotBePrinted, and ExtraMissing where the extra is not installed.
    """
    fonts = font_folders()
    await anyio.to_thread.run_sync(prepare, document, folder)
    try:
        done = await run_child(PROGRAM, str(folder), *map(str, fonts), seconds=SECONDS)
    except TimeoutError as error:
        raise CannotBePrinted("it took too long") from error
    if done.returncode != 0:
        raise CannotBePrinted(done.stderr.decode(errors="replace").strip()[:500] or f"exit code {done.returncode}")
    return folder / PDF, int(done.stdout)


def prepare(document: Document, folder: Path) -> None:
    """Write the template and its data into the folder."""
    shutil.copyfile(TEMPLATE, folder / TEMPLATE.name)
    data = {**structs.asdict(document), "scripts": [f"Noto Sans {script}" for script in SCRIPTS]}
    (folder / "report.json").write_bytes(msgspec.json.encode(data))
