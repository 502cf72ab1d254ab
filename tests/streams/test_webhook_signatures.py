"""Receivers know what is genuine, by the libraries from PyPI and npm; of a thousand forgeries none passes."""

import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from msgspec import structs
from standardwebhooks import Webhook, WebhookVerificationError

from core.codec import encode
from db.webhooks.claiming import Claimed, Endpoint
from streams.webhooks.bodies import body_of
from streams.webhooks.signing import headers_of
from tests.support.journal_writer import SALT, a_task, created

FOLDER = Path(__file__).parents[1] / "support" / "standardwebhooks"
NODE = shutil.which("node")
needs_npm = pytest.mark.skipif(
    NODE is None or not (FOLDER / "node_modules" / "standardwebhooks").exists(),
    reason="npm's standardwebhooks is not installed in tests/support/standardwebhooks",
)
SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJD" * 10
TEAM = UUID(int=1)

Message = tuple[Mapping[str, str], bytes, str]
"""Headers, body and the secret that the receiver has."""


def genuine(*secrets: str) -> tuple[dict[str, str], bytes]:
    event = structs.replace(created(a_task(TEAM, title="Grüße, 世界 🎉"), 7), at=datetime.now(UTC))
    endpoint = Endpoint(team_id=TEAM, id=UUID(int=2), url="", format="cloudevents", secret=b"", previous_secrets=())
    claimed = Claimed(
        endpoint=endpoint,
        id=UUID(int=3),
        claim=UUID(int=4),
        number=1,
        event_type="task.created",
        epoch=1,
        seq=7,
        prev_seq=3,
        happened_at=event.at,
        expired=False,
        row=encode(event, salt=SALT).row,
    )
    body = body_of(claimed, None)
    headers = headers_of(claimed, secrets or (SECRET,), body.content, body.media_type, datetime.now(UTC))
    return {name.decode().lower(): value.decode() for name, value in headers}, body.content


def mutant(chance: random.Random, number: int) -> Message:
    """Something that differs from what was sent: in the body, an id, the time, the signature, or the secret."""
    headers, body = genuine()
    match number % 6:
        case 0:
            place = chance.randrange(len(body))
            body = body[:place] + bytes([body[place] ^ 1 << chance.randrange(7)]) + body[place + 1 :]
        case 1:
            place = chance.randrange(len(body) + 1)
            body = body[:place] + chance.choice([b" ", b"0", b"}"]) + body[place:]
        case 2:
            headers["webhook-id"] = headers["webhook-id"][:-1] + chance.choice("012345689")
        case 3:
            moved = int(headers["webhook-timestamp"]) + chance.choice([-1, 1]) * chance.randrange(1, 100_000)
            headers["webhook-timestamp"] = str(moved)
        case 4:
            signature = headers["webhook-signature"]
            place = chance.randrange(3, len(signature) - 2)
            letter = chance.choice([one for one in "ABCXYZabcxyz0189+/" if one != signature[place]])
            headers["webhook-signature"] = signature[:place] + letter + signature[place + 1 :]
        case 5:
            return headers, body, OTHER
    return headers, body, SECRET


def mutants(count: int = 1_000) -> list[Message]:
    chance = random.Random(42)
    return [mutant(chance, number) for number in range(count)]


def accepted(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    try:
        Webhook(secret).verify(body.decode("utf-8", "surrogateescape"), dict(headers))
    except (WebhookVerificationError, ValueError):
        return False
    return True


def test_what_is_sent_passes_and_a_thousand_forgeries_do_not() -> None:
    headers, body = genuine()
    assert accepted(headers, body, SECRET)
    assert [forged for forged in mutants() if accepted(*forged)] == []


def test_both_secrets_of_a_rotation_pass() -> None:
    headers, body = genuine(SECRET, OTHER)
    assert accepted(headers, body, SECRET)
    assert accepted(headers, body, OTHER)


@needs_npm
def test_npms_library_says_the_same() -> None:
    asked = [(*genuine(), SECRET), (*genuine(SECRET, OTHER), OTHER), *mutants()]
    lines = "".join(
        json.dumps({"headers": dict(headers), "body": body.hex(), "secret": secret}) + "\n"
        for headers, body, secret in asked
    )
    assert NODE is not None, "the test is skipped without Node"
    ran = subprocess.run(
        [NODE, "verify.mjs"], cwd=FOLDER, input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(ran.stdout) == [True, True, *[False] * 1_000]
