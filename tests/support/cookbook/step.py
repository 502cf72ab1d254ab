"""One thing to ask for in the cookbook, and what of it is not in the document."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

__all__ = ["Chapter", "Step"]


class Step(Struct, frozen=True, kw_only=True):
    """An operation and the words about it.

    The path takes its parameters from shell variables: `{task_id}` is `$TASK`, `{number}` is `$NUMBER`. In the example
    of the body, the text of a member that is called like a parameter (`team_id`) is replaced in the same way. Both can
    be given here instead; every `$NAME` in a text of `path`, `query`, `headers` or `body` is the shell's.

    `gives` names variables that the answer sets: `{"TASK": "id"}`, or `{"SESSION": "items.0.id"}`. `by` is the variable
    with the token of whoever asks. `answers` is the status that is expected, where it is not the first one of the
    document. `until` (a member and its value) asks again and again. `first` are lines of shell that both programs
    need before. `files` are names of files for the fields of a form, which is then the body. `curl` and `httpie` are
    whole commands, for what neither can say as the others.
    """

    operation: str
    says: str
    gives: Mapping[str, str] = {}
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Any | UnsetType = UNSET
    files: Mapping[str, str] = {}
    by: str = "TOKEN"
    answers: int | None = None
    until: tuple[str, str] | None = None
    first: str = ""
    curl: str = ""
    httpie: str = ""


class Chapter(Struct, frozen=True):
    """Steps about one thing, in their order."""

    title: str
    intro: str
    steps: tuple[Step, ...]
