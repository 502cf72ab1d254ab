"""Kafka with logins and TLS, against Apache Kafka: every client of ours, and refusals that say so."""

import datetime
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct, structs

from core.secret import Secret
from db.settings import DatabaseSettings
from streams.kafka.broker import BrokerUnavailable, administrating, producing
from streams.settings import KafkaSettings
from taskforge.devstack.ports import LOOPBACK, free_port
from tests.support.apache_kafka import ApacheKafka, needs_apache
from tests.support.journal_writer import JournalWriter
from tests.support.site import settings_for
from tests.support.waiting import until
from tests.support.working import handled, relay_of, working

pytestmark = [pytest.mark.anyio, pytest.mark.jvm, pytest.mark.timeout(180)]

USER: Final = "taskforge"
PASSWORD: Final = "a login's password"
LOGIN: Final = {"sasl_username": USER, "sasl_password": Secret(PASSWORD)}
KAFKAS_PACKAGE: Final = "org.apache.kafka.common.security"


class Site(Struct):
    """A broker with a listener per protocol, and the PEM files of its certificates and of a client's."""

    broker: ApacheKafka
    ports: dict[str, int]
    authority: Path
    client: Path

    def settings(self, protocol: str, **fields: object) -> KafkaSettings:
        plain = KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{self.ports[protocol]}", idempotent=True)
        files = {"ssl_ca": str(self.authority)} if "SSL" in protocol else {}
        return structs.replace(plain, security_protocol=protocol, **files, **fields)


@pytest.fixture(scope="module")
async def site(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    needs_apache()
    folder = tmp_path_factory.mktemp("apache")
    authority, server, client = certificates(folder)
    ports = {name: free_port() for name in ("SASL_PLAINTEXT", "SASL_SSL", "SSL")}
    broker = ApacheKafka(folder / "kafka", folder / "kafka.log", free_port())
    broker.listeners = ports
    broker.format_arguments = [
        argument
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for argument in ("--add-scram", f'{mechanism}=[name={USER},password="{PASSWORD}"]')
    ]
    broker.properties = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority),
        "listener.name.ssl.ssl.client.auth": "required",
        **{
            f"listener.name.{listener}.{mechanism}.sasl.jaas.config": config
            for listener in ("sasl_plaintext", "sasl_ssl")
            for mechanism, config in {
                "plain": f'{KAFKAS_PACKAGE}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
                "scram-sha-256": f"{KAFKAS_PACKAGE}.scram.ScramLoginModule required;",
                "scram-sha-512": f"{KAFKAS_PACKAGE}.scram.ScramLoginModule required;",
            }.items()
        },
    }
    await broker.start()
    yield Site(broker, ports, authority, client)
    await broker.stop()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a key with its certificate each for the broker and for a client."""
    key, name = ec.generate_private_key(ec.SECP256R1()), named("an authority")
    constraint = x509.BasicConstraints(ca=True, path_length=None)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    root = builder(name, name, key).add_extension(constraint, critical=True).add_extension(usage, critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root = root.add_extension(identifier, critical=False)
    (folder / "authority.pem").write_bytes(pem(root.sign(key, hashes.SHA256())))
    made = [folder / "authority.pem"]
    for subject in ("broker", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        leaf = builder(named(subject), name, own).add_extension(address, critical=False)
        leaf = leaf.add_extension(issuer, critical=False)
        private = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{subject}.pem").write_bytes(private + pem(leaf.sign(key, hashes.SHA256())))
        made.append(folder / f"{subject}.pem")
    return made[0], made[1], made[2]


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return made.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


async def reaches(settings: KafkaSettings) -> bool:
    """Whether our clients are let in; BrokerUnavailable says that they are not."""
    async with administrating(settings) as admin, producing(settings):
        assert await admin.describe_cluster()
    return True


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_every_way_to_log_in_lets_us_in_and_a_wrong_password_does_not(
    site: Site, protocol: str, mechanism: str
) -> None:
    settings = site.settings(protocol, sasl_mechanism=mechanism, **LOGIN)
    assert await reaches(settings)
    with pytest.raises(BrokerUnavailable) as caught:
        await reaches(structs.replace(settings, sasl_password=Secret("another's password")))
    assert PASSWORD not in str(caught.value)
    assert "another's" not in str(caught.value)


async def test_a_client_is_known_by_its_certificate_and_the_broker_by_its_authority(site: Site) -> None:
    settings = site.settings("SSL", ssl_certificate=str(site.client))
    assert await reaches(settings)
    strangers = {"no certificate of ours": {"ssl_certificate": ""}, "a stranger's authority": {"ssl_ca": ""}}
    for change in (*strangers.values(), {"ssl_certificate": "/nowhere.pem"}):
        with pytest.raises(BrokerUnavailable):
            await reaches(structs.replace(settings, **change))


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
async def test_a_worker_relays_and_consumes_over_a_login(
    site: Site, protocol: str, database: DatabaseSettings, valkey_url: str, journal: JournalWriter
) -> None:
    """Producer, administrator, readers and the consumers' library: each connects by itself."""
    settings = structs.replace(
        settings_for(database, valkey_url), kafka=site.settings(protocol, sasl_mechanism="SCRAM-SHA-512", **LOGIN)
    )
    async with working(settings) as worker:
        await journal.append(await journal.team(), 5)
        await until(lambda: relay_of(worker).published == 5)
        with anyio.fail_after(60):
            await until(lambda: handled(worker) >= 5, 60)
