"""Piccolo's queries, compiled once when their module is imported and run by a transaction of `db.transaction`.

    _NAME = values(str, Users.select(Users.name).where(Users.id == given("user_id")))
    …
    name = await tx.one(_NAME, user_id=user_id)

Why once: building a query costs Piccolo more Python than the driver needs to run it (0.2 to 0.6 ms), and a text that
never changes is prepared once per connection. Why here: what is compiled is text and arguments only, so that it cannot
run anywhere but on the connection, and under the row security, of the transaction it is handed to.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct
from piccolo.columns import Column
from piccolo.query.base import Query
from piccolo.query.methods.delete import Delete
from piccolo.query.methods.insert import Insert
from piccolo.query.methods.select import Select
from piccolo.query.methods.update import Update
from piccolo.table import Table

__all__ = [
    "Answered",
    "Change",
    "Returned",
    "Rows",
    "Statement",
    "change",
    "columns",
    "given",
    "insert",
    "returned",
    "returned_values",
    "rows",
    "values",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Changing: TypeAlias = "Insert[Any] | Update[Any] | Delete"


class _Given(Struct, frozen=True):
    """Stands in a query for a value that is named when the statement runs."""

    name: str


def given(name: str) -> Any:
    """The place of a value that comes, under this name, with each run."""
    return _Given(name)


class Statement:
    """SQL with numbered arguments, and what each of them is: a constant of the query, or a value given by name."""

    __slots__ = ("_arguments", "_names", "sql")

    def __init__(self, query: Query[Any, Any]) -> None:
        # What Piccolo does before it runs one: no change without a condition.
        query._validate()  # type: ignore[no-untyped-call]  # noqa: SLF001
        (querystring,) = query.querystrings
        self.sql, arguments = querystring.compile_string()
        self._arguments = tuple(arguments)
        self._names = frozenset(argument.name for argument in arguments if isinstance(argument, _Given))

    def arguments(self, named: Mapping[str, object]) -> list[object]:
        """The values in the order of their numbers. Raises TypeError when the names are not those of the statement."""
        if named.keys() != self._names:
            raise TypeError(f"wanted {sorted(self._names)}, given {sorted(named)}: {self.sql}")
        return [named[wanted.name] if isinstance(wanted, _Given) else wanted for wanted in self._arguments]


class Answered(Statement, Generic[T_co]):
    """A statement that answers rows, each made into a `T_co`."""

    __slots__ = ("make",)

    def __init__(self, query: Query[Any, Any], make: Callable[[Mapping[str, Any]], T_co]) -> None:
        super().__init__(query)
        self.make = make


class Rows(Answered[T_co]):
    """Reads rows and changes nothing: for transactions that only read, too."""

    __slots__ = ()


class Returned(Answered[T_co]):
    """Changes rows and answers them as they are now."""

    __slots__ = ()


class Change(Statement):
    """Changes rows and answers only how many."""

    __slots__ = ()


def rows(make: Callable[..., T], query: Select[Any]) -> Rows[T]:
    """What `make`, usually a Struct, makes of each row; it gets the columns by name."""
    return Rows(query, lambda row: make(**row))


def values(kind: type[T], query: Select[Any]) -> Rows[T]:  # noqa: ARG001 (read by the type checker)
    """The only column of each row."""
    return Rows(query, _only)


def change(query: Changing) -> Change:
    """The statement of a query that needs no rows back."""
    return Change(query)


def returned(make: Callable[..., T], query: Changing) -> Returned[T]:
    """As `rows`, of the columns that the query returns."""
    return Returned(query, lambda row: make(**row))


def returned_values(kind: type[T], query: Changing) -> Returned[T]:  # noqa: ARG001
    """As `values`, of the column that the query returns."""
    return Returned(query, _only)


def _only(row: Mapping[str, Any]) -> Any:
    (value,) = row.values()
    return value


def columns(table: type[Table], kind: type[Struct]) -> list[Column]:
    """The table's columns that are called as the Struct's fields."""
    return [table._meta.get_column_by_name(name) for name in kind.__struct_fields__]  # noqa: SLF001 (Piccolo's way)


def insert(table: type[Table], **row: Any) -> Insert[Any]:
    """The query that adds a row, of which every column must be named.

    Piccolo would fill in its own defaults, computed once, when the module is imported; and it would ask for the key
    back, for which a role that may only add to a table has no right.
    """
    if row.keys() != (names := {column._meta.name for column in table._meta.columns}):  # noqa: SLF001
        raise TypeError(f"{table.__name__} needs exactly these columns: {sorted(names)}")
    return Insert(table, table(**row))
