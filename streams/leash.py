"""Runs a program that must not outlive its worker: `python leash.py WORKER PROGRAM ARGUMENT…`, as `children.py` does.

WORKER is the number of the worker's process. On Linux the kernel kills the program with the worker; elsewhere the
program has its own limits of time. What it writes nobody else may read. Like the programs themselves it imports nothing
of ours.
"""

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""`prctl(2)`."""
ORPHANED: Final = 4


def tie(worker: int) -> None:
    """End with the worker from here on, and at once where it has ended before."""
    os.umask(0o077)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError("the kernel refuses PR_SET_PDEATHSIG")
    if os.getppid() != worker:
        sys.exit(ORPHANED)


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
