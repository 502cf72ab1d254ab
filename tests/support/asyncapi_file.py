"""`docs/asyncapi.json`, what the topics hold as it is checked in, and whether a change to it breaks a reader.

`python -m tests.support.asyncapi_file` writes it; with the argument `compare` the one that is checked in is compared
with that of HEAD's first parent. A break that must be has a line in `docs/asyncapi-breaking.txt`, with the reason.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from api.asyncapi import asyncapi_document
from tests.support import event_schemas
from tests.support.source import ROOT

__all__ = ["ALLOWED", "FILE", "breaks", "main", "written"]

FILE = ROOT / "docs" / "asyncapi.json"
ALLOWED = ROOT / "docs" / "asyncapi-breaking.txt"
Document = Mapping[str, Any]


def written() -> str:
    """The file as it should be: what `/asyncapi.json` answers, a member a line."""
    return json.dumps(json.loads(asyncapi_document()), indent=1, ensure_ascii=False) + "\n"


def breaks(old: Document, new: Document, allowed: str = "") -> list[str]:
    """What a reader who relies on the old document will miss in the new one and nobody allowed, a line each."""
    return [line for line in _breaks(old, new) if line not in allowed.splitlines()]


def _breaks(old: Document, new: Document) -> Iterator[str]:
    for name, channel in old["channels"].items():
        if (other := new["channels"].get(name)) is None:
            yield f"{name}: the channel is gone"
            continue
        for what in ("address", "bindings"):
            if channel[what] != other[what]:
                yield f"{name}: {what} was {json.dumps(channel[what])}, is {json.dumps(other[what])}"
        for message in channel["messages"]:
            if message not in other["messages"]:
                yield f"{name}/{message}: the message is gone"
            else:
                yield from _message_breaks(
                    f"{name}/{message}", _message(old, message), _message(new, message), old, new
                )


def _message(document: Document, name: str) -> Document:
    found: Document = document["components"]["messages"][name]
    return found


def _message_breaks(at: str, before: Document, after: Document, old: Document, new: Document) -> Iterator[str]:
    if before["contentType"] != after["contentType"]:
        yield f"{at}: contentType was {before['contentType']}, is {after['contentType']}"
    for part in ("headers", "payload"):
        yield from (f"{at}/{part}{line}" for line in event_schemas.breaks(before[part], after[part], old, new))
    key, other = (one["bindings"]["kafka"]["key"] for one in (before, after))
    yield from (f"{at}/key{line}" for line in event_schemas.breaks(key, other))


def _before(commit: str = "HEAD^1") -> str | None:
    """The file at a commit; None when it was not checked in there, or there is no such commit here."""
    name = f"{commit}:{FILE.relative_to(ROOT)}"
    run = subprocess.run(["git", "show", name], cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else None


def main(arguments: list[str]) -> int:
    """Write the file, or compare it; exit code 1 when that finds a break which is not allowed."""
    if arguments != ["compare"]:
        FILE.write_text(written())
        return 0
    if (before := _before()) is None:
        sys.stdout.write("docs/asyncapi.json is not compared: there was none in the commit before\n")
        return 0
    found = breaks(json.loads(before), json.loads(FILE.read_text()), _allowed(ALLOWED))
    sys.stdout.write("".join(f"{line}\n" for line in found) or "docs/asyncapi.json keeps what it promised\n")
    return 1 if found else 0


def _allowed(file: Path) -> str:
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
