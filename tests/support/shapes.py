"""What of an answer may tell a stranger something."""

import re
from typing import Any

import httpx

__all__ = ["shape", "timeless"]

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


def timeless(answer: httpx.Response) -> tuple[Any, ...]:
    """The same with how much is left of each limit, but not for how many seconds, which go on between two answers."""
    status, content, headers = shape(answer)
    left = {name: re.sub(r";t=[0-9]+", "", answer.headers[name]) for name in OF_THE_MOMENT & headers.keys()}
    return (status, content, headers | left)
