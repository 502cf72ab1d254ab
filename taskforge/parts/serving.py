"""The role `api`: what requests reach. Loaded by processes of that role only."""

from api.auth.passwords import Passwords
from api.auth.tokens import AccessTokens, Revocations
from api.request_metrics import RequestMetrics
from api.services import Services
from db.ids import new_id
from db.people.identity import Identity
from db.people.sessions import Lifetimes
from db.people.tickets import Tickets
from db.sealed_replies import SealedReplies
from taskforge.parts.background import Background
from taskforge.parts.composition import Composition
from taskforge.parts.probes import kafka_probe, postgres_probe, valkey_probe

__all__ = ["add_services"]


def add_services(made: Composition) -> None:
    """Services, what they stand on, and their probes: without Postgres no request can be answered."""
    auth = made.settings.auth
    lifetimes = Lifetimes(
        idle=auth.refresh_idle_seconds, absolute=auth.refresh_absolute_seconds, grace=auth.grace_seconds
    )
    identity = Identity(made.pools.api, lifetimes)
    revocations = Revocations(identity.sessions, made.valkey, made.signer, access_seconds=auth.access_seconds)
    made.base.append(Background("sessions", revocations.run))
    made.services = Services(
        http=made.settings.http,
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
        tickets=Tickets(made.pools.api),
        sealed=SealedReplies(made.keys),
        clock=made.clock,
        new_id=new_id,
        health=made.health,
        metrics=made.metrics,
        requests=RequestMetrics(made.metrics),
    )
    made.probes += [postgres_probe(made.pools.writer), valkey_probe(made.valkey), kafka_probe(made.settings.kafka)]
