"""What no single setting can be checked for: values that are well-formed but do not fit each other, or the mode."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from core.secret import Secret
from db.object_store import bad_url
from streams.mail.senders import sender_address
from streams.settings import KafkaSettings
from taskforge.issuer_rules import bad_issuers
from taskforge.settings_struct import Settings

__all__ = ["contradictions"]

MIN_KEY_BYTES: Final = 32
MIN_TOKEN: Final = 24


def contradictions(settings: Settings) -> Iterator[str]:
    """One line for each rule that is broken, naming its variables and showing no secret."""
    yield from _bad_urls(settings)
    yield from _bad_keys(settings.keys)
    yield from _bad_login(settings.kafka)
    if settings.ops.token and len(settings.ops.token) < MIN_TOKEN:
        yield f"TASKFORGE_OPS__TOKEN: must have at least {MIN_TOKEN} characters; generate one: openssl rand -base64 24"
    yield from bad_issuers(settings.auth, production=settings.mode == "production")
    auth, feeds = settings.auth, settings.feeds
    if auth.refresh_idle_seconds > auth.refresh_absolute_seconds:
        yield "TASKFORGE_AUTH__REFRESH_IDLE_SECONDS: must not exceed TASKFORGE_AUTH__REFRESH_ABSOLUTE_SECONDS"
    if auth.access_seconds >= auth.refresh_idle_seconds:
        yield "TASKFORGE_AUTH__ACCESS_SECONDS: must be less than TASKFORGE_AUTH__REFRESH_IDLE_SECONDS"
    if feeds.heartbeat_seconds >= feeds.connection_seconds:
        yield "TASKFORGE_FEEDS__HEARTBEAT_SECONDS: must be less than TASKFORGE_FEEDS__CONNECTION_SECONDS"
    if settings.mode == "production":
        yield from _unfit_for_production(settings)


def _bad_keys(keys: Sequence[Secret]) -> Iterator[str]:
    if not keys:
        yield "TASKFORGE_KEYS: has no key in it"
    if len(set(keys)) < len(keys):
        yield "TASKFORGE_KEYS: has the same key twice"
    for place, key in enumerate(keys, start=1):
        if len(key) < MIN_KEY_BYTES:
            yield f"TASKFORGE_KEYS: key {place} must have at least {MIN_KEY_BYTES} bytes, has {len(key)}"


def _bad_login(kafka: KafkaSettings) -> Iterator[str]:
    if kafka.uses_sasl and not (kafka.sasl_username and kafka.sasl_password):
        yield (
            f"TASKFORGE_KAFKA__SECURITY_PROTOCOL: {kafka.security_protocol} needs TASKFORGE_KAFKA__SASL_USERNAME "
            "and TASKFORGE_KAFKA__SASL_PASSWORD"
        )
    if kafka.sasl_password and not kafka.uses_sasl:
        yield "TASKFORGE_KAFKA__SASL_PASSWORD: needs TASKFORGE_KAFKA__SECURITY_PROTOCOL=SASL_SSL or SASL_PLAINTEXT"
    for field in ("ssl_ca", "ssl_certificate", "ssl_key"):
        if getattr(kafka, field) and not kafka.uses_tls:
            yield f"TASKFORGE_KAFKA__{field.upper()}: needs TASKFORGE_KAFKA__SECURITY_PROTOCOL=SSL or SASL_SSL"
    if kafka.ssl_key and not kafka.ssl_certificate:
        yield "TASKFORGE_KAFKA__SSL_KEY: needs TASKFORGE_KAFKA__SSL_CERTIFICATE"


def _bad_urls(settings: Settings) -> Iterator[str]:
    database = settings.database
    for field in ("owner_url", "api_url", "writer_url", "worker_url"):
        if url := getattr(database, field).reveal():
            yield from _bad_url(f"DATABASE__{field.upper()}", url, ("postgresql", "postgres"))
    yield from _bad_url("VALKEY__URL", settings.valkey.url.reveal(), ("valkey", "valkeys", "redis", "rediss", "unix"))
    if url := settings.mail.url.reveal():
        yield from _bad_url("MAIL__URL", url, ("smtp", "smtps"))
    yield from _bad_store(settings)
    try:
        sender_address(settings.mail.from_)
    except ValueError:
        yield f"TASKFORGE_MAIL__FROM: {settings.mail.from_!r} is no sender, `Name <address>` or an address"
    if settings.http.public_url is not None:
        yield from _bad_url("HTTP__PUBLIC_URL", settings.http.public_url, ("http", "https"))
    for network in settings.http.trusted_proxies:
        yield from _bad_network(network)
    for origin in settings.http.allowed_origins:
        yield from _bad_url("HTTP__ALLOWED_ORIGINS", origin, ("http", "https"))
        if origin.count("/") > 2:
            yield f"TASKFORGE_HTTP__ALLOWED_ORIGINS: an origin has no path: {origin!r}"


def _bad_store(settings: Settings) -> Iterator[str]:
    objects = settings.objects
    if objects.url and (reason := bad_url(objects.url)):
        yield f"TASKFORGE_OBJECTS__URL: {reason}"
    if bool(objects.access_key_id) != bool(objects.secret_access_key.reveal()):
        yield "TASKFORGE_OBJECTS__ACCESS_KEY_ID: needs TASKFORGE_OBJECTS__SECRET_ACCESS_KEY, and the other way round"


def _bad_network(network: str) -> Iterator[str]:
    try:
        prefix = ipaddress.ip_network(network).prefixlen
    except ValueError:
        yield f"TASKFORGE_HTTP__TRUSTED_PROXIES: is not a network, as in 10.0.0.0/8: {network!r}"
        return
    if prefix == 0:
        yield "TASKFORGE_HTTP__TRUSTED_PROXIES: must not be everybody, who could then name any address as theirs"


def _bad_url(name: str, url: str, schemes: tuple[str, ...]) -> Iterator[str]:
    """Says what is wrong without the URL itself, which may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield f"TASKFORGE_{name}: is not a URL"
        return
    if parts.scheme not in schemes:
        yield f"TASKFORGE_{name}: must start with {schemes[0]}://"
    elif not parts.hostname and parts.scheme != "unix":
        yield f"TASKFORGE_{name}: has no host"


def _unfit_for_production(settings: Settings) -> Iterator[str]:
    for place, key in enumerate(settings.keys, start=1):
        if len(set(key.reveal())) < 10:
            yield f"TASKFORGE_KEYS: key {place} is too uniform for production; generate one: openssl rand -base64 48"
    if settings.http.public_url is None:
        yield "TASKFORGE_HTTP__PUBLIC_URL: is missing (production sends links in emails)"
    elif not settings.http.public_url.startswith("https://"):
        yield "TASKFORGE_HTTP__PUBLIC_URL: must be https:// in production"
    if settings.http.metrics_enabled:
        yield (
            "TASKFORGE_HTTP__METRICS_ENABLED: must not be true in production; "
            "operators read /metrics at TASKFORGE_OPS__API_PORT"
        )
    if not settings.objects.url:
        yield "TASKFORGE_OBJECTS__URL: is missing (production keeps exports in a store that its processes share)"
    elif settings.objects.url.startswith("memory:"):
        yield "TASKFORGE_OBJECTS__URL: must not be memory:, which ends with the process"
    if settings.webhooks.loopback:
        yield "TASKFORGE_WEBHOOKS__LOOPBACK: must not be true in production, where it reaches what is not for guests"
    yield from _open_valkey(settings.valkey.url.reveal())
    yield from _open_kafka(settings.kafka)


def _open_valkey(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if not parts.password:
        yield "TASKFORGE_VALKEY__URL: has no password; production needs a Valkey that authenticates its clients"
    if parts.scheme not in ("valkeys", "rediss", "unix") and not _is_loopback(parts.hostname or ""):
        yield "TASKFORGE_VALKEY__URL: must be valkeys:// (TLS) in production, unless it is on loopback"


def _open_kafka(kafka: KafkaSettings) -> Iterator[str]:
    if not kafka.uses_sasl and not (kafka.uses_tls and kafka.ssl_certificate):
        yield (
            "TASKFORGE_KAFKA__SECURITY_PROTOCOL: must be SASL_SSL in production (or SSL with "
            "TASKFORGE_KAFKA__SSL_CERTIFICATE, or SASL_PLAINTEXT on loopback): the broker must know its clients"
        )
    hosts = [server.strip().rpartition(":")[0].strip("[]") for server in kafka.bootstrap_servers.split(",")]
    if not kafka.uses_tls and not all(map(_is_loopback, hosts)):
        yield "TASKFORGE_KAFKA__SECURITY_PROTOCOL: must be SASL_SSL or SSL in production, unless it is on loopback"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
