"""What a copy of a team begins with: everything that is there after one event, and the checkpoint that proves it."""

from typing import Final

__all__ = ["OBJECT_KIND"]

OBJECT_KIND: Final = "bootstraps"
"""Of their objects, whose keys begin with it."""
