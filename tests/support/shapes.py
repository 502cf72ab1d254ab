"""What of an answer may tell a stranger something."""

from typing import Any

import httpx

__all__ = ["shape"]

OF_THE_REQUEST = frozenset({"x-request-id", "date"})
"""Different in any two answers."""
OF_THE_MOMENT = frozenset({"ratelimit"})
"""There in all answers; how much is left, and for how long, is a matter of when one asks."""


def shape(answer: httpx.Response) -> tuple[Any, ...]:
    """Everything of an answer but what differs between any two requests."""
    headers = {
        name: "" if name in OF_THE_MOMENT else value
        for name, value in answer.headers.items()
        if name not in OF_THE_REQUEST
    }
    return (answer.status_code, answer.content, headers)
