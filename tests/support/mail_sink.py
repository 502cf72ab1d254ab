"""An SMTP server that keeps what it is sent, or refuses it, or hangs: over TLS and with a login, as real ones are."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taskforge.devstack.ports import free_port

USER, PASSWORD = "mailer", "p@ss word"


class Sink:
    """`said` is the answer to a mail, None for accepting it; `hanging` answers never.

    `at` is called, in the sink's own thread, when a client has come to a point: `RCPT` (it has named a recipient),
    `DATA` (it has sent the mail, and has no answer yet), `QUIT` (it knows that its mail was taken).
    """

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.said: str | None = None
        self.hanging = False
        self.at: Callable[[str], None] = _pass

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.at("RCPT")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.at("QUIT")
        return "221 Bye"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        while self.hanging:
            await asyncio.sleep(0.01)
        if self.said is not None:
            return self.said
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        self.at("DATA")
        return "250 OK"


def _pass(_point: str) -> None:
    """Nobody waits for clients to come to a point."""


@contextmanager
def mail_sink(folder: Path, *, tls: str = "starttls") -> Iterator[tuple[Sink, str, ssl.SSLContext]]:
    """A sink, its URL, and the context that trusts it. `tls` is `starttls`, `smtps` or `none`."""
    certificate, key = make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    sink = Sink()

    def let_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        good = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    class Listener(Controller):
        def factory(self) -> SMTP:
            made = SMTP(
                sink,
                tls_context=context if tls == "starttls" else None,
                require_starttls=tls == "starttls",
                auth_required=True,
                authenticator=let_in,
                enable_SMTPUTF8=True,
            )
            made._auth_require_tls = tls == "starttls"
            return made

    listener = Listener(
        sink, hostname="127.0.0.1", port=(port := free_port()), ssl_context=context if tls == "smtps" else None
    )
    listener.start()
    try:
        scheme = "smtps" if tls == "smtps" else "smtp"
        yield sink, f"{scheme}://{USER}:p%40ss%20word@127.0.0.1:{port}", trust
    finally:
        sink.hanging = False
        listener.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
