"""A query parameter that an operation does not declare, or one given twice, is refused: here, for all of them.

A misspelt filter that is passed over gives a list that looks right and is not. What the operations declare is what
OpenAPI shows of them, so that neither can say what the other does not.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

from blacksheep import Request, Response
from msgspec import Struct

from api.binding import check_names
from api.calls import Call, call_of
from api.paths import pattern
from core.errors import BadInput

if TYPE_CHECKING:
    from api.openapi import Operation

__all__ = ["Parameters"]

Handler = Callable[[Request], Awaitable[Response]]

_GET_TOO: Final = {"HEAD": "GET"}


class _Declared(Struct, frozen=True):
    """What may stand in the query of an operation, and what comes before a word about it."""

    names: frozenset[str]
    secured: bool
    keyed: bool


class Parameters:
    """What each operation declares, by its method and route. `around` is that of `UsedKeys`."""

    def __init__(self, operations: Iterable["Operation"], around: Callable[[Handler], Handler]) -> None:
        self._around = around
        self._declared = {
            (operation.method, pattern(operation.path)): _Declared(
                frozenset(one.name for one in operation.parameters if one.place == "query"),
                operation.secured,
                operation.keyed and operation.secured,
            )
            for operation in operations
            if not operation.open_query
        }

    def before(self, call: Call, handler: Handler) -> Handler:
        """The handler of a routed call; in its place one that raises BadInput when the query is wrong.

        Who asks is found out first, and a key that was used for another request still decides (409 or 422 before 400).
        """
        declared = self._declared.get((_GET_TOO.get(call.method, call.method), call.route)) if call.query else None
        if declared is None:
            return handler
        try:
            check_names(call.query, declared.names)
        except BadInput as error:
            refusing = _refusing(error, secured=declared.secured)
            return self._around(refusing) if declared.keyed else refusing
        return handler


def _refusing(error: BadInput, *, secured: bool) -> Handler:
    async def refuse(request: Request) -> Response:
        if secured:
            call_of(request).principal()
        raise error

    return refuse
