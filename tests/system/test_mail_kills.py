"""Mails over a real SMTP server while the worker is killed at every point of sending one, and where tokens are.

A claimed mail waits until its claim has run out, 50 s, unless its worker let go of it.
"""

import asyncio
import email
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from taskforge.devstack.postgres import DATABASE, SUPERUSER, postgres_url
from tests.support.account import NO_TLS, PASSWORD
from tests.support.directories import open_directory
from tests.support.mail_sink import Sink, mail_sink
from tests.support.system import System
from tests.support.topic_reader import read_all
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(420)]

POINTS: Final = ("RCPT", "DATA", "QUIT")
PEOPLE: Final = 12
CLAIM_SECONDS: Final = 50.0
SECRETS: Final = re.compile(r"tf[mrik]_[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""What opens something: tokens of mails, refresh tokens, invitations, API keys, access tokens."""


class Killer:
    """Kills the worker when it comes to each of the points for the first time."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.left = list(POINTS)

    def __call__(self, point: str) -> None:
        if self.left and self.left[0] == point:
            self.left.pop(0)
            self.system.kill_part("taskforge worker")


@contextmanager
def mailing(root: Path, folder: Path, **more: str) -> Iterator[tuple[System, Sink]]:
    with open_directory(root) as directory, mail_sink(folder) as (sink, url, _):
        environment = {
            "TASKFORGE_MAIL__URL": url,
            "TASKFORGE_MAIL__FROM": "TaskForge <hello@tasks.example>",
            "SSL_CERT_FILE": str(folder / "certificate.pem"),
            **more,
        }
        system = System(directory, environment=environment)
        try:
            system.start()
            yield system, sink
            assert system.stop() == 0
        finally:
            system.kill()


async def test_no_mail_is_lost_and_none_comes_more_than_twice_and_no_token_lies_about(
    services_root: Path, tmp_path: Path
) -> None:
    with mailing(services_root, tmp_path) as (system, sink):
        sink.at = killer = Killer(system)
        tokens = set[str]()
        async with httpx.AsyncClient(base_url=system.url, timeout=30, verify=NO_TLS) as http:
            for number in range(PEOPLE):
                tokens |= await sign_up(http, f"person{number}@example.org")
            wanted = {(f"person{number}@example.org", kind) for number in range(PEOPLE) for kind in ("verify", "reset")}
            await asyncio.to_thread(
                eventually, lambda: wanted <= by_subject(sink).keys(), "all mails have come", 6 * CLAIM_SECONDS
            )
        assert not killer.left, f"the worker never came to {killer.left}"
        assert await_repeats(sink) <= len(POINTS)
        tokens |= {token for mail in sink.mails for token in SECRETS.findall(text_of(mail))}
        assert len(tokens) >= 5 * PEOPLE, "access, refresh, API key, verification, reset"
        await nothing_holds(system, tokens | {PASSWORD}, addresses={"example.org"})


async def sign_up(http: httpx.AsyncClient, address: str) -> set[str]:
    """Somebody new who forgets the password; what they were given."""
    body = {"email": address, "password": PASSWORD, "name": "Ada"}
    given = (await http.post("/v1/auth/signup", json=body)).raise_for_status().json()
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    asked = {"name": "k", "scopes": ["read"]}
    key = (await http.post("/v1/me/api-keys", json=asked, headers=headers)).raise_for_status().json()
    (await http.post("/v1/auth/password-reset", json={"email": address})).raise_for_status()
    return {
        given["access_token"],
        given["refresh_token"],
        max((str(v) for v in key.values() if str(v).startswith("tfk_")), key=len),
    }


def parsed(data: bytes) -> Any:
    return email.message_from_bytes(data, policy=SMTP)


def text_of(data: bytes) -> str:
    return str(parsed(data).get_body(("plain",)).get_content())


def by_subject(sink: Sink) -> dict[tuple[str, str], list[bytes]]:
    """The mails by recipient, and by what they are for."""
    found = defaultdict[tuple[str, str], list[bytes]](list)
    for data in list(sink.mails):
        found[
            str(parsed(data)["To"]).rpartition("<")[2].strip(">"), "reset" if "reset" in text_of(data) else "verify"
        ] += [data]
    return found


def await_repeats(sink: Sink) -> int:
    """How many mails came again; each of them once, as it was to the byte."""
    repeats = 0
    ids = defaultdict[str, list[bytes]](list)
    for data in sink.mails:
        ids[str(parsed(data)["Message-ID"])].append(data)
    for same in ids.values():
        assert len(same) <= 2, "a mail came a third time"
        assert len(set(same)) == 1, "a repeat is not the same to the byte"
        repeats += len(same) - 1
    return repeats


async def nothing_holds(system: System, secrets: set[str], addresses: set[str]) -> None:
    """No table, topic or log has a secret, and no topic and no log an address."""
    for where, text in [*(await tables(system)), *(await topics(system)), ("the log", system.log.read_text())]:
        hit = [secret for secret in secrets if secret in text]
        assert not hit, f"{where} has {len(hit)} secrets, such as {hit[0][:8]}…"
        if not where.startswith("table"):
            assert not [one for one in addresses if one in text], f"{where} has an address"


async def tables(system: System) -> list[tuple[str, str]]:
    """Every row of every table as text; bytes both in hexadecimal and as they are."""
    password = json.loads((system.data / "secrets.json").read_text())["postgres_password"]
    connection = await asyncpg.connect(postgres_url(system.port("postgres"), DATABASE, SUPERUSER, password))
    try:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        found = []
        for (name,) in names:
            rows = await connection.fetch(f'select t, t::text as whole from "{name}" t')
            found += [(f"table {name}", row["whole"]) for row in rows]
            found += [(f"table {name}", one.decode("latin-1")) for row in rows for one in bytes_of(row["t"])]
        assert len(names) > 20
        return found
    finally:
        await connection.close()


def bytes_of(row: Any) -> list[bytes]:
    return [value for value in row.values() if isinstance(value, bytes)]


async def topics(system: System) -> list[tuple[str, str]]:
    bootstrap = f"127.0.0.1:{system.port('kafka')}"
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        names = sorted(await consumer.topics())
    finally:
        await consumer.stop()
    assert "taskforge.mail.v1" in names
    found = []
    for name in names:
        for record in await read_all(bootstrap, name):
            parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
            found.append((f"topic {name}", b" ".join(parts).decode("latin-1")))
    return found
