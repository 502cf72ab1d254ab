"""`TASKFORGE_AUTH__ISSUERS`: what is read, and what is refused at the start, without a secret in any line."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.secret import Secret
from taskforge.commands.doctor import _issuer
from taskforge.settings import SettingsError, load
from tests.support.issuer import faking
from tests.taskforge.test_settings import REQUIRED

NAME = "TASKFORGE_AUTH__ISSUERS"
SECRET = "hush hush hush hush hush hush hush"
GOOD: dict[str, Any] = {"name": "id", "issuer": "https://id.example.org", "audience": "https://tasks.example.org"}
LOGIN: dict[str, Any] = {
    "name": "id",
    "issuer": "https://id.example.org",
    "client_id": "tasks",
    "client_secret": SECRET,
}
LEGACY: dict[str, Any] = {**GOOD, "secret": SECRET, "algorithms": ["HS256"]}


def read(*issuers: Any) -> Any:
    return load(REQUIRED | {NAME: json.dumps(issuers)}).auth.issuers


def lines(*issuers: Any, **more: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(REQUIRED | {NAME: json.dumps(issuers)} | more)
    return [line for line in caught.value.problems if NAME in line]


def test_issuers_are_read_with_their_secrets_hidden() -> None:
    plain, login, legacy = read(
        GOOD, {**LOGIN, "name": "b", "issuer": "https://b.example"}, {**LEGACY, "name": "c", "issuer": "x"}
    )
    assert (plain.algorithms, plain.shown) == (("ES256", "RS256"), "id")
    assert login.client_secret == legacy.secret == Secret(SECRET)
    assert SECRET not in repr((login, legacy))


def test_the_list_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "issuers").write_text(json.dumps([LOGIN]) + "\n")
    (issuer,) = load(REQUIRED | {f"{NAME}_FILE": str(tmp_path / "issuers")}).auth.issuers
    assert issuer.client_id == "tasks"


def test_loopback_may_do_without_tls_on_a_machine_of_ones_own() -> None:
    for host in ("127.0.0.1:9", "localhost", "[::1]:3000"):
        assert read({**GOOD, "issuer": f"http://{host}"})


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ({**GOOD, "name": "No Spaces"}, "$[0].name"),
        ({**GOOD, "nmae": "id"}, "nmae"),
        ({"issuer": "https://id.example.org"}, "name"),
        ({**GOOD, "algorithms": []}, "algorithms"),
        ({**GOOD, "algorithms": ["none"]}, "none"),
        ({**GOOD, "algorithms": ["HS512"]}, "HS512"),
        ({**GOOD, "secret": 7}, "text"),
        ({**GOOD, "name": "tokens"}, "tokens"),
        ({**GOOD, "issuer": "taskforge", "jwks_url": "https://x.example"}, "which is us"),
        ({**GOOD, "audience": None}, "needs an audience"),
        ({**GOOD, "algorithms": ["HS256"]}, "needs a secret"),
        ({**LEGACY, "algorithms": ["HS256", "RS256"]}, '["HS256"]'),
        ({**LEGACY, "jwks_url": "https://id.example.org/keys"}, "one of the two"),
        ({**LEGACY, "secret": "hush hush"}, "32 bytes"),
        ({**LEGACY, "client_id": "tasks"}, "shared secret"),
        ({**GOOD, "issuer": "http://id.example.org"}, "https://"),
        ({**GOOD, "issuer": "id.example.org"}, "https://"),
        ({**GOOD, "issuer": "https://u@id.example.org"}, "plain URL"),
        ({**GOOD, "issuer": "https://id.example.org?a=b"}, "plain URL"),
        ({**GOOD, "issuer": "https://id.example.org:x"}, "not a URL"),
        ({**GOOD, "jwks_url": "http://id.example.org/keys"}, "jwks_url"),
        ({**GOOD, "client_secret": SECRET}, "no client_id"),
        ({**LOGIN, "audience": "tasks"}, "ID tokens"),
    ],
)
def test_an_issuer_that_cannot_be_right_is_one_line_without_its_secret(issuer: Any, words: str) -> None:
    (line,) = lines(issuer)
    assert words in line
    assert "hush" not in line


def test_two_issuers_share_neither_name_nor_identifier() -> None:
    assert len(lines(GOOD, GOOD)) == 2


def test_what_is_no_list_is_refused() -> None:
    for text in ("[", "{}", '"x"', "https://id.example.org"):
        with pytest.raises(SettingsError, match=NAME):
            load(REQUIRED | {NAME: text})


def test_production_takes_no_issuer_without_tls() -> None:
    (line,) = lines({**GOOD, "issuer": "http://127.0.0.1:9"}, TASKFORGE_MODE="production")
    assert "https://" in line


@pytest.mark.anyio
async def test_doctor_asks_issuers_for_their_keys() -> None:
    async with faking() as fake:
        fake.answers["/none"] = (200, {}, b'{"keys": []}')
        fake.answers["/bad"] = (200, {}, b"<html>")
        findings = [
            (await _issuer(one))[0]
            for one in (
                fake.settings(),
                fake.settings(jwks_url=None),
                fake.settings(jwks_url=fake.url + "/none"),
                fake.settings(jwks_url=fake.url + "/bad"),
                fake.settings(jwks_url="http://127.0.0.1:1/keys"),
                fake.settings(jwks_url=None, secret=Secret(SECRET), algorithms=("HS256",)),
            )
        ]
    assert [finding.well for finding in findings] == [True, True, False, False, False, True]
    assert findings[0].detail == "1 keys for ES256, RS256"
    assert all("TASKFORGE_AUTH__ISSUERS" in finding.remedy for finding in findings if not finding.well)
