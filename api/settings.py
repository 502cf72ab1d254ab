"""What `api` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.issuer_settings import Issuers
from core.secret import Secret

__all__ = ["AccessLog", "AuthSettings", "HttpSettings", "OpsSettings"]

DAY = 86_400

AccessLog = Literal["off", "problems", "all"]
ProxyHeader = Literal["x-forwarded-for", "forwarded"]


class HttpSettings(Struct, frozen=True, kw_only=True):
    """The listener and what it accepts."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535, description="TCP port to listen on.")] = 8000
    workers: Annotated[int, Meta(ge=1, le=256, description="API processes on this machine.")] = 1
    body_limit: Annotated[int, Meta(ge=1024, description="Largest request body in bytes, attachments apart.")] = (
        1024 * 1024
    )
    body_seconds: Annotated[float, Meta(gt=0, le=600, description="A request's body must have come within this.")] = 30
    head_seconds: Annotated[
        int,
        Meta(ge=1, le=600, description="A request's head must have come within this; idle connections end after it."),
    ] = 30
    http2: Annotated[
        bool, Meta(description="Serve HTTP/2 without TLS as well; not needed behind proxies that speak HTTP/1.1 to us.")
    ] = True
    public_url: Annotated[str | None, Meta(description="Address people see, for links; default http://host:port.")] = (
        None
    )
    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="Further browser origins, separated by commas: https://app.example.com.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks of proxies that may name their clients, separated by commas: 10.0.0.0/8."),
    ] = ()
    proxy_header: Annotated[
        ProxyHeader, Meta(description="The header in which they do; what the client sent of it, they must add to.")
    ] = "x-forwarded-for"
    access_log: Annotated[
        AccessLog, Meta(description="Requests that get a line in the log; problems: refused, failed or slow.")
    ] = "all"
    slow_seconds: Annotated[float, Meta(gt=0, description="A request that takes this long is slow.")] = 1.0
    metrics_enabled: Annotated[
        bool | None, Meta(description="Serve /metrics on this listener, too. Default: except in production.")
    ] = None

    @property
    def site(self) -> str:
        """The address that people see, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class OpsSettings(Struct, frozen=True, kw_only=True):
    """The listeners for operators: health, readiness, metrics. They are not for the public."""

    host: Annotated[
        str, Meta(min_length=1, description="Address on which workers and API servers answer their operators.")
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="TCP port of a worker for its operators; 0 takes a free one.")
    ] = 0
    api_port: Annotated[
        int, Meta(ge=0, le=65_535, description="TCP port of an API server for its operators; 0 takes a free one.")
    ] = 0
    token: Annotated[
        Secret,
        Meta(
            description="Operators sign in to a worker's /ops with it and a name of theirs; without one the page is "
            "for this machine itself, and not there in production."
        ),
    ] = Secret("")


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Access tokens are short JWTs, refresh tokens rotate (RFC 9700)."""

    issuer: Annotated[str, Meta(min_length=1, description="`iss` of our tokens.")] = "taskforge"
    audience: Annotated[str, Meta(min_length=1, description="`aud` of our tokens.")] = "taskforge-api"
    access_seconds: Annotated[int, Meta(ge=1, le=600, description="Life of an access token, at most 10 minutes.")] = 600
    refresh_idle_seconds: Annotated[int, Meta(ge=60, description="An unused refresh token ends after this.")] = 7 * DAY
    refresh_absolute_seconds: Annotated[int, Meta(ge=60, description="A session ends after this, used or not.")] = (
        30 * DAY
    )
    grace_seconds: Annotated[
        int, Meta(ge=0, le=60, description="A just used refresh token still answers this long.")
    ] = 10
    issuers: Annotated[
        Issuers,
        Meta(description="Other issuers, a JSON list: docs/sign-in.md."),
    ] = ()
