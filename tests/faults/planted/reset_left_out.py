"""A reader goes on in another history without being told."""

from streams.feeds.frames import Reset
from streams.feeds.subscription import Subscription


def reset(self: Subscription, reset: Reset) -> None:
    self.seq = reset.seq


Subscription.reset = reset  # type: ignore[method-assign]
