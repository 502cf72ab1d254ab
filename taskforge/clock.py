"""The real clock: the only place that reads the time for the domain."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in UTC and the monotonic clock, as `actors.ports.Clock` asks for them."""

    def now(self) -> datetime:
        """UTC wall clock, to the microsecond."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()
