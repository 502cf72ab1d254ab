"""The page, and the two scripts that are in it."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from api.endpoints import all_operations
from api.openapi import document
from tests.support.cookbook.chapters import CHAPTERS
from tests.support.cookbook.programs import curl, httpie
from tests.support.cookbook.request import asked
from tests.support.cookbook.step import Chapter, Step
from tests.support.source import ROOT

__all__ = ["PAGE", "Program", "blocks", "page"]

PAGE: Final = ROOT / "docs" / "cookbook.md"
Program = Literal["curl", "httpie"]

_HEAD: Final = """# Cookbook: every operation, with curl and with HTTPie

Made from the description of the API (`/openapi.json`) by `python -m tests.support.cookbook`; the tests run all of it,
once with each program. Run the commands in one shell (bash) from the top, those of *one* program, while `make up` runs
in another: each builds on the ones before it.

`http` is HTTPie 3; its `-I` keeps it from waiting for a body from the terminal. Every way to fail, by status and code,
is in `/docs`.

## Before all

`field` takes one member out of a JSON answer. `at` says where an address in an answer leads to: one that begins with a
slash is the API's own. `mailed` waits for a mail to somebody with a link to one of our pages, and takes the token out
of it: without a mail server, `make up` keeps all mails at `/dev/mail`.

```bash both
BASE=${BASE:-http://127.0.0.1:8000}
field() { python3 -c '
import functools, json, sys
step = lambda found, name: found[int(name)] if name.isdigit() else found[name]
print(functools.reduce(step, sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }
at() { if [[ $1 == /* ]]; then echo "$BASE$1"; else echo "$1"; fi; }
mailed() { until curl -sS "$BASE/dev/mail" -H 'Accept: application/json' | python3 -c '
import json, re, sys
mails = [mail["text"] for mail in json.load(sys.stdin)["items"] if sys.argv[1] in mail["to"]]
tokens = [found[1] for text in mails if (found := re.search(f"/{sys.argv[2]}#token=([^\\\\s]+)", text))]
print(tokens[0]) if tokens else sys.exit(1)' "$1" "$2"; do sleep 0.2; done; }
NOW=$(date +%s)-$RANDOM
```
"""


def page() -> str:
    """The page as it should be. Raises KeyError for a step of an operation that does not exist."""
    described: dict[str, Any] = json.loads(document(all_operations()))
    found = {
        item["operationId"]: (method, path, item)
        for path, items in described["paths"].items()
        for method, item in items.items()
    }
    return "\n".join([_HEAD, *(line for chapter in CHAPTERS for line in _chapter(chapter, found))])


def blocks(text: str, program: Program) -> list[str]:
    """The commands of one program in their order, with those that both need."""
    return re.findall(rf"^```bash (?:both|{program})\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _chapter(chapter: Chapter, found: dict[str, tuple[str, str, Any]]) -> Iterator[str]:
    yield f"## {chapter.title}\n\n{chapter.intro}\n"
    for step in chapter.steps:
        yield from _step(step, *found[step.operation])


def _step(step: Step, method: str, path: str, item: dict[str, Any]) -> Iterator[str]:
    request = asked(step, method, path, item)
    yield f"### {item['summary']}\n\n`{method.upper()} {path}` ({step.operation}). {step.says}\n"
    if step.first:
        yield f"```bash both\n{step.first}\n```\n"
    yield f"```bash curl\n{curl(step, request)}\n```\n"
    yield f"```bash httpie\n{httpie(step, request)}\n```\n"
