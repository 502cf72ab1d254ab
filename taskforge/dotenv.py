"""Reading `.env` files: `NAME=value` lines with comments, quotes and an optional `export`, no interpolation."""

import re

__all__ = ["parse_env"]

LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<rest>.*?)\s*$")
SINGLE = re.compile(r"'(?P<value>[^']*)'\s*(?:#.*)?$")
DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"\s*(?:#.*)?$')
BARE = re.compile(r"(?P<value>.*?)(?:(?:^|\s+)#.*)?$")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env(text: str, source: str = ".env") -> tuple[dict[str, str], list[str]]:
    """The variables, the last of equal names winning, and one problem per line that cannot be read.

    Single quotes keep everything, double quotes know \\n, \\r, \\t, \\", \\\\ and \\$; without quotes a ` #` starts a
    comment. Problems name the line but never show it: it may hold a secret.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.match(line)
        value = None if match is None else _value(match["rest"])
        if match is None:
            problems.append(f"{source}:{number}: expected NAME=value")
        elif value is None:
            problems.append(f"{source}:{number}: {match['name']} has a quote that is not closed")
        else:
            values[match["name"]] = value
    return values, problems


def _value(rest: str) -> str | None:
    if rest.startswith("'"):
        quoted = SINGLE.match(rest)
        return quoted["value"] if quoted else None
    if rest.startswith('"'):
        quoted = DOUBLE.match(rest)
        return re.sub(r"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[1]), quoted["value"]) if quoted else None
    bare = BARE.match(rest)
    return bare["value"] if bare else rest
