"""Finding a route without trying regular expressions one by one, and telling 405 from 404.

BlackSheep's own look-up walks every route of the method; here a path costs one dictionary look-up per segment.
Patterns: literal segments, `{name}`, `{uuid:name}`, `{int:name}`, and a last `*` for the rest (value "tail").
"""

from typing import Any
from urllib.parse import unquote

from blacksheep import Router
from blacksheep.server.routing import Route

from db.ids import uuid_of

__all__ = ["EdgeRouter", "Found"]

Found = tuple[Route | None, dict[str, Any], tuple[str, ...]]
"""(route or None, path values, methods this path has); no methods at all means that nothing has this path."""


class _Node:
    __slots__ = ("children", "kind", "methods", "name", "parameter", "tail")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.kind = self.name = ""
        self.tail: dict[str, Route] = {}
        self.methods: dict[str, Route] = {}


class EdgeRouter(Router):
    """BlackSheep's router with an index of its HTTP routes. Path values arrive parsed: UUID, int or str."""

    def mark_handler(self, handler: Any) -> None:
        """BlackSheep marks handlers to find forgotten ones; ours may be bound methods, which cannot be marked."""

    def index(self) -> None:
        """Index the routes; call it when all are registered. Two names for one parameter place are refused."""
        self._root = _Node()
        for method, routes in self.routes.items():
            name = method.decode()
            if name == "GET_WS":
                continue
            for route in routes:
                self._insert(name, route)

    def find(self, method: str, path: str) -> Found:
        """The route of a method and a raw (still quoted) path. HEAD is answered by the GET route."""
        values: dict[str, Any] = {}
        methods = self._walk(path, values)
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is not None:
            return route, values, ()
        return None, values, tuple(sorted({*methods, *(("HEAD",) if "GET" in methods else ())}))

    def _walk(self, path: str, values: dict[str, Any]) -> dict[str, Route]:
        node, tail, rest = self._root, dict[str, Route](), ""
        start = 1
        for segment in path[1:].split("/"):
            if node.tail:
                tail, rest = node.tail, path[start:]
            start += len(segment) + 1
            child = node.children.get(segment)
            if child is None:
                child = node.parameter
                if child is None or not _read(child, segment, values):
                    if tail:
                        values["tail"] = unquote(rest)
                    return tail
            node = child
        return node.methods

    def _insert(self, method: str, route: Route) -> None:
        node = self._root
        for segment in route.pattern.decode()[1:].split("/"):
            if segment == "*":
                node.tail[method] = route
                return
            if segment.startswith("{"):
                node = self._parameter(node, segment[1:-1])
            else:
                node = node.children.setdefault(segment, _Node())
        node.methods[method] = route

    @staticmethod
    def _parameter(node: _Node, text: str) -> _Node:
        kind, _, name = text.rpartition(":")
        child = node.parameter = node.parameter or _Node()
        if child.name and (child.kind, child.name) != (kind, name):
            raise ValueError(f"{{{text}}} stands where {{{child.kind}:{child.name}}} stands already")
        child.kind, child.name = kind, name
        return child


def _read(node: _Node, segment: str, values: dict[str, Any]) -> bool:
    """Parse a segment as the node's parameter; False when it is not one."""
    try:
        if node.kind == "uuid":
            if len(segment) != 36:
                return False
            values[node.name] = uuid_of(segment)
        elif node.kind == "int":
            if not (segment.isascii() and segment.isdigit() and len(segment) <= 18):
                return False
            values[node.name] = int(segment)
        elif not segment:
            return False
        else:
            values[node.name] = unquote(segment, errors="strict")
    except ValueError:
        return False
    return True
