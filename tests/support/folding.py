"""What a data team would make of the topic: the board that a team's events add up to.

Nothing in here knows our code: the contract's words are all it uses.
"""

from typing import Any

Events = list[dict[str, Any]]


def fold(events: Events) -> dict[str, list[dict[str, Any]]]:
    """The board that the events add up to: the columns' tasks from top to bottom."""
    tasks: dict[str, dict[str, Any]] = {}
    for event in events:
        kind, data = event["type"], event["data"]
        if "task" not in data:
            continue
        task = data["task"]
        for neighbour, rank in data.get("ranks", {}).items():
            tasks[neighbour] = tasks[neighbour] | {"rank": rank, "version": event["seq"]}
        if kind in {"task.archived", "task.deleted"}:
            tasks.pop(task["id"], None)
        else:
            tasks[task["id"]] = task
    columns: dict[str, list[dict[str, Any]]] = {
        status: [] for status in ("open", "in_progress", "in_review", "done", "cancelled")
    }
    for task in sorted(tasks.values(), key=lambda task: (task["rank"], task["id"])):
        columns[task["status"]].append(task)
    return columns


def columns_of(board: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The same shape from `GET …/board`."""
    return {column["category"]: column["tasks"] for column in board["columns"]}
