"""The arguments of a statement that is put together."""

from typing import Any

__all__ = ["Arguments"]


class Arguments(list[Any]):
    """Collects arguments and gives the placeholder of each."""

    def add(self, value: Any, kind: str) -> str:
        """The placeholder of a value of a Postgres type."""
        self.append(value)
        return f"${len(self)}::{kind}"
