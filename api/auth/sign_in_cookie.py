"""The cookie that binds a sign-in by another issuer to the browser that began it."""

from typing import Final

from blacksheep import Request

from api.answers import Header

__all__ = ["SignInCookie"]

NAME: Final = "taskforge-sign-in"


class SignInCookie:
    """For the whole site, as the prefix `__Host-` demands (RFC 6265bis): the last steps read it, too.

    `site` is the address that browsers see; without TLS, on loopback, the cookie has neither prefix nor `Secure`.
    """

    def __init__(self, site: str) -> None:
        self._secure = site.startswith("https://")
        self._name = f"__Host-{NAME}" if self._secure else NAME

    def header(self, value: str, seconds: int) -> Header:
        """The header that sets it for so many seconds; 0 takes it away."""
        secure = "; Secure" if self._secure else ""
        text = f"{self._name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}"
        return (b"set-cookie", text.encode())

    def value_in(self, request: Request) -> str:
        """What the browser sent of it; "" for nothing."""
        fields = b";".join(request.headers.get(b"cookie")).decode("latin-1").split(";")
        cookies = (field.strip().partition("=") for field in fields)
        return next((value for name, _, value in cookies if name == self._name), "")
