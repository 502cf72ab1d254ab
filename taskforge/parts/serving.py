"""The role `api`: what requests reach. Loaded by processes of that role only."""

from functools import partial
from time import perf_counter
from typing import Final

from msgspec import structs

from api.auth.api_keys import KeyReader
from api.auth.external_issuers import ExternalIssuers
from api.auth.oidc import OidcSignIn
from api.auth.passwords import Passwords
from api.auth.shared_fetches import SharedFetches
from api.auth.tokens import AccessTokens, Revocations, RevokedOfAll
from api.client_address import ClientAddresses
from api.external import External
from api.limits.counter import Sharing
from api.limits.door import Limits
from api.limits.shared import SharedCounts
from api.object_links import ObjectLinks
from api.request_metrics import RequestMetrics
from api.services import Services
from api.settings import HttpSettings
from db.ids import new_id
from db.past.boards import PastBoards
from db.people.acceptances import Acceptances
from db.people.account_tokens import AccountTokens
from db.people.api_keys import ApiKeys
from db.people.external_identities import ExternalIdentities
from db.people.external_sign_ins import ExternalSignIns
from db.people.identity import Identity
from db.people.invitations import Invitations
from db.people.mail_preferences import UnsubscribeTokens
from db.people.sessions import Lifetimes
from db.people.team_places import TeamPlaces
from db.people.tickets import Tickets
from db.sealed_replies import SealedReplies
from db.webhooks.secrets import WebhookSecrets
from streams.mail.delivery import mailbox_of
from streams.operations.notices import NoticeListener
from streams.relay_watch import RelayWatch
from streams.webhooks.urls import Rules
from taskforge.parts.background import Background, at_once
from taskforge.parts.composition import Composition
from taskforge.parts.issuer_samples import issuer_samples
from taskforge.parts.limit_samples import limit_samples
from taskforge.parts.probes import kafka_probe, objects_probe, postgres_probe, relay_probe, valkey_probe
from taskforge.parts.team_samples import relay_watch_samples

__all__ = ["add_services"]

LEAST_PROCESSES: Final = 2
"""Nobody knows how many API processes there are on other machines: without Valkey each admits half a limit or less."""


def add_services(made: Composition) -> None:
    """Services, what they stand on, and their probes: without Postgres no request can be answered."""
    auth, quotas, identity = made.settings.auth, made.settings.quotas, _identity(made)
    api_keys = ApiKeys(made.pools.api, quotas.api_keys_per_user)
    revocations = _revocations(made, RevokedOfAll(identity.sessions, api_keys))
    tokens = AccessTokens(auth, made.keys, revocations)
    external = _external(made, tokens)
    key_reader = _key_reader(made, api_keys, tokens, external)
    http = _http(made)
    made.services = Services(
        http=http,
        auth=auth,
        teams=made.teams,
        hub=made.hub,
        journal=made.journal,
        pools=made.pools,
        valkey=made.valkey,
        identity=identity,
        tokens=tokens,
        revocations=revocations,
        api_keys=api_keys,
        key_reader=key_reader,
        passwords=Passwords(),
        account_tokens=AccountTokens(made.keys),
        unsubscribe_tokens=UnsubscribeTokens(made.keys),
        tickets=Tickets(made.pools.api, quotas),
        team_places=TeamPlaces(made.pools.api, quotas.teams_per_user),
        invitations=Invitations(made.pools.api, made.keys, quotas.invitations_per_team),
        acceptances=Acceptances(made.pools.api),
        sealed=SealedReplies(made.keys),
        webhook_secrets=WebhookSecrets(made.keys),
        webhook_rules=Rules(made.settings.webhooks.ports, made.settings.webhooks.loopback),
        external=external,
        mailbox=mailbox_of(made.settings.mail),
        objects=made.objects,
        past=PastBoards(made.pools.api, made.objects),
        object_links=ObjectLinks(made.keys, http.public_url or ""),
        attachment_bytes=made.settings.objects.attachment_bytes,
        quotas=quotas,
        clock=made.clock,
        new_id=new_id,
        health=made.health,
        metrics=made.metrics,
        requests=RequestMetrics(made.metrics),
        addresses=ClientAddresses(http.trusted_proxies, http.proxy_header),
        limits=_limits(made),
    )
    _add_watches(made)


def _http(made: Composition) -> HttpSettings:
    http = made.settings.http
    if http.metrics_enabled is not None:
        return http
    return structs.replace(http, metrics_enabled=made.settings.mode != "production")


def _add_watches(made: Composition) -> None:
    """What is heard from workers, and the probes."""
    notices = NoticeListener(made.valkey, made.signer, made.hub.notify)
    made.base.append(Background("notices", at_once(notices.run)))
    watch = RelayWatch(made.pools.worker)
    made.base.append(Background("relay-watch", at_once(watch.run), statistics=watch.statistics))
    made.show(lambda: relay_watch_samples(watch.statistics()))
    made.probes += [postgres_probe(made.pools.writer), valkey_probe(made.valkey), kafka_probe(made.settings.kafka)]
    made.probes.append(relay_probe(watch))
    if made.objects is not None:
        made.probes.append(objects_probe(made.objects))


def _identity(made: Composition) -> Identity:
    auth = made.settings.auth
    lifetimes = Lifetimes(
        idle=auth.refresh_idle_seconds, absolute=auth.refresh_absolute_seconds, grace=auth.grace_seconds
    )
    return Identity(made.pools.api, lifetimes, made.settings.quotas)


def _revocations(made: Composition, record: RevokedOfAll) -> Revocations:
    revocations = Revocations(record, made.valkey, made.signer, access_seconds=made.settings.auth.access_seconds)
    made.base.append(Background("sessions", revocations.run))
    return revocations


def _external(made: Composition, tokens: AccessTokens) -> External:
    site, identities = made.settings.http.site, ExternalIdentities(made.pools.api)
    shared = SharedFetches(made.valkey, made.signer)
    issuers = ExternalIssuers(made.settings.auth.issuers, identities, tokens, shared=shared)
    made.show(lambda: issuer_samples(issuers.statistics()))
    return External(
        issuers=issuers,
        identities=identities,
        oidc=OidcSignIn(issuers, made.keys, site),
        sign_ins=ExternalSignIns(made.pools.api),
        site=site,
    )


def _key_reader(made: Composition, api_keys: ApiKeys, tokens: AccessTokens, external: External) -> KeyReader:
    reader = KeyReader(api_keys, tokens, external.issuers)
    made.base.append(Background("api-keys", at_once(reader.run), statistics=reader.statistics))
    return reader


def _limits(made: Composition) -> Limits:
    """The rate limits of this process, and the exchange with the others."""
    sharing = Sharing("shared", max(LEAST_PROCESSES, made.settings.http.workers))
    shared = SharedCounts(made.valkey, made.keys, sharing, perf_counter)
    limits = Limits(made.settings.limits, shared, sharing)
    made.base.append(Background("limits", partial(shared.run, sweep=limits.forget_idle), statistics=limits.statistics))
    made.show(lambda: limit_samples(limits.statistics()))
    return limits
