"""Types of columns that Piccolo does not have, or that its own would treat otherwise."""

from piccolo.columns import Column

__all__ = ["Inet", "Json"]


class Inet(Column):
    """An IP address; asyncpg gives and takes those of the `ipaddress` module."""

    value_type = str

    def __init__(self) -> None:
        self.default = None
        super().__init__(null=True, default=None)

    @property
    def column_type(self) -> str:
        return "INET"


class Json(Column):
    """JSON as bytes, in and out: Piccolo's own column would encode what is encoded already."""

    value_type = bytes

    def __init__(self, *, null: bool = False) -> None:
        self.default = None if null else b""
        super().__init__(null=null, default=self.default)

    @property
    def column_type(self) -> str:
        return "JSON"
