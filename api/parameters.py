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

if TYPE_CHECKING:
    from api.openapi import Operation

__all__ = ["Parameters"]

Handler = Callable[[Request], Awaitable[Response]]

_GET_TOO: Final = {"HEAD": "GET"}


class _Declared(Struct, frozen=True):
    """What may stand in the query of an operation; of a `secured` one only who has signed in is told so."""

    names: frozenset[str]
    secured: bool


class Parameters:
    """What each operation declares, by its method and route."""

    def __init__(self, operations: Iterable["Operation"]) -> None:
        self._declared = {
            (operation.method, pattern(operation.path)): _Declared(
                frozenset(one.name for one in operation.parameters if one.place == "query"), operation.secured
            )
            for operation in operations
            if not operation.open_query
        }

    def before(self, call: Call, handler: Handler) -> Handler:
        """The handler of a routed call, with the check in front when there is a query to check.

        It is the handler's first step, after whatever finds out who asks, and raises BadInput naming the parameter.
        """
        declared = self._declared.get((_GET_TOO.get(call.method, call.method), call.route)) if call.query else None
        if declared is None:
            return handler

        async def checked(request: Request) -> Response:
            own = call_of(request)
            if declared.secured:
                own.principal()
            check_names(own.query, declared.names)
            return await handler(request)

        return checked
