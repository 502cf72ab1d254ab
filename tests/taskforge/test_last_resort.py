"""A process that does not end when asked ends itself."""

import subprocess
import sys

from taskforge.last_resort import EXIT_CODE

SWALLOWING = """
import asyncio
from taskforge.last_resort import end_within

async def swallows_its_cancellation():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def main():
    end_within(0.2)
    async with asyncio.timeout(0.01):
        await swallows_its_cancellation()

asyncio.run(main())
"""
OBEDIENT = """
from taskforge.last_resort import end_within

end_within(600)
raise SystemExit(7)
"""


def _run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_a_process_that_does_not_end_says_where_it_stands_and_ends() -> None:
    ended = _run(SWALLOWING)
    assert ended.returncode == EXIT_CODE
    assert "not ended 0.2 s after being asked to" in ended.stderr
    assert "swallows_its_cancellation" in ended.stderr or "run_until_complete" in ended.stderr


def test_a_process_that_ends_in_time_ends_as_it_would() -> None:
    ended = _run(OBEDIENT)
    assert ended.returncode == 7, ended.stderr
