"""TLS with the brokers, of the standard library alone: processes without a Kafka client need it, too."""

import ssl

from streams.settings import KafkaSettings

__all__ = ["tls_context"]


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
