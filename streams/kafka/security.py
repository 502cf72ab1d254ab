"""How every client of ours proves to the brokers who it is, and checks who they are."""

import ssl
from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from streams.settings import KafkaSettings

__all__ = ["client_security", "consumer_security", "tls_context"]


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Checks names and certificates of brokers, and shows ours where there is one; None without TLS.

    Raises OSError (ssl.SSLError is one) for a file that cannot be read.
    """
    if not settings.uses_tls:
        return None
    context = ssl.create_default_context(cafile=settings.ssl_ca or None)
    if settings.ssl_certificate:
        context.load_cert_chain(settings.ssl_certificate, settings.ssl_key or None)
    return context


def client_security(settings: KafkaSettings) -> dict[str, Any]:
    """What the clients of aiokafka are given. Raises OSError as `tls_context` does."""
    given: dict[str, Any] = {"security_protocol": settings.security_protocol, "ssl_context": tls_context(settings)}
    if settings.uses_sasl:
        given |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.reveal(),
        }
    return given


def consumer_security(settings: KafkaSettings) -> BaseSecurity:
    """The same for the consumers' library. Raises OSError as `tls_context` does."""
    context, encrypted = tls_context(settings), settings.uses_tls
    if not settings.uses_sasl:
        return BaseSecurity(context, encrypted)
    username, password = settings.sasl_username, settings.sasl_password.reveal()
    match settings.sasl_mechanism:
        case "PLAIN":
            return SASLPlaintext(username, password, context, encrypted)
        case "SCRAM-SHA-256":
            return SASLScram256(username, password, context, encrypted)
        case "SCRAM-SHA-512":
            return SASLScram512(username, password, context, encrypted)
