"""How answers of v1 show comments: with the names that people have now, and with the HTML of their text."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from actors.board import TeamView
from api.access import team_of
from api.markdown import MarkdownPages, Text
from core.comment import Comment
from core.mentions import FORMER_MEMBER, resolve, with_names
from core.redaction import DELETED_USER
from db.people.former_members import former_names
from db.pool import Pool

__all__ = ["CommentPage", "CommentText", "CommentVersion", "CommentVersionPage", "Person", "ShownComment", "Shows"]


class Person(Struct, frozen=True):
    """A user, called as they are now, or were when they left; one whose account is deleted is a "Deleted user"."""

    id: UUID
    name: str


CommentText = Annotated[str, Meta(description="Markdown, with `@` and the current name of those who are mentioned.")]


class ShownComment(Struct, frozen=True, kw_only=True):
    """A comment after its last change. `version` is the team's `seq` of that change, and its ETag.

    `html` is `body` as safe HTML: it has no scripts, pictures, styles or forms, and its links are `nofollow`. A mention
    in it is `<span class="mention" data-user="…">`.
    """

    id: UUID
    team_id: UUID
    task_id: UUID
    author: Person
    body: CommentText
    html: str
    mentions: tuple[Person, ...]
    created_at: datetime
    updated_at: datetime
    version: int


class CommentPage(Struct, frozen=True):
    """Comments, and where the next page starts."""

    items: tuple[ShownComment, ...]
    next_cursor: str | None


class CommentVersion(Struct, frozen=True, kw_only=True):
    """What a comment said since `at`. One whose text was forgotten is empty and `redacted`."""

    version: int
    at: datetime
    body: CommentText
    redacted: bool


class CommentVersionPage(Struct, frozen=True):
    """Versions of a comment, newest first, the current one among them."""

    items: tuple[CommentVersion, ...]
    next_cursor: str | None


class Shows:
    """Makes answers of comments for somebody who may see their team."""

    def __init__(self, pool: Pool, pages: MarkdownPages) -> None:
        self._pool, self._pages = pool, pages

    async def names(self, view: TeamView, user_id: UUID, comments: Iterable[Comment]) -> dict[UUID, str]:
        """What everybody is called: the members, and of former ones those who wrote or are mentioned in the comments.

        Raises StorageUnavailable.
        """
        names = _members(view)
        named = {one for comment in comments for one in (comment.author_id, *comment.mentions)}
        names.update(await former_names(self._pool, user_id, team_of(view), named - names.keys()))
        return names

    async def prepare(
        self, view: TeamView, body: str, names: Mapping[UUID, str], before: Sequence[UUID] = ()
    ) -> "Prepared":
        """Render the text of a change as its team is most likely going to store it."""
        text = resolve(body, _members(view), before)
        (html,) = await self._pages.rendered([text], names)
        return Prepared(self._pages, team_of(view), names, text, html)

    async def shown(
        self, view: TeamView, comments: Sequence[Comment], names: Mapping[UUID, str]
    ) -> tuple[ShownComment, ...]:
        """The comments as they are shown."""
        htmls = await self._pages.rendered([(comment.body, comment.mentions) for comment in comments], names)
        return tuple(_shown(team_of(view), one, html, names) for one, html in zip(comments, htmls, strict=True))


class Prepared(Struct, frozen=True):
    """Shows the comment that a change has made, without rendering it once more. Pure, as renderers have to be."""

    pages: MarkdownPages
    team_id: UUID
    names: Mapping[UUID, str]
    text: Text
    html: str

    def shown(self, comment: Comment) -> ShownComment:
        """The comment. Where names have changed since its text was prepared, it is rendered here and now."""
        text = (comment.body, comment.mentions)
        html = self.html if text == self.text else self.pages.at_once(text, self.names)
        return _shown(self.team_id, comment, html, self.names)


def _members(view: TeamView) -> dict[UUID, str]:
    return {user_id: member.name for user_id, member in view.state.members.items()}


def _shown(team_id: UUID, comment: Comment, html: str, names: Mapping[UUID, str]) -> ShownComment:
    return ShownComment(
        id=comment.id,
        team_id=team_id,
        task_id=comment.task_id,
        author=Person(comment.author_id, names.get(comment.author_id, DELETED_USER)),
        body=with_names(comment.body, comment.mentions, names),
        html=html,
        mentions=tuple(Person(user_id, names.get(user_id, FORMER_MEMBER)) for user_id in comment.mentions),
        created_at=comment.created_at,
        updated_at=comment.updated_at,
        version=comment.version,
    )
