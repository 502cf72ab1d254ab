"""Everything a request may reach, handed over once by `taskforge.wiring`. Plain data: no behaviour, no look-ups."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct, field

from api.client_address import ClientAddresses
from api.external import External
from api.health import Health
from api.limits.door import Limits
from api.locations import Locations
from api.markdown import MarkdownPages
from api.metrics import Metrics
from api.request_metrics import RequestMetrics
from api.settings import AuthSettings, HttpSettings
from core.quotas import Quotas

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

    from actors.ports import Clock, Journal
    from actors.system import TeamSystem
    from api.auth.api_keys import KeyReader
    from api.auth.passwords import Passwords
    from api.auth.tokens import AccessTokens, Revocations
    from api.object_links import ObjectLinks
    from db.object_store import ObjectStore
    from db.past.boards import PastBoards
    from db.people.acceptances import Acceptances
    from db.people.account_tokens import AccountTokens
    from db.people.api_keys import ApiKeys
    from db.people.identity import Identity
    from db.people.invitations import Invitations
    from db.people.mail_preferences import UnsubscribeTokens
    from db.people.team_places import TeamPlaces
    from db.people.tickets import Tickets
    from db.pool import Pools
    from db.sealed_replies import SealedReplies
    from db.webhooks.secrets import WebhookSecrets
    from streams.feeds.hub import Hub
    from streams.mail.delivery import Mailbox
    from streams.webhooks.urls import Rules

__all__ = ["Services"]


class Services(Struct, kw_only=True):
    """What an API process is made of."""

    http: HttpSettings
    auth: AuthSettings
    teams: "TeamSystem"
    hub: "Hub"
    journal: "Journal"
    pools: "Pools"
    valkey: "Valkey"
    identity: "Identity"
    tokens: "AccessTokens"
    revocations: "Revocations"
    api_keys: "ApiKeys"
    key_reader: "KeyReader"
    passwords: "Passwords"
    account_tokens: "AccountTokens"
    unsubscribe_tokens: "UnsubscribeTokens"
    tickets: "Tickets"
    team_places: "TeamPlaces"
    invitations: "Invitations"
    acceptances: "Acceptances"
    sealed: "SealedReplies"
    webhook_secrets: "WebhookSecrets"
    webhook_rules: "Rules"
    external: External
    mailbox: "Mailbox | None" = None
    objects: "ObjectStore | None" = None
    past: "PastBoards"
    object_links: "ObjectLinks"
    attachment_bytes: int = 25 * 1024 * 1024
    quotas: Quotas = field(default_factory=Quotas)
    clock: "Clock"
    new_id: Callable[[], UUID]
    health: Health
    metrics: Metrics
    requests: RequestMetrics
    locations: Locations = field(default_factory=Locations)
    markdown: MarkdownPages = field(default_factory=MarkdownPages)
    addresses: ClientAddresses = field(default_factory=ClientAddresses)
    limits: Limits = field(default_factory=Limits)
