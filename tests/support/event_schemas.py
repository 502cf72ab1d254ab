"""The schemas of events as they are checked in, and whether what the program says now still keeps their promises.

`python -m tests.support.event_schemas` writes those that are new or say more; it refuses to break one.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from api.endpoints.event_schemas import schemas
from tests.support.source import ROOT

__all__ = ["FOLDER", "breaks", "checked_in", "path_of", "stated"]

FOLDER = ROOT / "docs" / "events"
Schema = Mapping[str, Any]


def stated() -> dict[str, Any]:
    """What the program answers at `/schemas/<urn>`, by URN."""
    return {urn: json.loads(body) for urn, (_, body) in schemas().items()}


def checked_in() -> dict[str, Any]:
    """What was promised, by URN."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return {schema["$id"]: schema for schema in found}


def path_of(urn: str) -> Path:
    """Where the schema of this name lies: `task.moved.1.json`."""
    name, version = urn.split(":")[-2:]
    return FOLDER / f"{name}.{version}.json"


def breaks(old: Schema, new: Schema, of: Schema | None = None, by: Schema | None = None) -> list[str]:
    """What a reader who relies on the old schema may not find any more in data of the new one, by JSON pointer.

    Data may say more than it did: a member that is new breaks nobody, a value that no reader knows may. `of` and `by`
    are the documents that the two stand in, if they are not whole ones.
    """
    return list(_breaks(old, new, of or old, by or new, ""))


def _breaks(old: Schema, new: Schema, of: Schema, by: Schema, at: str) -> Iterator[str]:
    """`of` and `by` are the whole documents, for what is defined in them once."""
    old, new = _resolved(old, of), _resolved(new, by)
    if "anyOf" in old or "anyOf" in new:
        yield from _alternatives(old, new, of, by, at)
        return
    for word in ("type", "format", "const"):
        if word in old and old[word] != new.get(word):
            yield f"{at}: {word} was {old[word]}, is {new.get(word)}"
    if "enum" in old and (more := _texts(new.get("enum", [])) - _texts(old["enum"])):
        yield f"{at}: no reader knows {', '.join(sorted(more))}"
    for name in sorted(set(old.get("required", ())) - set(new.get("required", ()))):
        yield f"{at}/{name}: may be left out"
    for name, inner in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{at}/{name}: is gone"
        else:
            yield from _breaks(inner, new["properties"][name], of, by, f"{at}/{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), dict):
            inner = new.get(word)
            yield from _breaks(old[word], inner if isinstance(inner, dict) else {}, of, by, f"{at}/*")


def _alternatives(old: Schema, new: Schema, of: Schema, by: Schema, at: str) -> Iterator[str]:
    """Each form that data may take now must be one that readers know."""
    known = [*old.get("anyOf", [old])]
    for form in new.get("anyOf", [new]):
        if all(list(_breaks(one, form, of, by, at)) for one in known):
            yield f"{at}: no reader knows {json.dumps(form, sort_keys=True)}"


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Names of ours hold neither `/` nor `~`, so that a pointer is its parts."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _texts(values: Any) -> set[str]:
    return {json.dumps(value) for value in values}


def main() -> int:
    """Write what is new; exit code 1 when that would break a promise."""
    before = checked_in()
    broken = {urn: found for urn, new in stated().items() if urn in before and (found := breaks(before[urn], new))}
    for urn, found in broken.items():
        sys.stderr.write("".join(f"{urn}{line}\n" for line in found))
    if broken:
        sys.stderr.write("raise the `schema_version` of these events instead (core/event_data.py says how)\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for urn, schema in stated().items():
        path_of(urn).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
