"""One row as what somebody wants of a task, and one task as a row."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from core.commands import LabelName, clean_label_name
from core.field_error import FieldError
from core.task import REFERENCES, ExternalName, Task, TaskPatch, clean_external_name
from taskforge.transfer.files import Format, Row

__all__ = ["COLUMNS", "EXPORTED", "Wish", "read_wish", "row_of"]

EXPORTED: Final = (
    "id", "key", "number", "title", "description", "status", "priority", "assignee", "labels", "due_at", "estimate",
    "parent", "blocked_by", "external_id", "external_source", "created_at", "updated_at", "completed_at", "due_on",
    "column", "recurrence", "recurrence_when",
)  # fmt: skip
COLUMNS: Final = frozenset(EXPORTED)
"""What a file may have. `number` and the three times are read over: the server owns them."""

VALUES: Final = ("title", "description", "status", "priority", "due_at", "due_on", "estimate")
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}$")
POINTER: Final = re.compile(r" - at `\$\.?([^`]*)`$")


class Wish(Struct, frozen=True, kw_only=True):
    """A row, typed. UNSET: the file has no such column, or nothing to say there.

    `id` and `key` are those of the exported task, `external` is (source, id). `parent` and `blocked_by` name tasks of
    this file or of the team by id or key; `labels` are names, `assignee` is an address, `column` a name.
    """

    row: Row
    patch: TaskPatch
    id: UUID | None = None
    key: str | None = None
    external: tuple[str, str] | None = None
    labels: tuple[str, ...] | UnsetType = UNSET
    assignee: str | UnsetType | None = UNSET
    parent: str | UnsetType | None = UNSET
    blocked_by: tuple[str, ...] | UnsetType = UNSET
    column: str | None = None


def read_wish(row: Row, source: str, *, foreign: bool, adopt: bool) -> Wish:
    """The row's wish. Raises ValueError with a reason for people.

    `foreign`: `key` is another tracker's and becomes the external id. `adopt`: tasks without an external id get their
    exported id as one. Both under `source`, unless the row names its own.
    """
    cells = {name: cell for name, cell in row.cells.items() if cell is not None and cell != ""}
    own_id = _id(cells.get("id"))
    key = _text(cells, "key")
    name = key if foreign else _text(cells, "external_id")
    if name is None and adopt and own_id is not None:
        name = str(own_id)
    external = None if name is None else (_text(cells, "external_source") or source, name)
    if external is not None:
        _typed(external, tuple[ExternalName, ExternalName], "external_id")
        own = _cleaned(external[1], clean_external_name, "external_id")
        external = (_cleaned(external[0], clean_external_name, "external_source"), own)
    return Wish(
        row=row,
        patch=_patch(row.cells),
        id=own_id,
        key=None if foreign else key,
        external=external,
        labels=_labels(row.cells),
        assignee=_optional(row.cells, "assignee"),
        parent=_optional(row.cells, "parent"),
        blocked_by=_listed(row.cells, "blocked_by"),
        column=_text(cells, "column"),
    )


def _patch(cells: Mapping[str, Any]) -> TaskPatch:
    """Empty cells clear what can be empty; an empty title, status or priority says nothing."""
    given: dict[str, Any] = {}
    for name in VALUES:
        if name not in cells:
            continue
        cell = cells[name]
        if cell is None or cell == "":
            if name in {"due_at", "due_on", "estimate", "description"}:
                given.setdefault(name, None)
        elif name == "due_at" and isinstance(cell, str) and DATE.match(cell):
            # A tracker that keeps dates means a day in the team's calendar, and no moment of it.
            given["due_on"] = cell
        else:
            given[name] = cell
    _recur(given, cells)
    _due_once(given, cells)
    patch: TaskPatch = _typed(given, TaskPatch)
    return patch


def _recur(given: dict[str, Any], cells: Mapping[str, Any]) -> None:
    """A rule, and when the next task is made; an empty rule ends a series, and no column says nothing of it."""
    if "recurrence" in cells:
        rule, when = cells["recurrence"], cells.get("recurrence_when")
        given["recurrence"] = {"rule": rule, **({"when": when} if when else {})} if rule else None


def _due_once(given: dict[str, Any], cells: Mapping[str, Any]) -> None:
    """What a row says of when it is due takes the place of what was said before, in either form."""
    for name, other in (("due_at", "due_on"), ("due_on", "due_at")):
        if given.get(name) is not None or (name in given and other not in cells):
            given.setdefault(other, None)


def _typed(value: Any, kind: Any, name: str = "") -> Any:
    """The value as `kind`; text may stand for numbers and times, as it must in CSV."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        message = POINTER.sub("", str(error))
        found = POINTER.search(str(error))
        cause = error.__cause__
        at = name or (cause.field if isinstance(cause, FieldError) else found[1] if found else "")
        raise ValueError(f"{at}: {message}" if at else message) from error


def _id(cell: Any) -> UUID | None:
    if cell is None:
        return None
    try:
        return UUID(str(cell))
    except ValueError:
        raise ValueError(f"id: {cell!r} is not a UUID") from None


def _text(cells: Mapping[str, Any], name: str) -> str | None:
    cell = cells.get(name)
    if cell is None:
        return None
    if not isinstance(cell, str | int):
        raise ValueError(f"{name}: expected text")
    return str(cell)


def _optional(cells: Mapping[str, Any], name: str) -> str | UnsetType | None:
    if name not in cells:
        return UNSET
    return None if cells[name] == "" else _text(cells, name)


def _listed(cells: Mapping[str, Any], name: str) -> tuple[str, ...] | UnsetType:
    """A JSON list (of JSON Lines, or as text in a cell), or names with semicolons between them."""
    if name not in cells:
        return UNSET
    cell = cells[name]
    if cell is None or cell == "":
        return ()
    if isinstance(cell, str) and cell.startswith("["):
        try:
            cell = msgspec.json.decode(cell)
        except msgspec.DecodeError as error:
            raise ValueError(f"{name}: not a list: {error}") from error
    if isinstance(cell, str):
        cell = [part.strip() for part in cell.split(";") if part.strip()]
    parts: tuple[str, ...] = _typed(cell, tuple[str, ...], name)
    if len(parts) > REFERENCES:
        raise ValueError(f"{name}: at most {REFERENCES}")
    return tuple(dict.fromkeys(parts))


def _labels(cells: Mapping[str, Any]) -> tuple[str, ...] | UnsetType:
    names = _listed(cells, "labels")
    if names is UNSET:
        return UNSET
    return tuple(
        dict.fromkeys(_cleaned(_typed(name, LabelName, "labels"), clean_label_name, "labels") for name in names)
    )


def _cleaned(text: str, clean: Callable[[str], str], name: str) -> str:
    try:
        return clean(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def row_of(
    task: Task,
    form: Format,
    *,
    labels: Mapping[UUID, str],
    columns: Mapping[UUID, str],
    keys: Mapping[UUID, str],
    emails: Mapping[UUID, str],
) -> dict[str, Any]:
    """A task as a row of an export; references by key, labels and column by name, the assignee by address (else id)."""
    assignee = None if task.assignee_id is None else emails.get(task.assignee_id, str(task.assignee_id))
    parent = None if task.parent_id is None else keys.get(task.parent_id, str(task.parent_id))
    # A series that has passed on is its next task's.
    series = task.recurrence if task.recurrence is not None and task.recurrence.next_id is None else None
    row: dict[str, Any] = {
        "id": str(task.id),
        "key": task.key,
        "number": task.number,
        "title": task.title,
        "description": task.description,
        "status": task.status,
        "priority": task.priority,
        "assignee": assignee,
        "labels": [labels[label_id] for label_id in task.label_ids if label_id in labels],
        "due_at": _moment(task.due_at),
        "estimate": task.estimate,
        "parent": parent,
        "blocked_by": [keys.get(blocker, str(blocker)) for blocker in task.blocked_by],
        "external_id": task.external_id,
        "external_source": task.external_source,
        "created_at": _moment(task.created_at),
        "updated_at": _moment(task.updated_at),
        "completed_at": _moment(task.completed_at),
        "due_on": None if task.due_on is None else task.due_on.isoformat(),
        "column": columns.get(task.column_id),
        "recurrence": None if series is None else series.rule,
        "recurrence_when": None if series is None else series.when,
    }
    return row if form == "jsonl" else {name: _cell(value) for name, value in row.items()}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _cell(value: Any) -> Any:
    """Lists as `a;b`, or as JSON when a name would be read otherwise; None as nothing."""
    if value is None:
        return ""
    if not isinstance(value, list):
        return value
    plain = not any(";" in part or part != part.strip() or part.startswith("[") for part in value)
    return ";".join(value) if plain else msgspec.json.encode(value).decode()
