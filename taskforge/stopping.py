"""How an API server ends: its processes part with their streams first, then the server stops them.

Granian waits for open answers and cuts WebSockets without a word, so a live feed would hold up the stop or end without
a close code. On SIGTERM the main process therefore asks every worker to drain (SIGUSR1); each says when it is done
(SIGUSR2); then, or after two seconds, the server stops as it always does. A second SIGTERM stops at once.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from granian.server.mp import MPServer

from taskforge.parts.draining import FEEDS_SECONDS

if TYPE_CHECKING:
    from taskforge.parts.process import Process

__all__ = ["DRAIN", "DRAINED", "DrainingServer", "ask_to_stop", "drain_on_signal", "undisturbed_loading"]

log = logging.getLogger(__name__)

DRAIN: Final = signal.SIGUSR1
DRAINED: Final = signal.SIGUSR2
INSIST_SECONDS: Final = 1.0
DRAINED_POLL: Final = 0.02


class DrainingServer(MPServer):
    """Granian's server with a drain before its stop."""

    _waiting_for: int | None = None

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Listen for the answers, then start as usual; workers that only begin inherit that DRAIN is ignored."""
        signal.signal(DRAIN, signal.SIG_IGN)
        signal.signal(DRAINED, self._one_has_drained)
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    def _stop_workers(self) -> None:
        """Stop, and say so again every second: a worker that is just starting to serve can miss the first signal.

        A server also ends by itself, when one of its workers has ended twice in a moment: the others drain then, too.
        """
        if self._waiting_for is None:
            self._ask_to_drain()
            self._wait_until_drained()
        stopped = threading.Event()

        def insist() -> None:
            while not stopped.wait(INSIST_SECONDS):
                for worker in self.wrks:
                    if worker.is_alive():
                        worker.terminate()

        threading.Thread(target=insist, daemon=True).start()
        super()._stop_workers()  # type: ignore[no-untyped-call]
        stopped.set()

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:
        """SIGTERM or SIGINT: ask the workers to drain; called again, stop at once."""
        if self._waiting_for is not None:
            self._stop()
            return
        if self._ask_to_drain():
            timer = threading.Timer(FEEDS_SECONDS, self._stop)
            timer.daemon = True
            timer.start()
        else:
            self._stop()

    def _ask_to_drain(self) -> int:
        """Ask every worker that lives; how many."""
        asked = [worker for worker in self.wrks if worker.is_alive() and _asked_to_drain(worker._id())]  # noqa: SLF001
        self._waiting_for = len(asked)
        return len(asked)

    def _wait_until_drained(self) -> None:
        end = time.monotonic() + FEEDS_SECONDS
        while self._waiting_for and time.monotonic() < end:
            time.sleep(DRAINED_POLL)

    def _one_has_drained(self, *_: Any) -> None:
        if self._waiting_for is not None:
            self._waiting_for -= 1
            if self._waiting_for <= 0:
                self._stop()

    def _stop(self) -> None:
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]


def _asked_to_drain(pid: int | None) -> bool:
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, DRAIN)
        return True
    return False


def undisturbed_loading() -> None:
    """For a worker that still imports: a plain SIGTERM ends it, and being asked to drain does not."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(DRAIN, signal.SIG_IGN)
    signal.signal(DRAINED, signal.SIG_DFL)


def ask_to_stop() -> None:
    """In a worker: have the whole server end, as by a SIGTERM from outside."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(os.getppid(), signal.SIGTERM)


def drain_on_signal(process: "Process") -> None:
    """In a worker: when asked, be ready no more, end the open streams, and tell the main process."""
    loop, main = asyncio.get_running_loop(), os.getppid()
    tasks: set[asyncio.Task[None]] = set()

    def asked() -> None:
        if not process.health.draining.is_set():
            process.health.draining.set()
            task = loop.create_task(_drain(process, main))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    loop.add_signal_handler(DRAIN, asked)


async def _drain(process: "Process", main: int) -> None:
    try:
        async with asyncio.timeout(FEEDS_SECONDS):
            await process.services.hub.drain()
    except TimeoutError:
        log.warning("some streams did not end in time")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, DRAINED)
