"""Pages for people, served from memory."""

from typing import Final

from api.openapi import Operation
from api.pages.board import register

__all__ = ["OPERATIONS", "register"]

OPERATIONS: Final[tuple[Operation, ...]] = ()
"""Pages are for people: the OpenAPI document does not list them."""
