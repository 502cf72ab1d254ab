"""Ends a process that was asked to stop and does not: nobody may be left above it who would kill it.

Its supervisor kills what outlives its time, unless the supervisor was killed itself: workers were once found an hour
after that, draining, with their consumers still in their groups.
"""

import faulthandler
import logging
import os
import sys
import threading
from typing import Final

__all__ = ["EXIT_CODE", "end_within"]

logger = logging.getLogger(__name__)

EXIT_CODE: Final = 1


def end_within(seconds: float) -> None:
    """End this process after so many seconds if it is still there then, saying where its threads stand.

    That is as safe as being killed: what is not acknowledged is done again. Nothing waits for this.
    """
    timer = threading.Timer(seconds, _end, args=(seconds,))
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    logger.critical("not ended %g s after being asked to: ending at once", seconds)
    faulthandler.dump_traceback(sys.__stderr__ or 2)
    os._exit(EXIT_CODE)
