"""The data directory of `taskforge up` as the last release left it."""

import json
from pathlib import Path
from typing import Final

from taskforge.devstack.datadir import DataDir

SECRETS: Final = {
    "postgres_password": "the-superusers",
    "valkey_password": "the-caches",
    "jwt_secret": "the-secret-that-signs-access-tokens",
    "role_passwords": {
        "taskforge_owner": "the-owners",
        "taskforge_api": "the-apis",
        "taskforge_writer": "the-writers",
        "taskforge_worker": "the-workers",
    },
}


def test_the_secrets_of_an_old_data_directory_stay_what_they_were(tmp_path: Path) -> None:
    """A secret that is new since then is added; the old ones open what they have always opened."""
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps(SECRETS))
    for _ in range(2):
        secrets = DataDir(tmp_path).secrets()
        assert {name: getattr(secrets, name) for name in SECRETS} == SECRETS
        assert json.loads(file.read_text()).items() >= SECRETS.items()
