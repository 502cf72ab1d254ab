"""What the commit statement writes beside tasks. A noun of the domain is declared here and nowhere else in this room.

A noun has a table whose key is the team and the thing's own id, and a composite type for its rows (`commit_sql` says
what becomes of one that needs another column). Which things there are after a batch, the events say, each on its class.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, assert_never, get_args
from uuid import UUID

from msgspec import Struct

from core.events import Noun

__all__ = ["ATTACHMENT_COLUMNS", "NOUNS", "NounRows"]


ATTACHMENT_COLUMNS: Final = (
    "team_id",
    "id",
    "task_id",
    "name",
    "media_type",
    "size",
    "digest",
    "created_by",
    "created_at",
)


class NounRows(Struct, frozen=True):
    """`columns` are those of the type and of the table in the type's order: the team, the thing's id, and the rest.

    Beside the team they are named as the thing's own fields.
    """

    noun: Noun
    table: str
    kind: str
    columns: tuple[str, ...]
    is_forgotten: bool = False
    """Whether history forgets what is deleted: that it is to do so is written with the deletion."""

    def rows(self, team_id: UUID, things: Iterable[Any]) -> list[tuple[Any, ...]]:
        """The things as rows of the type."""
        fields = attrgetter(*self.columns[1:])
        return [(team_id, *fields(thing)) for thing in things]

    def parts(self, first: int) -> str:
        """The parts of the statement that write the noun for the teams in `fence`.

        Its three parameters, from number `first` on: the rows; teams and ids of what is gone. That goes first, because
        it may free a name for what comes.
        """
        names, key = ", ".join(self.columns), self.columns[1]
        changed = ", ".join(f"{name} = excluded.{name}" for name in self.columns[2:])
        return f"""
{self.noun}_gone as (
    delete from {self.table} t using unnest(${first + 1}::uuid[], ${first + 2}::uuid[]) as d (team_id, id)
    where t.team_id = d.team_id and t.{key} = d.id and (d.team_id in (select id from fence)) is true
    returning {"t.team_id, t.task_id, t.id" if self.is_forgotten else "t.team_id"}
){self._due()}, {self.noun}_kept as (
    insert into {self.table} ({names})
    select {names} from unnest(${first}::{self.kind}[]) n
    where (n.team_id in (select id from fence)) is true and (select count(*) from {self.noun}_gone) >= 0
    on conflict (team_id, {key}) do update set {changed}
)
"""  # noqa: S608 (made of the names below, nothing else)

    def _due(self) -> str:
        if not self.is_forgotten:
            return ""
        return f""", {self.noun}_due as (
    insert into redactions_due (team_id, task_id, subject_id)
    select team_id, task_id, id from {self.noun}_gone on conflict do nothing
)"""  # noqa: S608 (as above)


def _declared(noun: Noun) -> NounRows | None:
    """None for three: tasks have shapes of their own, a team's settings stand in the row that is its fence, and history
    has no row but its event.
    """
    match noun:
        case "member":
            return NounRows(
                "member", "memberships", "commit_member", ("team_id", "user_id", "role", "name", "joined_at")
            )
        case "comment":
            text = ("body", "mentions", "created_at", "updated_at", "version")
            columns = ("team_id", "id", "task_id", "author_id", *text)
            return NounRows("comment", "comments", "commit_comment", columns, is_forgotten=True)
        case "label":
            return NounRows("label", "labels", "commit_label", ("team_id", "id", "name", "color"))
        case "attachment":
            return NounRows("attachment", "attachments", "commit_attachment", ATTACHMENT_COLUMNS)
        case "column":
            of_column = ("team_id", "id", "name", "category", "wip_limit", "rank", "closing_into", "closing_by")
            return NounRows("column", "columns", "commit_column", of_column)
        case "task" | "team" | "history":
            return None
        case _:
            assert_never(noun)


NOUNS: Final = tuple(rows for noun in get_args(Noun) if (rows := _declared(noun)) is not None)
