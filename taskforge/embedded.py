"""The settings that embedded services stand for.

`taskforge up` hands them to its children; other commands find them in the data directory, so that
`taskforge import` in a second terminal meets the stack that runs in the first.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from taskforge.devstack.datadir import DataDir, LocalSecrets
from taskforge.devstack.ports import LOOPBACK, PortBook
from taskforge.devstack.postgres import DATABASE, SUPERUSER, postgres_url
from taskforge.devstack.stack import Kind

__all__ = [
    "DEFAULT_DATA",
    "KEYS",
    "NAMES",
    "OBJECTS",
    "OWNER",
    "STAND_INS",
    "complete",
    "embedded_variables",
    "missing_kinds",
    "ops_ports",
]

DEFAULT_DATA = Path(".taskforge")
KEYS = "TASKFORGE_KEYS"
OWNER = "TASKFORGE_DATABASE__OWNER_URL"
OBJECTS = "TASKFORGE_OBJECTS__URL"

NAMES: Mapping[Kind, tuple[str, ...]] = {
    "postgres": tuple(f"TASKFORGE_DATABASE__{role}_URL" for role in ("OWNER", "API", "WRITER", "WORKER")),
    "valkey": ("TASKFORGE_VALKEY__URL",),
    "kafka": ("TASKFORGE_KAFKA__BOOTSTRAP_SERVERS",),
}

# Valid values that lead nowhere: for checking settings before the services run, and for commands that need none.
STAND_INS: Mapping[str, str] = {
    **dict.fromkeys(NAMES["postgres"], f"postgresql://nobody@{LOOPBACK}:1/nothing"),
    "TASKFORGE_VALKEY__URL": f"valkey://:nothing@{LOOPBACK}:1/0",
    "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:1",
    KEYS: '["stand-in, never used to sign anything"]',
}


def missing_kinds(given: Mapping[str, str]) -> list[Kind]:
    """Services for which no variable is given; a half-given one is for `load` to complain about."""
    return [kind for kind, names in NAMES.items() if not any(name in given for name in names)]


def embedded_variables(secrets: LocalSecrets, ports: Mapping[str, int], kinds: Iterable[Kind]) -> dict[str, str]:
    """The variables of these embedded services, and the generated keys."""
    found = {KEYS: msgspec.json.encode(secrets.keyset).decode()}
    for kind in kinds:
        if kind in ports:
            found |= _variables(kind, secrets, ports[kind])
    return found


def _variables(kind: Kind, secrets: LocalSecrets, port: int) -> dict[str, str]:
    if kind == "valkey":
        return {"TASKFORGE_VALKEY__URL": f"valkey://:{secrets.valkey_password}@{LOOPBACK}:{port}/0"}
    if kind == "kafka":
        return {"TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{port}"}
    accounts = {f"TASKFORGE_DATABASE__{role.removeprefix('taskforge_').upper()}_URL": (role, password)
                for role, password in secrets.role_passwords.items()}  # fmt: skip
    # Only a superuser can make the roles and the extension, so here the owner's URL is the superuser's.
    accounts[OWNER] = (SUPERUSER, secrets.postgres_password)
    return {name: postgres_url(port, DATABASE, user, password) for name, (user, password) in accounts.items()}


def complete(given: Mapping[str, str], data: Path) -> dict[str, str]:
    """`given`, and for what it lacks the variables of the stack that last ran in `data` (not in production)."""
    if given.get("TASKFORGE_MODE") == "production" or not (data / "secrets.json").exists():
        return dict(given)
    directory = DataDir(data)
    ports = PortBook(directory.ports, {}).known()
    found = embedded_variables(directory.secrets(), ports, missing_kinds(given))
    found[OBJECTS] = (data.absolute() / "objects").as_uri()
    if "http" in ports:
        found["TASKFORGE_HTTP__PORT"] = str(ports["http"])
    return found | dict(given)


def ops_ports(data: Path) -> dict[str, str]:
    """Where worker and API of the stack in `data` answer their operators; not for others than those."""
    ports = PortBook(DataDir(data).ports, {}).known()
    names = {"ops": "TASKFORGE_OPS__PORT", "api-ops": "TASKFORGE_OPS__API_PORT"}
    return {variable: str(ports[name]) for name, variable in names.items() if name in ports}
