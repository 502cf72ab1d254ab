"""How every client of ours proves to the brokers who it is, and checks who they are."""

from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from streams.kafka.tls import tls_context
from streams.settings import KafkaSettings

__all__ = ["client_security", "consumer_security"]


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
