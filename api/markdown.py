"""Markdown of people's, as HTML that is safe to put into a page: rendered without raw HTML, then sanitised once more.

CommonMark with tables and strikethrough; a new line is a line break, and a bare address is a link. Links lead to the
web or to a mail address and nowhere else; pictures are shown as links, because a picture from elsewhere tells its host
who reads. Whatever the renderer makes, `nh3` lets through only what is on the lists below.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from functools import partial
from html import escape
from typing import Any, Final
from uuid import UUID

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from api.bare_links import link_addresses
from core.mentions import FORMER_MEMBER, MENTION
from core.text import drop_forbidden

__all__ = ["MarkdownPages", "Text", "render"]

Text = tuple[str, tuple[UUID, ...]]
"""A text as it is stored, and who is mentioned in it."""

AT_ONCE: Final = 2_000
"""Characters that are rendered on the event loop: a millisecond, and some twenty of the worst ones."""
MARKS: Final = 8_000
"""With more characters that mean something to Markdown a text is shown as it was written: what rendering takes grows
with them, and this is a tenth of a second. A text of 64 KiB has some 3,000."""
NESTED: Final = 20
"""Quotes and lists within each other; what is deeper is left out."""
KEPT_BYTES: Final = 16 * 2**20
"""Of texts and their HTML, least recently used first to go."""

# All at which the parser stops, whether or not they mean something: so many steps it takes, and each looks around.
_MARK: Final = re.compile(r"[\[\]()*_~`<>&|#!\\+\n$%:=@^{}-]")
_SAFE_LINK: Final = re.compile(r"(?:https?|mailto):", re.IGNORECASE)

_HEADINGS: Final = {"h1", "h2", "h3", "h4", "h5", "h6"}
_TABLES: Final = {"table", "thead", "tbody", "tr", "th", "td"}
_LISTS: Final = {"ol", "ul", "li"}
_BLOCKS: Final = {"blockquote", "hr", "p", "pre"}
_INLINE: Final = {"a", "br", "code", "em", "s", "span", "strong"}
_TAGS: Final = _HEADINGS | _TABLES | _LISTS | _BLOCKS | _INLINE
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}, "span": {"data-user"}}
_CLASSES: Final = {"span": {"mention"}}


def render(body: str, mentions: Collection[UUID], names: Mapping[UUID, str]) -> str:
    """The HTML of a text in which `<@user-id>` stands for each of the mentions, whose names are in `names`."""
    if len(_MARK.findall(body)) > MARKS:
        return f"<pre>{escape(_named(body, mentions, names))}</pre>"
    rendered = _markdown.render(body, {"mentions": mentions, "names": names})
    safe = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    safe, _ = drop_forbidden(safe, lines=True)  # What may not be written as a character may not be as an entity either.
    return _WRITTEN.sub(lambda found: _in_code(found, mentions, names), safe)


def _name(user_id: UUID, names: Mapping[UUID, str]) -> str:
    return "@" + names.get(user_id, FORMER_MEMBER)


def _named(body: str, mentions: Collection[UUID], names: Mapping[UUID, str]) -> str:
    return MENTION.sub(lambda found: _name(UUID(found[1]), names) if UUID(found[1]) in mentions else found[0], body)


# Where a mention is no markup (in code, in the title of a link) its name stands as text.
_WRITTEN: Final = re.compile(MENTION.pattern.replace("<", "(?:<|&lt;)").replace(">", "(?:>|&gt;)"))


def _in_code(found: re.Match[str], mentions: Collection[UUID], names: Mapping[UUID, str]) -> str:
    user_id = UUID(found[1])
    return escape(_name(user_id, names)) if user_id in mentions else found[0]


def _mention(state: StateInline, silent: bool) -> bool:
    """A rule of the parser's: `<@user-id>` of somebody who is mentioned."""
    found = MENTION.match(state.src, state.pos)
    if found is None or UUID(found[1]) not in state.env["mentions"]:
        return False
    if not silent:
        token = state.push("mention", "", 0)
        token.content = found[1]
    state.pos = found.end()
    return True


def _shown_mention(
    _: RendererHTML, tokens: Sequence[Token], index: int, __: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    user_id = UUID(tokens[index].content)
    return f'<span class="mention" data-user="{user_id}">{escape(_name(user_id, env["names"]))}</span>'


def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True, "maxNesting": NESTED})
    markdown.enable(["table", "strikethrough"]).disable("image")
    markdown.validateLink = lambda url: _SAFE_LINK.match(url) is not None  # type: ignore[method-assign]
    markdown.inline.ruler.before("autolink", "mention", _mention)
    markdown.add_render_rule("mention", _shown_mention)
    markdown.core.ruler.push("addresses", link_addresses)
    return markdown


_markdown: Final = _renderer()


class MarkdownPages:
    """Renders texts and keeps what it made. Long ones take turns in a thread, so that others have theirs."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept: OrderedDict[_Key, str] = OrderedDict()
        self._room = kept_bytes
        self._turn = asyncio.Lock()

    def at_once(self, text: Text, names: Mapping[UUID, str]) -> str:
        """The HTML of a text, rendered here and now unless it is known."""
        key = _key(text, names)
        found = self._kept.get(key)
        if found is None:
            return self._keep(key, render(*text, names))
        self._kept.move_to_end(key)
        return found

    async def rendered(self, texts: Sequence[Text], names: Mapping[UUID, str]) -> list[str]:
        """The HTML of each of the texts, however long they are, without holding the event loop."""
        new = [len(text[0]) for text in texts if _key(text, names) not in self._kept]
        if sum(new) <= AT_ONCE:
            return [self.at_once(text, names) for text in texts]
        return [await self._beside(text, names) for text in texts]

    async def _beside(self, text: Text, names: Mapping[UUID, str]) -> str:
        """In a thread, one text after the other, whoever asks; what was begun is kept, whether or not anybody waits."""
        key = _key(text, names)
        async with self._turn:
            if key in self._kept:
                return self.at_once(text, names)
            rendering = asyncio.get_running_loop().run_in_executor(None, render, *text, names)
            rendering.add_done_callback(partial(self._keep_done, key))
            return await asyncio.shield(rendering)

    def _keep_done(self, key: "_Key", rendering: "asyncio.Future[str]") -> None:
        if not rendering.cancelled() and rendering.exception() is None:
            self._keep(key, rendering.result())

    def _keep(self, key: "_Key", html: str) -> str:
        if key not in self._kept:
            self._kept[key] = html
            self._room -= _weight(key, html)
        while self._room < 0:
            self._room += _weight(*self._kept.popitem(last=False))
        return html


_Key = tuple[str, tuple[str, ...]]


def _key(text: Text, names: Mapping[UUID, str]) -> _Key:
    """All that the HTML is made of: a name that changes makes another one."""
    body, mentions = text
    return body, tuple(f"{user_id} {_name(user_id, names)}" for user_id in mentions)


def _weight(key: _Key, html: str) -> int:
    return len(key[0]) + len(html)
