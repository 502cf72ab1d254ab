"""What a process knows when it starts, as one tree of the Structs that the packages declare; `settings.py` reads it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from actors.settings import ActorSettings
from api.limits.settings import LimitSettings
from api.settings import AuthSettings, HttpSettings, OpsSettings
from core.quotas import Quotas
from core.secret import Secret
from db.settings import DatabaseSettings, ObjectSettings, ValkeySettings
from streams.settings import FeedSettings, KafkaSettings, MailSettings, WebhookSettings

__all__ = ["Keys", "Settings"]

Keys = tuple[Secret, ...]


class Settings(Struct, frozen=True, kw_only=True):
    """What a process knows when it starts."""

    database: DatabaseSettings
    valkey: ValkeySettings
    kafka: KafkaSettings
    keys: Annotated[
        Keys,
        Meta(
            description="The keyset, a JSON list of random texts of at least 32 bytes: the first one signs and seals, "
            "the others still verify and open what they signed and sealed."
        ),
    ]
    mode: Annotated[
        Literal["development", "production"],
        Meta(
            description="production refuses what fits only a machine of one's own: generated secrets, plain http, "
            "open services, roles above row-level security."
        ),
    ] = "development"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto: console on a terminal, else JSON lines.")
    ] = "auto"
    auth: AuthSettings = AuthSettings()
    http: HttpSettings = HttpSettings()
    ops: OpsSettings = OpsSettings()
    actors: ActorSettings = ActorSettings()
    feeds: FeedSettings = FeedSettings()
    mail: MailSettings = MailSettings()
    objects: ObjectSettings = ObjectSettings()
    quotas: Quotas = Quotas()
    limits: LimitSettings = LimitSettings()
    webhooks: WebhookSettings = WebhookSettings()
