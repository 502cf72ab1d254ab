"""Settings: one read, closed to typos, every mistake at once, no secret shown."""

import copy
import pickle
from pathlib import Path

import pytest

from core.secret import Secret
from taskforge.dotenv import parse_env
from taskforge.embedded import STAND_INS
from taskforge.settings import PREFIX, Settings, SettingsError, adopt, example, load, read_variables, variables

ROOT = Path(__file__).parents[2]
REQUIRED = {name: value for name, value in STAND_INS.items() if name != "TASKFORGE_KEYS"} | {
    "TASKFORGE_KEYS": '["f3c1e2a0-correct-horse-battery-staple-9d8b7"]'
}


def problems_of(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(REQUIRED | {PREFIX + name: value for name, value in changes.items()})
    return caught.value.problems


def test_required_values_and_defaults_make_settings() -> None:
    settings = load(REQUIRED)
    assert settings.mode == "development"
    assert settings.http.port == 8000
    assert settings.auth.access_seconds == 600
    assert settings.valkey.url == Secret(REQUIRED["TASKFORGE_VALKEY__URL"])


def test_every_kind_of_value_is_read() -> None:
    settings = load(
        REQUIRED
        | {
            "TASKFORGE_HTTP__PORT": " 9000 ",
            "TASKFORGE_HTTP__METRICS_ENABLED": "false",
            "TASKFORGE_HTTP__ALLOWED_ORIGINS": "https://a.example, https://b.example",
            "TASKFORGE_HTTP__PUBLIC_URL": "https://tasks.example",
            "TASKFORGE_ACTORS__IDLE_SECONDS": "1.5",
            "TASKFORGE_LOG_FORMAT": "json",
        }
    )
    assert settings.http.port == 9000
    assert settings.http.metrics_enabled is False
    assert settings.http.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.http.public_url == "https://tasks.example"
    assert settings.actors.idle_seconds == 1.5
    assert settings.log_format == "json"


def test_an_empty_value_counts_as_not_given() -> None:
    assert load(REQUIRED | {"TASKFORGE_HTTP__PORT": "", "TASKFORGE_HTTP__PUBLIC_URL": ""}).http.public_url is None


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load({})
    names = [problem.split(":")[0] for problem in caught.value.problems]
    assert sorted(names) == sorted(REQUIRED.keys() - {"TASKFORGE_DATABASE__OWNER_URL"})
    assert all("is missing" in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("HTTP__PROT", "1", "TASKFORGE_HTTP__PROT: no such setting; did you mean TASKFORGE_HTTP__PORT?"),
        ("http__port", "1", "TASKFORGE_http__port: no such setting; did you mean TASKFORGE_HTTP__PORT?"),
        ("XYZZY_QUUX", "1", "TASKFORGE_XYZZY_QUUX: no such setting"),
        ("HTTP__PORT", "80a", "TASKFORGE_HTTP__PORT: expected int, got '80a'"),
        ("HTTP__PORT", "70000", "TASKFORGE_HTTP__PORT: expected int <= 65535, got '70000'"),
        ("HTTP__METRICS_ENABLED", "maybe", "TASKFORGE_HTTP__METRICS_ENABLED: expected bool, got 'maybe'"),
        ("MODE", "prod", "TASKFORGE_MODE: expected one of development, production, got 'prod'"),
        ("ACTORS__IDLE_SECONDS", "0", "TASKFORGE_ACTORS__IDLE_SECONDS: expected float > 0.0, got '0'"),
        ("ACTORS__IDLE_SECONDS", "nan", "TASKFORGE_ACTORS__IDLE_SECONDS: expected float > 0.0, got 'nan'"),
        ("ACTORS__IDLE_SECONDS", "inf", "TASKFORGE_ACTORS__IDLE_SECONDS: expected a finite number, got 'inf'"),
        ("AUTH__ACCESS_SECONDS", "601", "TASKFORGE_AUTH__ACCESS_SECONDS: expected int <= 600, got '601'"),
        ("KEYS", '["short"]', "TASKFORGE_KEYS: key 1 must have at least 32 bytes, has 5"),
        ("KEYS", f'["{"k" * 32}", "{"k" * 32}"]', "TASKFORGE_KEYS: has the same key twice"),
        ("KEYS", "[]", "TASKFORGE_KEYS: has no key in it"),
        ("KEYS", "hunter2", 'TASKFORGE_KEYS: expected a JSON list of texts, as in ["first", "second"]'),
        ("KEYS", '{"a": 1}', 'TASKFORGE_KEYS: expected a JSON list of texts, as in ["first", "second"]'),
        ("KEYS", '["\udc80"]', 'TASKFORGE_KEYS: expected a JSON list of texts, as in ["first", "second"]'),
        (
            "AUTH__SECRET",
            "short",
            (
                "TASKFORGE_AUTH__SECRET: no such setting any more; "
                'the one secret became a list of keys: TASKFORGE_KEYS=["the secret"]'
            ),
        ),
        ("VALKEY__URL", "http://x", "TASKFORGE_VALKEY__URL: must start with valkey://"),
        ("DATABASE__API_URL", "postgresql:///db", "TASKFORGE_DATABASE__API_URL: has no host"),
        ("DATABASE__API_URL", "postgresql://h:port/db", "TASKFORGE_DATABASE__API_URL: is not a URL"),
        (
            "HTTP__ALLOWED_ORIGINS",
            "https://a/b",
            "TASKFORGE_HTTP__ALLOWED_ORIGINS: an origin has no path: 'https://a/b'",
        ),
        (
            "FEEDS__HEARTBEAT_SECONDS",
            "900",
            "TASKFORGE_FEEDS__HEARTBEAT_SECONDS: must be less than TASKFORGE_FEEDS__CONNECTION_SECONDS",
        ),
        (
            "AUTH__REFRESH_IDLE_SECONDS",
            "9999999",
            "TASKFORGE_AUTH__REFRESH_IDLE_SECONDS: must not exceed TASKFORGE_AUTH__REFRESH_ABSOLUTE_SECONDS",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_its_variable(name: str, value: str, line: str) -> None:
    assert problems_of(**{name: value}) == [line]


def test_several_mistakes_are_reported_together() -> None:
    assert len(problems_of(HTTP__PORT="x", HTTP__WORKERS="0", NONSENSE="1")) == 3


def test_what_a_process_needs_on_top_is_missing_by_name() -> None:
    owner = "TASKFORGE_DATABASE__OWNER_URL"
    with pytest.raises(SettingsError) as caught:
        load({name: value for name, value in REQUIRED.items() if name != owner}, also=[owner])
    assert [problem.split(" (")[0] for problem in caught.value.problems] == [f"{owner}: is missing"]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "relay"},
            ["SECURITY_PROTOCOL: SASL_SSL needs TASKFORGE_KAFKA__SASL_USERNAME and TASKFORGE_KAFKA__SASL_PASSWORD"],
        ),
        (
            {"SASL_PASSWORD": "hunter2"},
            ["SASL_PASSWORD: needs TASKFORGE_KAFKA__SECURITY_PROTOCOL=SASL_SSL or SASL_PLAINTEXT"],
        ),
        ({"SSL_CA": "/ca.pem"}, ["SSL_CA: needs TASKFORGE_KAFKA__SECURITY_PROTOCOL=SSL or SASL_SSL"]),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_KEY": "/key.pem"},
            ["SSL_KEY: needs TASKFORGE_KAFKA__SSL_CERTIFICATE"],
        ),
        (
            {"SASL_MECHANISM": "GSSAPI"},
            ["SASL_MECHANISM: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got 'GSSAPI'"],
        ),
    ],
)
def test_a_login_to_kafka_is_whole_or_not_at_all(given: dict[str, str], lines: list[str]) -> None:
    found = problems_of(**{f"KAFKA__{name}": value for name, value in given.items()})
    assert found == [f"TASKFORGE_KAFKA__{line}" for line in lines]


def test_no_message_and_no_repr_shows_a_secret() -> None:
    hidden = "hunter2hunter2"
    shown = problems_of(
        VALKEY__URL=f"http://:{hidden}@h", KEYS=f'["{hidden}"]', DATABASE__API_URL=f"postgresql://u:{hidden}@"
    )
    assert hidden not in "".join(shown)
    settings = load(REQUIRED | {"TASKFORGE_VALKEY__URL": f"valkey://:{hidden}@h:1/0"})
    assert hidden not in f"{settings!r}{settings}"


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {secret!s:>20}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("other")
    assert secret != "hunter2"
    assert len(Secret("ü")) == 2
    assert {secret: 1}[Secret("hunter2")] == 1
    with pytest.raises(TypeError, match="not serialised"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="not serialised"):
        copy.deepcopy(secret)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TASKFORGE_HTTP__PORT=9001\nTASKFORGE_HTTP__WORKERS=2\nOTHER=1\n")
    settings = load(REQUIRED | {"TASKFORGE_HTTP__PORT": "9002"}, file)
    assert (settings.http.port, settings.http.workers) == (9002, 2)


def test_the_keys_are_a_list_in_their_order() -> None:
    first, second = "1" * 40, "2" * 40
    settings = load(REQUIRED | {"TASKFORGE_KEYS": f'["{first}", "{second}"]'})
    assert settings.keys == (Secret(first), Secret(second))


def test_every_secret_can_be_given_as_a_file(tmp_path: Path) -> None:
    secrets = {variable.name for variable in variables() if variable.secret}
    assert {"TASKFORGE_KEYS", "TASKFORGE_VALKEY__URL", "TASKFORGE_DATABASE__OWNER_URL"} <= secrets
    login = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "relay", "SASL_PASSWORD": "a password"}
    given = REQUIRED | {f"TASKFORGE_KAFKA__{name}": value for name, value in login.items()}
    given["TASKFORGE_MAIL__URL"] = "smtp://user:secret@mail.example.com:587"
    given["TASKFORGE_AUTH__ISSUERS"] = '[{"name": "id", "issuer": "https://id.example", "audience": "us"}]'
    given |= {"TASKFORGE_OBJECTS__ACCESS_KEY_ID": "key", "TASKFORGE_OBJECTS__SECRET_ACCESS_KEY": "a secret"}
    given["TASKFORGE_OPS__TOKEN"] = "a token of twenty-four characters"
    wanted = load(given)
    for name in secrets:
        (tmp_path / name).write_text(given.pop(name) + "\n")
        given[name + "_FILE"] = str(tmp_path / name)
    assert load(given) == wanted
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    assert load({}, tmp_path / ".env") == wanted


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_only_line_ends_at_the_end_of_a_file_are_left_out(tmp_path: Path, ending: str) -> None:
    (tmp_path / "url").write_bytes(b"valkey://: a @h:1/0 " + ending.encode())
    given = REQUIRED | {"TASKFORGE_VALKEY__URL": "", "TASKFORGE_VALKEY__URL_FILE": str(tmp_path / "url")}
    assert load(given).valkey.url == Secret("valkey://: a @h:1/0 ")


def test_a_secret_given_twice_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(REQUIRED["TASKFORGE_KEYS"])
    assert problems_of(KEYS_FILE=str(tmp_path / "keys")) == [
        "TASKFORGE_KEYS and TASKFORGE_KEYS_FILE: give one of the two"
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\xff", "it is not UTF-8 text"),
    ],
)
def test_a_secret_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    without = {name: value for name, value in REQUIRED.items() if name != "TASKFORGE_KEYS"}
    with pytest.raises(SettingsError) as caught:
        load(without | {"TASKFORGE_KEYS_FILE": str(path)})
    assert caught.value.problems == [f"TASKFORGE_KEYS_FILE: cannot read {path}: {reason}"]


def test_only_secrets_are_read_from_files() -> None:
    assert problems_of(HTTP__PORT_FILE="port") == [
        "TASKFORGE_HTTP__PORT_FILE: no such setting; did you mean TASKFORGE_HTTP__PORT?"
    ]


@pytest.mark.parametrize("form", ["TASKFORGE_VALKEY__URL", "TASKFORGE_VALKEY__URL_FILE"])
def test_the_environment_wins_over_the_file_whichever_form_it_uses(tmp_path: Path, form: str) -> None:
    (tmp_path / "ours").write_text("valkey://ours:1/0")
    (tmp_path / "theirs").write_text("valkey://theirs:1/0")
    (tmp_path / ".env").write_text(f"TASKFORGE_VALKEY__URL_FILE={tmp_path}/theirs\n")
    given = {name: value for name, value in REQUIRED.items() if name != "TASKFORGE_VALKEY__URL"}
    given[form] = f"{tmp_path}/ours" if form.endswith("_FILE") else "valkey://ours:1/0"
    assert load(given, tmp_path / ".env").valkey.url == Secret("valkey://ours:1/0")
    (tmp_path / "theirs").unlink()
    assert load(given, tmp_path / ".env").valkey.url == Secret("valkey://ours:1/0")


def test_a_child_is_handed_the_secret_and_not_the_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(REQUIRED["TASKFORGE_KEYS"])
    environ = {name: value for name, value in REQUIRED.items() if name != "TASKFORGE_KEYS"}
    environ |= {"TASKFORGE_KEYS_FILE": str(tmp_path / "keys"), "PATH": "/bin"}
    given, problems = read_variables(environ, None)
    adopt(environ, given)
    assert problems == []
    assert environ == REQUIRED | {"PATH": "/bin"}
    assert load(environ) == load(REQUIRED)


def test_a_missing_file_is_no_mistake_but_an_unreadable_line_is(tmp_path: Path) -> None:
    assert load(REQUIRED, tmp_path / "none").http.port == 8000
    file = tmp_path / ".env"
    file.write_text("TASKFORGE_HTTP__PORT\n")
    with pytest.raises(SettingsError, match=r"\.env:1: expected NAME=value"):
        load(REQUIRED, file)
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env: cannot be read"):
        load(REQUIRED, file)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A = 1 ", "1"),
        ("A=", ""),
        ("A= # only a comment", ""),
        ("A=a # comment", "a"),
        ("A=a#b", "a#b"),
        ("A=a b", "a b"),
        ("A='a # b' # comment", "a # b"),
        (r"A='a\n'", r"a\n"),
        (r'A="a\n\"b\" \\ \$c # d"', 'a\n"b" \\ $c # d'),
        ("A=x=y", "x=y"),
        ("A=postgresql://u:p@h/d?sslmode=disable", "postgresql://u:p@h/d?sslmode=disable"),
    ],
)
def test_a_line_of_the_file_is_read_as_shells_do(line: str, value: str) -> None:
    assert parse_env(line) == ({"A": value}, [])


def test_comments_blank_lines_and_a_byte_order_mark_are_skipped() -> None:
    assert parse_env("\ufeff# c\n\n  # c\nA=1\r\nA=2") == ({"A": "2"}, [])


@pytest.mark.parametrize("line", ["A='x", 'A="x', 'A="x" y', "A='x' y"])
def test_an_open_quote_is_named_without_showing_the_value(line: str) -> None:
    values, problems = parse_env(f"\n{line}")
    assert values == {}
    assert problems == [".env:2: A has a quote that is not closed"]


@pytest.mark.parametrize("line", ["A", "1A=1", "=1", "A B=1"])
def test_a_line_that_is_no_assignment_is_named(line: str) -> None:
    assert parse_env(line) == ({}, [".env:1: expected NAME=value"])


def test_the_example_file_is_the_generated_one() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == example()


def test_the_example_is_a_valid_file_with_every_variable_and_its_default() -> None:
    uncommented = "\n".join(line.removeprefix("#") for line in example().splitlines() if line.startswith("#TASKFORGE_"))
    values, problems = parse_env(uncommented)
    assert problems == []
    assert list(values) == [variable.name for variable in variables()]
    given, _ = read_variables(values, None)
    assert load(REQUIRED | given) == load(REQUIRED)


def test_every_variable_is_documented() -> None:
    assert [variable.name for variable in variables() if not variable.doc] == []
    assert len({variable.path for variable in variables()}) == len(list(variables(Settings)))
