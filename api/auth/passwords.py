"""Passwords: what is accepted (NIST SP 800-63B) and how it is stored (Argon2id, OWASP password storage cheat sheet)."""

import unicodedata
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from api.auth.common_passwords import is_common
from core.errors import BadInput, Overloaded

__all__ = ["PasswordCheck", "Passwords", "check_password"]

T = TypeVar("T")
Given = TypeVarTuple("Given")

SHORTEST: Final = 10
LONGEST: Final = 256
AT_ONCE: Final = 4
WAITING: Final = 100

OWASP_TIME_COST: Final = 2
OWASP_MEMORY_KIB: Final = 19 * 1024
OWASP_LANES: Final = 1


class PasswordCheck(Struct, frozen=True):
    """Whether the password was right; `rehash` is its hash under today's parameters when the stored one is older."""

    ok: bool
    rehash: str | None = None


class Passwords:
    """Hashes and verifies in threads, at most four at once (19 MiB and about 26 ms each), never on the event loop.

    Raises Overloaded when a hundred wait already: a flood of logins must not queue for minutes.
    """

    def __init__(
        self,
        *,
        time_cost: int = OWASP_TIME_COST,
        memory_kib: int = OWASP_MEMORY_KIB,
        lanes: int = OWASP_LANES,
        at_once: int = AT_ONCE,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)
        self._limiter = anyio.CapacityLimiter(at_once)
        self._asked, self._most = 0, at_once + WAITING
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """The password as it is stored."""
        return await self._in_thread(self._hasher.hash, _normal(password))

    async def verify(self, stored: str | None, password: str) -> PasswordCheck:
        """Compare with what is stored; for an unknown user (`stored` is None) the same work is done and fails."""
        return await self._in_thread(self._verify, stored, _normal(password))

    async def _in_thread(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Counted here and not by the limiter, which sees a burst of requests only a turn of the loop later."""
        if self._asked >= self._most:
            raise Overloaded("Too many sign-ins at once.")
        self._asked += 1
        try:
            return await anyio.to_thread.run_sync(work, *given, limiter=self._limiter)
        finally:
            self._asked -= 1

    def _verify(self, stored: str | None, password: str) -> PasswordCheck:
        try:
            self._hasher.verify(self._nobody if stored is None else stored, password)
        except (VerificationError, InvalidHashError):
            return PasswordCheck(ok=False)
        if stored is None:
            return PasswordCheck(ok=False)
        outdated = self._hasher.check_needs_rehash(stored)
        return PasswordCheck(ok=True, rehash=self._hasher.hash(password) if outdated else None)


def check_password(password: str, email: str, *, pointer: str = "/password") -> None:
    """Raise BadInput for a new password that is too short, too long, very common, or the e-mail address itself.

    No composition rules, as NIST advises. Length is counted in Unicode characters after normalisation.
    """
    normal = _normal(password)
    if not SHORTEST <= len(normal) <= LONGEST:
        raise BadInput(f"A password has {SHORTEST} to {LONGEST} characters.", pointer=pointer)
    folded, address = normal.casefold().strip(), _normal(email).casefold()
    if folded in {address, address.partition("@")[0]}:
        raise BadInput("The password must not be the e-mail address.", pointer=pointer)
    if len(set(normal)) == 1:
        raise BadInput("The password must not be one character repeated.", pointer=pointer)
    if is_common(folded):
        raise BadInput("This is one of the commonest passwords: whoever guesses begins with it.", pointer=pointer)


def _normal(password: str) -> str:
    """The same password from every keyboard: NFKC, as NIST SP 800-63B asks."""
    return unicodedata.normalize("NFKC", password)
