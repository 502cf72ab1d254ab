"""The AsyncAPI document as a page: made here of the document alone, without a script or a file from anywhere else."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

__all__ = ["page_of"]

Json = Mapping[str, Any]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
html { background: Canvas; color: CanvasText; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
code { font-size: .9em; background: var(--soft); padding: .1em .3em; border-radius: .2em; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
summary span { margin-left: .5rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th, td:first-child code { white-space: nowrap; }
nav a { margin-right: 1rem; }
"""


def page_of(document: bytes) -> bytes:
    """The page about an AsyncAPI document of ours."""
    described = json.loads(document)
    info, components = described["info"], described["components"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(info['title'])}</h1><p>{_words(info['description'])}</p>",
        f'<p>The document itself: <a href="/asyncapi.json">AsyncAPI {escape(described["asyncapi"])}</a>.</p>',
        '<nav aria-label="Topics">',
        *(f'<a href="#{escape(name)}">{escape(one["address"])}</a>' for name, one in described["channels"].items()),
        '<a href="#schemas">Schemas</a></nav>',
        *(part for name, one in described["channels"].items() for part in _channel(name, one, components["messages"])),
        '<h2 id="schemas">Schemas</h2>',
        *(part for name, schema in components["schemas"].items() for part in _schema(name, schema)),
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _channel(name: str, channel: Json, messages: Json) -> Iterator[str]:
    names = [_last(one["$ref"]) for one in channel["messages"].values()]
    first = messages[names[0]]
    policy = ", ".join(channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"])
    yield f'<h2 id="{escape(name)}"><code>{escape(channel["address"])}</code> {escape(channel["title"])}</h2>'
    yield f"<p>{_words(channel['description'])}</p>"
    key = first["bindings"]["kafka"]["key"]
    yield f"<p>Key: {_words(key['description'])} Cleanup policy: <code>{escape(policy)}</code>.</p><h3>Headers</h3>"
    yield from _table(first["headers"])
    yield "<h3>Records</h3>"
    for message in names:
        yield from _message(message, messages[message])


def _message(name: str, message: Json) -> Iterator[str]:
    yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code>'
    yield f"<span>{escape(message['title'])}</span></summary>"
    about = "".join(f"<p>{_words(part)}</p>" for part in message["description"].split("\n\n"))
    yield f"{about}<p>Content type: <code>{escape(message['contentType'])}</code></p>"
    payload = message["payload"]
    if "properties" in payload:
        yield from _table(payload)
    else:
        yield f"<p>Value: {_type(payload)}</p>"
    yield "</details>"


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>'
    if about := schema.get("description"):
        yield f"<p>{_words(about)}</p>"
    yield from _table(schema)


def _table(schema: Json) -> Iterator[str]:
    """The members of an object. One that scrolls can be reached by keyboard."""
    required = set(schema.get("required", ()))
    yield '<div class="wide" tabindex="0" role="group" aria-label="Members"><table><thead><tr><th scope="col">Name</th>'
    yield '<th scope="col">Type</th><th scope="col">Always there</th><th scope="col">About</th></tr></thead><tbody>'
    for name, one in schema.get("properties", {}).items():
        yield f"<tr><td><code>{escape(name)}</code></td><td>{_type(one)}</td>"
        yield f"<td>{'yes' if name in required else 'no'}</td><td>{_words(one.get('description', ''))}</td></tr>"
    yield "</tbody></table></div>"


def _type(schema: Json) -> str:
    """What a value may be, in a few words; other schemas are links."""
    if "$ref" in schema:
        name = escape(_last(schema["$ref"]))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "const" in schema:
        return _codes([schema["const"]])
    if "enum" in schema:
        return _codes(schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), Mapping):
        return f"object of {_type(more)}"
    return escape(f"{kind} ({schema['format']})" if "format" in schema else kind)


def _codes(values: Iterable[object]) -> str:
    return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)


def _words(text: str) -> str:
    """Prose whose names stand in backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
