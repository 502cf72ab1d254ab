"""What Piccolo's builder cannot say by itself, each as small as it can be: times, folding, sets, pairs, limits."""

from typing import Any, Final

from piccolo.columns import Column
from piccolo.columns.combination import WhereRaw
from piccolo.query.functions.base import Function
from piccolo.query.methods.select import Select
from piccolo.query.mixins import Limit, LimitDelegate
from piccolo.querystring import QueryString

__all__ = [
    "CLOCK",
    "DEFAULT",
    "NOW",
    "Host",
    "SecondsLeft",
    "ago",
    "ahead",
    "alike",
    "any_of",
    "both_in",
    "equal_if_given",
    "folded",
    "has_text",
    "limited",
]

NOW: Final = QueryString("now()")
"""When the transaction began."""

CLOCK: Final = QueryString("clock_timestamp()")
"""This moment, also inside a long transaction."""

DEFAULT: Final = QueryString("default")
"""The value that only the database gives a column."""


class Host(Function):
    """An address without its netmask, as text."""

    function_name = "host"


class SecondsLeft(QueryString):
    """How long after the transaction began the time in a column is, in seconds; null where the column is."""

    def __init__(self, column: Column, *, alias: str) -> None:
        super().__init__("extract(epoch from {} - now())::float8", column, alias=alias)


def ahead(seconds: Any) -> QueryString:
    """So many seconds (a float) after the transaction began."""
    return QueryString("now() + make_interval(secs => {})", seconds)


def ago(seconds: Any) -> QueryString:
    """So many seconds (a float) before the transaction began."""
    return QueryString("now() - make_interval(secs => {})", seconds)


def folded(text: Any) -> QueryString:
    """Text in lower case as the column `users.email` folds it: two ideas of lower case would be two accounts."""
    return QueryString("lower({}::text collate pg_unicode_fast)", text)


def alike(column: Column, text: Any) -> WhereRaw:
    """Whether the column is this text but for upper and lower case, as the column's collation sees it."""
    return WhereRaw("lower({}) = lower({})", column, text)


def any_of(column: Column, values: Any) -> WhereRaw:
    """Whether the column is one of the values, which are one argument: `in` would be a statement per number of them."""
    return WhereRaw("{} = any({})", column, values)


def has_text(column: Column, key: str, text: Any) -> WhereRaw:
    """Whether the JSON object in the column has this text under the key."""
    return WhereRaw("{} ->> {}::text = {}::text", column, key, text)


def equal_if_given(column: Column, value: Any) -> WhereRaw:
    """Whether the column is this UUID; true of every row when the value is null."""
    return WhereRaw("({} = {}::uuid) is not false", column, value)


def both_in(one: Column, other: Column, pairs: Select[Any]) -> WhereRaw:
    """Whether the two columns are one of the pairs that a query finds."""
    return WhereRaw("({}, {}) in ({})", one, other, pairs.querystrings[0])


class _Limit(Limit):
    """The number as an argument: in the text, as Piccolo writes it, it would make a prepared statement per number."""

    def __post_init__(self) -> None:
        """An argument's value is not known yet."""

    @property
    def querystring(self) -> QueryString:
        return QueryString(" LIMIT {}", self.number)


def limited(query: Select[Any], number: Any) -> Select[Any]:
    """The query with a limit that is given when it runs."""
    query.limit_delegate = LimitDelegate(_limit=_Limit(number))
    return query
