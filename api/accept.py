"""What a client accepts, and how much: lists with weights, of media types and of content codings alike.

RFC 9110, 12.4.2 for the weights, 12.5.1 for `Accept`, 12.5.3 for `Accept-Encoding`.
"""

__all__ = ["names", "weights"]


def weights(header: bytes) -> dict[bytes, float]:
    """What the header names, in lower case, each with its weight; other parameters than `q` do not count.

    A malformed weight is 0: nobody can say how much that is wanted, and there is always something plainer to send.
    """
    found: dict[bytes, float] = {}
    for part in header.lower().split(b","):
        name, *parameters = [piece.strip() for piece in part.split(b";")]
        if name:
            found[name] = min([_weight(piece) for piece in parameters], default=1.0)
    return found


def names(accept: bytes, media_type: bytes) -> bool:
    """Whether the header names this very media type, with a weight above zero: wildcards do not name it."""
    return weights(accept).get(media_type, 0.0) > 0


def _weight(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
