"""What a step asks for, taken from the document; neither program's way to say it."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Struct

from api.paths import PARAMETER
from tests.support.cookbook.step import Step

__all__ = ["Asked", "asked", "variable"]

JSON: Final = "application/json"


class Asked(Struct, frozen=True, kw_only=True):
    """A request with shell variables in it. `expected` is a status that the programs count as a failure, or None."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    token: str
    body: Any
    files: Mapping[str, str]
    form: bool
    expected: int | None


def asked(step: Step, method: str, path: str, operation: Mapping[str, Any]) -> Asked:
    """The request of a step by its operation in the document."""
    succeeds = min(int(status) for status in operation["responses"])
    answers = succeeds if step.answers is None else step.answers
    body = None if step.files else step.body
    content = operation.get("requestBody", {}).get("content", {})
    return Asked(
        method=method.upper(),
        path=PARAMETER.sub(lambda found: step.path.get(found[1], f"${variable(found[1])}"), path),
        query=step.query,
        headers=step.headers,
        token=step.by if operation["security"] else "",
        body=_body(content) if body is UNSET else body,
        files=step.files,
        form=bool(content) and JSON not in content,
        expected=None if 200 <= answers < 300 else answers,
    )


def variable(parameter: str) -> str:
    """The shell variable for a parameter or member: `task_id` is in TASK."""
    return parameter.removesuffix("_id").upper()


def _body(content: Mapping[str, Any]) -> Any:
    """The document's example, about what the shell knows."""
    example = next((media.get("example") for media in content.values()), None)
    if not isinstance(example, dict):
        return example
    return {
        name: f"${variable(name)}" if name.endswith("_id") and isinstance(value, str) else value
        for name, value in example.items()
    }
