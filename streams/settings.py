"""What `streams` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.secret import Secret

__all__ = ["FeedSettings", "KafkaSettings", "MailSettings", "SaslMechanism", "SecurityProtocol", "WebhookSettings"]

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """The Kafka-compatible broker that carries the topics."""

    bootstrap_servers: Annotated[str, Meta(min_length=1, description="host:port, several separated by commas.")]
    partitions: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Partitions of a topic when we create it; one that stands keeps its number."),
    ] = 6
    replicas: Annotated[
        int, Meta(ge=1, le=32_767, description="Copies of a topic when we create it, or as many as there are brokers.")
    ] = 3
    event_days: Annotated[
        float, Meta(ge=1, le=36_500, description="How long the topic of events keeps them; redacted ones leave it so.")
    ] = 7.0
    work_days: Annotated[
        float,
        Meta(ge=1, le=365, description="How long topics of mails, jobs, retries and dead letters keep their records."),
    ] = 14.0
    compaction_hours: Annotated[
        float, Meta(ge=0.1, le=8_760, description="After so long compacted topics have lost what was overwritten.")
    ] = 24.0
    tombstone_hours: Annotated[
        float, Meta(ge=0.1, le=8_760, description="So long compacted topics say that something is gone.")
    ] = 168.0
    checkpoint_events: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Events of a team after which its next checkpoint is published.")
    ] = 1_000
    checkpoint_minutes: Annotated[
        float, Meta(gt=0, le=10_080, description="Or so long after the last one, if there were any.")
    ] = 15.0
    idempotent: Annotated[bool, Meta(description="Idempotent producer: on for Apache Kafka, off for Tansu.")] = False
    security_protocol: Annotated[
        SecurityProtocol, Meta(description="How to speak to the brokers; SSL means TLS, SASL means a login.")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[SaslMechanism, Meta(description="How to log in, where the protocol has SASL.")] = (
        "SCRAM-SHA-512"
    )
    sasl_username: Annotated[str, Meta(description="Who logs in.")] = ""
    sasl_password: Annotated[Secret, Meta(description="The password of that login.")] = Secret("")
    ssl_ca: Annotated[
        str,
        Meta(
            description="PEM file of the authorities that the brokers' certificates are checked against; "
            "default: those of the system."
        ),
    ] = ""
    ssl_certificate: Annotated[
        str, Meta(description="PEM file of our own certificate, for brokers that authenticate clients by it.")
    ] = ""
    ssl_key: Annotated[str, Meta(description="PEM file of that certificate's key, unless both are in one file.")] = ""

    @property
    def uses_tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether the client logs in."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")


class MailSettings(Struct, frozen=True, kw_only=True):
    """How mails leave."""

    url: Annotated[
        Secret,
        Meta(description="smtp://user:secret@host:587 (STARTTLS) or smtps://…:465; empty: the dev mailbox of `up`."),
    ] = Secret("")
    from_: Annotated[str, Meta(description="The sender, `Name <address>` or an address.")] = (
        "TaskForge <taskforge@localhost>"
    )
    mailbox: Annotated[str, Meta(description="Folder that takes mails where there is no server; `up` sets it.")] = ""
    quiet_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="A mail about a task waits for this long without news of it.")
    ] = 120.0
    longest_seconds: Annotated[
        float, Meta(ge=0, le=86_400, description="And leaves so long after the first of them at the latest.")
    ] = 600.0
    window_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400, description="In it a person gets three mails of notifications; more go together, later."),
    ] = 900.0


class FeedSettings(Struct, frozen=True, kw_only=True):
    """Live feeds: how far back a reader may resume and how slow it may be."""

    retention_seconds: Annotated[int, Meta(ge=60, description="Resume works at least this far back in time.")] = 86_400
    retention_events: Annotated[int, Meta(ge=1, description="Resume works at least this many events back.")] = 10_000
    heartbeat_seconds: Annotated[float, Meta(gt=0, description="Between two heartbeats on a silent feed.")] = 25.0
    queue_events: Annotated[int, Meta(ge=1, description="Events queued before a slow reader is cut off.")] = 1000
    queue_bytes: Annotated[int, Meta(ge=1024, description="Bytes queued before a slow reader is cut off.")] = (
        1024 * 1024
    )
    connection_seconds: Annotated[int, Meta(ge=1, description="Life of one feed connection, give or take 20 %.")] = 900


class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Where webhooks may go, and how many at once."""

    ports: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_535)], ...],
        Meta(min_length=1, description="The ports of endpoints, separated by commas; always by https."),
    ] = (443,)
    loopback: Annotated[
        bool,
        Meta(
            description="Also this machine itself, by http and any port: for development, and refused in production. "
            "`up` sets it."
        ),
    ] = False
    at_once: Annotated[int, Meta(ge=2, description="Requests on their way at once, in each worker.")] = 256
    per_endpoint: Annotated[int, Meta(ge=1, description="Of these, to one endpoint, over all workers.")] = 8
