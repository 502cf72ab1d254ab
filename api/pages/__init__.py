"""Pages for people, served from memory."""

from typing import TYPE_CHECKING, Final

from blacksheep import Router

from api.openapi import Operation
from api.pages import board, mailbox

if TYPE_CHECKING:
    from api.services import Services

__all__ = ["OPERATIONS", "register"]

OPERATIONS: Final[tuple[Operation, ...]] = ()
"""Pages are for people: the OpenAPI document does not list them."""


def register(router: Router, services: "Services") -> None:
    """Serve every page."""
    board.register(router, services)
    mailbox.register(router, services)
