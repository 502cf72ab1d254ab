"""Runs a program of ours in a process that holds no secret and does not outlive this one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import anyio

__all__ = ["run_child"]

LEASH: Final = Path(__file__).with_name("leash.py")


async def run_child(program: Path, *arguments: str, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end, whatever its exit code. It is killed, and TimeoutError raised, when it takes longer."""
    # Isolated from the environment, in which our secrets are.
    command = [sys.executable, "-I", str(LEASH), str(os.getpid()), str(program), *arguments]
    with anyio.fail_after(seconds):
        return await anyio.run_process(command, check=False, env={})
