"""What the `Accept` of a request takes: RFC 9110, 12.5.1, as far as an endpoint has more than one thing to give."""

__all__ = ["names"]


def names(accept: bytes, media_type: bytes) -> bool:
    """Whether the header names this very media type, with a weight above zero: wildcards do not name it."""
    if media_type not in accept.lower():
        return False
    for part in accept.lower().split(b","):
        named, *parameters = [piece.strip() for piece in part.split(b";")]
        if named == media_type:
            return all(not piece.startswith(b"q=") or _weight(piece[2:]) > 0 for piece in parameters)
    return False


def _weight(text: bytes) -> float:
    """The weight as a number; one that is malformed counts as 1, as if it were not there."""
    try:
        return float(text)
    except ValueError:
        return 1.0
