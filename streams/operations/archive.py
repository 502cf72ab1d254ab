"""The archive of a user's data: a zip of JSON files, made as it is read, so that little of it is in memory."""

import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final
from uuid import UUID

import anyio.to_thread
import msgspec

from db.my_data import SECTIONS, Section, rows_of
from db.pool import Pool

__all__ = ["archive"]

MANIFEST: Final = "manifest.json"
README: Final = "README.txt"

HEAD: Final = """\
Your data in TaskForge
======================

This archive has what TaskForge knows about your account: a JSON file for each kind of thing, UTF-8, each a list of
objects. Times are in UTC (RFC 3339), ids are those of the API. The files were read one after another; what changed
meanwhile is in those that were read later. manifest.json says how many entries each file has.

Secrets are not here: passwords, API keys and the tokens of sessions are stored as hashes only.
"""


class _Pipe:
    """What the zip writes, until it is taken away. It cannot be sought in, which the zip finds out and copes with."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


async def archive(
    pool: Pool, user_id: UUID, now: datetime, report: Callable[[float], None] = lambda _: None
) -> AsyncGenerator[bytes, None]:
    """The archive's bytes; `report` hears how much of it is made, from 0 to 1. `pool` is the API's.

    Compressing is done in a thread: a task's text is a few milliseconds of it. Raises StorageUnavailable.
    """
    pipe, counts = _Pipe(), dict[str, int]()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as files:  # type: ignore[call-overload]
        for number, section in enumerate(SECTIONS):
            counts[section.name] = 0
            with files.open(_entry(f"{section.name}.json", now), "w", force_zip64=True) as file:
                async with aclosing(rows_of(pool, section, user_id)) as portions:
                    async for texts in portions:
                        lead = ",\n" if counts[section.name] else "[\n"
                        counts[section.name] += len(texts)
                        await anyio.to_thread.run_sync(file.write, (lead + ",\n".join(texts)).encode())
                        yield pipe.take()
                file.write(b"\n]\n" if counts[section.name] else b"[]\n")
            report((number + 1) / len(SECTIONS))
        files.writestr(_entry(MANIFEST, now), _manifest(user_id, now, counts))
        files.writestr(_entry(README, now), HEAD + "".join(_line(section) for section in SECTIONS))
    yield pipe.take()


def _entry(name: str, now: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, now.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _manifest(user_id: UUID, now: datetime, counts: dict[str, int]) -> bytes:
    files = {f"{name}.json": count for name, count in counts.items()}
    made = {"format": 1, "user_id": user_id, "made_at": now, "files": files}
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def _line(section: Section) -> str:
    return f"\n{section.name}.json\n    {section.about}\n"
