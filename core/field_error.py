"""What a Struct says of one of its fields when it is made."""

__all__ = ["FieldError"]


class FieldError(ValueError):
    """A value that has the type of its field, `field`, and yet cannot be taken."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
