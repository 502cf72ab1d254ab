"""The role `api`: what requests reach. Loaded by processes of that role only."""

from msgspec import structs

from api.auth.passwords import Passwords
from api.auth.tokens import AccessTokens, Revocations
from api.request_metrics import RequestMetrics
from api.services import Services
from db.ids import new_id
from db.people.account_tokens import AccountTokens
from db.people.identity import Identity
from db.people.sessions import Lifetimes
from db.people.team_places import TeamPlaces
from db.people.tickets import Tickets
from db.sealed_replies import SealedReplies
from streams.mail.delivery import mailbox_of
from streams.relay_watch import RelayWatch
from taskforge.parts.background import Background, at_once
from taskforge.parts.composition import Composition
from taskforge.parts.probes import kafka_probe, postgres_probe, relay_probe, valkey_probe
from taskforge.parts.team_samples import relay_watch_samples

__all__ = ["add_services"]


def add_services(made: Composition) -> None:
    """Services, what they stand on, and their probes: without Postgres no request can be answered."""
    auth = made.settings.auth
    lifetimes = Lifetimes(
        idle=auth.refresh_idle_seconds, absolute=auth.refresh_absolute_seconds, grace=auth.grace_seconds
    )
    quotas = made.settings.quotas
    identity = Identity(made.pools.api, lifetimes, quotas)
    revocations = Revocations(identity.sessions, made.valkey, made.signer, access_seconds=auth.access_seconds)
    made.base.append(Background("sessions", revocations.run))
    http = made.settings.http
    if http.metrics_enabled is None:
        http = structs.replace(http, metrics_enabled=made.settings.mode != "production")
    made.services = Services(
        http=http,
        auth=auth,
        teams=made.teams,
        hub=made.hub,
        journal=made.journal,
        pools=made.pools,
        valkey=made.valkey,
        identity=identity,
        tokens=AccessTokens(auth, made.keys, revocations),
        revocations=revocations,
        passwords=Passwords(),
        account_tokens=AccountTokens(made.keys),
        tickets=Tickets(made.pools.api, quotas),
        team_places=TeamPlaces(made.pools.api, quotas.teams_per_user),
        sealed=SealedReplies(made.keys),
        mailbox=mailbox_of(made.settings.mail),
        clock=made.clock,
        new_id=new_id,
        health=made.health,
        metrics=made.metrics,
        requests=RequestMetrics(made.metrics),
    )
    watch = RelayWatch(made.pools.worker)
    made.base.append(Background("relay-watch", at_once(watch.run), statistics=watch.statistics))
    made.show(lambda: relay_watch_samples(watch.statistics()))
    made.probes += [postgres_probe(made.pools.writer), valkey_probe(made.valkey), kafka_probe(made.settings.kafka)]
    made.probes.append(relay_probe(watch))
