"""How much is attached to the tasks of a team: what its limits are compared with."""

from msgspec import Struct

from core.events import AnyAttachmentEvent

__all__ = ["Attached"]


class Attached(Struct, frozen=True, gc=False):
    """How many files all tasks of a team have, archived ones too, and how many bytes they are together."""

    count: int = 0
    size: int = 0

    def after(self, event: AnyAttachmentEvent) -> "Attached":
        """The same once a file has come or gone."""
        sign = -1 if event.gone else 1
        return Attached(self.count + sign, self.size + sign * event.attachment.size)
