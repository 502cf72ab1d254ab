"""`docs/openapi.json`, the description as it is checked in, so that a change to it is seen and compared.

`python -m tests.support.openapi_file` writes it; `tests/api/test_openapi_file.py` compares it.
"""

import json

from api.endpoints import all_operations
from api.openapi import document
from tests.support.source import ROOT

__all__ = ["FILE", "written"]

FILE = ROOT / "docs" / "openapi.json"


def written() -> str:
    """The file as it should be: what `/openapi.json` answers, a member a line."""
    return json.dumps(json.loads(document(all_operations())), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written())
