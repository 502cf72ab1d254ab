"""From a target to the addresses that are connected to: looked up once for each attempt, and all of them checked."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio.to_thread
from anyio import CapacityLimiter

from streams.webhooks.addresses import Address, is_loopback
from streams.webhooks.urls import NotAllowed, Rules, Target

__all__ = ["Resolve", "SystemResolver", "addresses_of"]

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a name. Raises OSError."""

AT_ONCE: Final = 64
"""Threads of our own: a name server that hangs keeps nothing else from being looked up."""


class SystemResolver:
    """Names as the system looks them up."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses, in the system's order. Raises OSError. One that is cancelled leaves its thread to end."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(AT_ONCE)
        found = await anyio.to_thread.run_sync(_look_up, host, port, limiter=self._limiter, abandon_on_cancel=True)
        return list(dict.fromkeys(ipaddress.ip_address(str(place[4][0])) for place in found))


def _look_up(host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[object, ...]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def addresses_of(target: Target, rules: Rules, resolve: Resolve) -> Sequence[Address]:
    """The addresses to connect to. Raises NotAllowed when there is none, or one of them is not allowed.

    A name with an inside address among others is refused as a whole: which of them a later look-up brings is chance.
    """
    if target.address is not None:
        found: Sequence[Address] = [target.address]
    else:
        try:
            found = await resolve(target.host, target.port)
        except (OSError, ValueError) as error:
            # A name that is not there looks like one inside, so that nobody can find out names by it.
            raise NotAllowed from error
    if not found or not all(map(rules.allow, found)):
        raise NotAllowed
    if target.only_loopback != all(map(is_loopback, found)):
        raise NotAllowed
    return found
