"""How curl and HTTPie say a request."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.support.cookbook.request import Asked
from tests.support.cookbook.step import Step

__all__ = ["curl", "httpie"]

WIDTH: Final = 110
_VARIABLE: Final = re.compile(r"\$[A-Z_]+")


def curl(step: Step, asked: Asked) -> str:
    """The command of curl, with what happens to its answer."""
    return step.curl or _with_answer(step, asked, list(_curl(asked)))


def httpie(step: Step, asked: Asked) -> str:
    """The same of HTTPie."""
    return step.httpie or _with_answer(step, asked, list(_httpie(asked)))


def _curl(asked: Asked) -> Iterator[str]:
    yield "curl -sS --fail-with-body" if asked.expected is None else "curl -sS -i"
    if asked.method != ("GET" if asked.body is None and not asked.files else "POST"):
        yield f"-X {asked.method}"
    query = "&".join(f"{name}={value}" for name, value in asked.query.items())
    yield f'"$BASE{asked.path}{"?" if query else ""}{query}"'
    if asked.token:
        yield f'-H "Authorization: Bearer ${asked.token}"'
    for name, value in asked.headers.items():
        yield f"-H {_quoted(f'{name}: {value}')}"
    yield from (f"-F {_quoted(f'{name}=@{file}')}" for name, file in asked.files.items())
    if asked.body is None:
        return
    if asked.form:
        yield from (f"-d {_quoted(f'{name}={value}')}" for name, value in asked.body.items())
    else:
        yield f"-H 'Content-Type: application/json' -d {_quoted(_json(asked.body))}"


def _httpie(asked: Asked) -> Iterator[str]:
    yield "http -I --check-status" if asked.expected is None else "http -I --print=h"
    if asked.form:
        yield "--form"
    if asked.token:
        yield f'-A bearer -a "${asked.token}"'
    yield asked.method
    yield f'"$BASE{asked.path}"'
    yield from (_quoted(f"{name}=={value}") for name, value in asked.query.items())
    yield from (_quoted(f"{name}:{value}") for name, value in asked.headers.items())
    yield from (_quoted(f"{name}@{file}") for name, file in asked.files.items())
    if asked.body == {}:
        yield "--raw '{}'"
    for name, value in (asked.body or {}).items():
        yield _quoted(f"{name}={_literal(value)}" if isinstance(value, str) else f"{name}:={_json(value)}")


def _with_answer(step: Step, asked: Asked, words: list[str]) -> str:
    command = _broken(words)
    if asked.expected is not None:
        return f"{command} | grep -E '^HTTP/1.1 {asked.expected}'"
    if step.until is not None:
        member, value = step.until
        command = f'until ANSWER=$({command}) && test "$(field {member} <<<"$ANSWER")" = {value}; do sleep 0.2; done'
        return "\n".join([command, *_taken(step)])
    if len(step.gives) == 1:
        ((name, member),) = step.gives.items()
        return f"{name}=$({command} | field {member})"
    return "\n".join([f"ANSWER=$({command})", *_taken(step)]) if step.gives else command


def _taken(step: Step) -> Iterator[str]:
    for name, member in step.gives.items():
        yield f'{name}=$(field {member} <<<"$ANSWER")'


def _broken(words: list[str]) -> str:
    """The words on lines that are not too long, if words are not."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"  {word}")
    return " \\\n".join(lines)


def _literal(text: str) -> str:
    """The text for HTTPie, to which `=@` would be a file and `==` a parameter of the query."""
    return f"\\{text}" if text.startswith(("@", "=")) else text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    """For the shell, which fills in variables and nothing else."""
    if re.fullmatch(r"[\w@%+=:,./-]+", text):
        return text
    if "'" not in text and not _VARIABLE.search(text):
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    return "'" + _VARIABLE.sub(lambda found: f"'\"{found[0]}\"'", text.replace("'", "'\\''")) + "'"
