"""What Piccolo knows of the server: how Postgres spells things, and no way to reach it.

With an engine of its own Piccolo would open a connection per query, outside of every transaction of ours and therefore
outside of row security's settings; and it would look for that engine by importing `piccolo.conf`, which loads a code
formatter. Its tables get this instead: queries are written with Piccolo, compiled by `db.statements`, and run on the
connection that a transaction of `db.transaction` holds.
"""

from typing import Any, Final, NoReturn, cast

from piccolo.engine.base import Engine

__all__ = ["POSTGRES"]


class _Dialect:
    """As much of an engine as writing a query needs. Running one raises RuntimeError."""

    engine_type = "postgres"

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"Piccolo asks for {name}: run the query in a transaction, through db.statements")


POSTGRES: Final = cast("Engine[Any]", _Dialect())
