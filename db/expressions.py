"""What Piccolo's builder cannot say by itself, each as small as it can be: times, folding, sets, pairs, limits."""

from typing import Any, Final

from piccolo.columns import Column
from piccolo.query.functions.base import Function
from piccolo.query.methods.select import Select
from piccolo.query.mixins import Limit, LimitDelegate
from piccolo.querystring import QueryString

__all__ = ["CLOCK", "DEFAULT", "NOW", "Host", "ago", "ahead", "any_of", "both_in", "earliest", "folded", "limited"]

NOW: Final = QueryString("now()")
"""When the transaction began."""

CLOCK: Final = QueryString("clock_timestamp()")
"""This moment, also inside a long transaction."""


DEFAULT: Final = QueryString("default")
"""The value that only the database gives a column."""


class Host(Function):
    """An address without its netmask, as text."""

    function_name = "host"


def ahead(seconds: Any) -> QueryString:
    """So many seconds (a float) after the transaction began."""
    return QueryString("now() + make_interval(secs => {})", seconds)


def ago(seconds: Any) -> QueryString:
    """So many seconds (a float) before the transaction began."""
    return QueryString("now() - make_interval(secs => {})", seconds)


def earliest(*times: Column) -> QueryString:
    """The first of these times; nulls do not count."""
    return QueryString(f"least({', '.join('{}' for _ in times)})", *times)


def folded(text: Any) -> QueryString:
    """Text in lower case as the column `users.email` folds it: two ideas of lower case would be two accounts."""
    return QueryString("lower({}::text collate pg_unicode_fast)", text)


def any_of(column: Column, values: Any) -> QueryString:
    """Whether the column is one of the values, which are one argument: `in` would be a statement per number of them."""
    return QueryString("{} = any({})", column, values)


def both_in(one: Column, other: Column, pairs: Select[Any]) -> QueryString:
    """Whether the two columns are one of the pairs that a query finds."""
    return QueryString("({}, {}) in ({})", one, other, pairs.querystrings[0])


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
