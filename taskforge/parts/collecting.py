"""How long mails of notifications collect, as it is set. Loaded by workers only."""

from datetime import timedelta

from db.notices.notify import Collecting
from taskforge.parts.composition import Composition

__all__ = ["collecting_of"]


def collecting_of(made: Composition) -> Collecting:
    """For whatever notifies in this process."""
    mails = made.settings.mail
    return Collecting(timedelta(seconds=mails.quiet_seconds), timedelta(seconds=mails.longest_seconds))
