"""What is made of people's Markdown: what may be there, nothing else, and in time."""

import asyncio
import time
from collections.abc import Sequence
from html.parser import HTMLParser
from threading import get_ident
from typing import Any
from uuid import UUID

import anyio
import pytest

from api.markdown import AT_ONCE, MARKS, MarkdownPages, render
from core.comment import COMMENT_BYTES
from core.mentions import resolve
from tests.support.waiting import until
from tests.support.xss_vectors import CLASSES, VECTORS

ADA, EVE, BOB = UUID(int=1), UUID(int=2), UUID(int=3)
EVIL = "<img src=x onerror=pwned()>"
NAMES = {ADA: "Ada", EVE: EVIL, BOB: "Bob <b>"}
PLAIN = (
    *("blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "pre", "s", "strong"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
)
ALLOWED = {
    **dict.fromkeys(PLAIN, frozenset[str]()),
    "a": frozenset({"href", "title", "rel"}),
    "ol": frozenset({"start"}),
    "span": frozenset({"class", "data-user"}),
}


class Checking(HTMLParser):
    """Fails on every tag and attribute that is not allowed, and on links to anywhere but the web and mail."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        values = dict(attrs)
        assert values.keys() <= ALLOWED[tag]
        if tag == "a":
            assert (values.get("href") or "https://").lower().startswith(("https://", "http://", "mailto:"))
            assert values["rel"] == "nofollow noopener noreferrer"
        if tag == "span" and "class" in values:
            assert values["class"] == "mention"

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment of HTML: {data}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data}")


def check(html: str) -> None:
    parser = Checking(convert_charrefs=True)
    parser.feed(html)
    parser.close()


def shown(written: str) -> str:
    stored, mentions = resolve(written, NAMES)
    return render(stored, mentions, NAMES)


def test_there_are_enough_vectors_and_each_once() -> None:
    assert len(VECTORS) == len(set(VECTORS)) >= 200
    assert all(CLASSES.values())


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_but_what_is_allowed_gets_through(name: str) -> None:
    for vector in CLASSES[name]:
        check(shown(vector.replace("{name}", EVIL)))


def test_the_check_sees_what_must_not_be_there() -> None:
    for html in (EVIL, "<script>", "<a href=javascript:x rel='nofollow noopener noreferrer'>", "<p onclick=x>"):
        with pytest.raises(AssertionError):
            check(html)


def test_all_vectors_at_once_are_as_harmless() -> None:
    together = "\n\n".join(VECTORS)
    for start in range(0, len(together), 3_000):
        check(shown(together[start : start + 9_000]))


@pytest.mark.parametrize(
    ("written", "html"),
    [
        ("**b** *e* ~~s~~ `c`", "<p><strong>b</strong> <em>e</em> <s>s</s> <code>c</code></p>\n"),
        ("a\nb  \nc", "<p>a<br>\nb<br>\nc</p>\n"),
        ("2. two", '<ol start="2">\n<li>two</li>\n</ol>\n'),
        ("# one\n- a\n- b", "<h1>one</h1>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("```python\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>\n"),
        (
            '[a](https://x.example "t")',
            '<p><a href="https://x.example" title="t" rel="nofollow noopener noreferrer">a</a></p>\n',
        ),
        ("![p](https://x.example)", '<p>!<a href="https://x.example" rel="nofollow noopener noreferrer">p</a></p>\n'),
        ("[a](/settings)", "<p>[a](/settings)</p>\n"),
        ("1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>\n"),
    ],
)
def test_markdown_is_shown_as_it_is_meant(written: str, html: str) -> None:
    assert shown(written) == html


REL = 'rel="nofollow noopener noreferrer"'


@pytest.mark.parametrize(
    ("written", "address", "href"),
    [
        ("see https://x.example/a_b_c?d=1&e=2#f now", "https://x.example/a_b_c?d=1&amp;e=2#f", None),
        ("HTTP://X.example/", "HTTP://X.example/", None),
        ("www.x.example/a", "www.x.example/a", "http://www.x.example/a"),
        ("write to ada.l+x@mail.x.example!", "ada.l+x@mail.x.example", "mailto:ada.l+x@mail.x.example"),
        ("(at https://x.example/a).", "https://x.example/a", None),
        ("https://x.example/Shed_(red), then", "https://x.example/Shed_(red)", None),
        ("**https://x.example**", "https://x.example", None),
        ("看https://x.example。", "https://x.example", None),
        ("<https://x.example>", "https://x.example", None),
        ("[https://x.example](https://y.example)", "https://x.example", "https://y.example"),
    ],
)
def test_a_bare_address_is_a_link_and_the_sentence_around_it_is_not(written: str, address: str, href: str) -> None:
    html = shown(written)
    check(html)
    assert f">{address}</a>" in html
    assert html.count("<a ") == 1
    if href is not None:
        assert f'<a href="{href}" {REL}>' in html


@pytest.mark.parametrize(
    "written",
    [
        "`https://x.example`",
        "    https://x.example",
        "javascript://x.example",
        "https://",
        "http:// x",
        "www.",
        "www.x",
        "a@b",
        "ftp://x.example",
        "xhttps//x",
        "data:text/html,www",
    ],
)
def test_what_is_no_address_or_code_stays_text(written: str) -> None:
    assert "<a " not in shown(written)


def test_a_mention_beside_an_address_is_a_mention() -> None:
    html = shown("@Ada https://x.example/@Ada")
    assert html.count('class="mention"') >= 1
    assert '<a href="https://x.example' in html


def test_tables_are_tables() -> None:
    assert "<td>1</td>" in shown("|a|\n|-|\n|1|")


def test_a_mention_is_a_mention_wherever_it_stands() -> None:
    ada = f'<span class="mention" data-user="{ADA}">@Ada</span>'
    assert shown("**@Ada** [@Ada](https://x.example)").count(ada) == 2
    assert shown("`@Bob <b>`") == "<p><code>@Bob &lt;b&gt;</code></p>\n"
    assert 'title="@Bob &lt;b&gt;"' in shown('[a](https://x.example "@Bob <b>")')


def test_an_id_that_is_no_mention_is_text() -> None:
    assert render(f"<@{ADA}>", (), NAMES) == f"<p>&lt;@{ADA}&gt;</p>\n"


def test_a_name_that_changes_is_shown_at_once() -> None:
    pages = MarkdownPages()
    stored, mentions = resolve("@Ada", NAMES)
    assert ">@Ada<" in pages.at_once((stored, mentions), NAMES)
    assert ">@Countess<" in pages.at_once((stored, mentions), {**NAMES, ADA: "Countess"})
    assert ">@Former member<" in pages.at_once((stored, mentions), {})


HOSTILE = {
    "brackets": "[",
    "pictures": "![",
    "links": "[a](",
    "references": "[a][",
    "quotes": "> ",
    "quote lines": "> a\n",
    "lists": "- a\n",
    "ordered": "1. a\n",
    "emphasis": "*_",
    "strong": "**a _b ",
    "backticks": "`a",
    "angles": "<",
    "entities": "&",
    "table rows": "a|b\n",
    "headings": "# a\n",
    "strikes": "~~a ",
    "closing": "](",
    "titles": '[a](b "',
    "backslashes": "\\",
    "words": "word ",
    "addresses": "https://x.example/a ",
    "one address": "https://x.example/",
    "bare schemes": "http://",
    "www": "www.",
    "mail": "a@b.",
    "mail addresses": "a@b.cd ",
    "ats": "a@",
    "closed brackets": "https://x.example/)))",
    "dollars": "$",
    "stops": "%=^{}@$:",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_rendered_in_bounded_time(name: str) -> None:
    """Of each the longest that is a comment, and the longest that is still taken for Markdown."""
    piece = HOSTILE[name]
    marks = sum(not (character.isalnum() or character in ' "|') for character in piece) or 1
    for length in (COMMENT_BYTES, min(COMMENT_BYTES, MARKS // marks * len(piece))):
        text = ("|a|b|\n|-|-|\n" if name == "table rows" else "") + (piece * length)[: length - 20]
        began = time.process_time()
        check(render(text, (), {}))
        assert time.process_time() - began < 1.5, "a tenth of that is usual"


def test_deep_nesting_is_cut_off() -> None:
    for deep in (">" * 5_000 + " a", "".join(" " * (2 * depth) + "- a\n" for depth in range(150))):
        check(render(deep, (), {}))


@pytest.mark.anyio
async def test_long_texts_are_rendered_beside_the_event_loop_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pages, threads = MarkdownPages(), list[int]()

    def noted(body: str, *_: object) -> str:
        threads.append(get_ident())
        return f"<p>{len(body)}</p>"

    monkeypatch.setattr("api.markdown.render", noted)
    texts = [(f"{number} " * AT_ONCE, ()) for number in range(3)]
    assert await pages.rendered(texts, {}) == ["<p>4000</p>"] * 3
    assert len(threads) == 3
    assert get_ident() not in threads
    await pages.rendered([*texts, ("short", ())], {})
    assert threads[3:] == [get_ident()], "what is kept is not rendered again, and what is short not elsewhere"


@pytest.mark.anyio
async def test_many_short_texts_are_a_long_one() -> None:
    pages, ticks = MarkdownPages(), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await pages.rendered([("*a* [b](" * 200 + str(number), ()) for number in range(50)], {})
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    assert ticks > 50, "others have their turn at least after each of them"


@pytest.mark.anyio
async def test_what_is_kept_has_a_bound_and_a_page_may_be_larger() -> None:
    pages = MarkdownPages(kept_bytes=10_000)
    texts = [(f"{number} " * 1_000, ()) for number in range(5)]
    htmls = await pages.rendered(texts, {})
    assert [html[:4] for html in htmls] == [f"<p>{number}" for number in range(5)]
    assert pages.at_once(texts[4], {}) is htmls[4]
    assert pages.at_once(texts[0], {}) is not htmls[0]


@pytest.mark.parametrize("entity", ["&#x202e;", "&#8294;", "&#x7;", "&#xfffe;", "&#x202E;"])
def test_an_entity_is_no_way_around_what_text_may_not_hold(entity: str) -> None:
    for body in (f"{entity}txt.exe", f"[{entity}a](https://example.com 'b{entity}')", f"`a`{entity}"):
        html = render(body, (), {})
        assert not set(html) & {"\u202e", "\u2066", "\x07", "\ufffe"}, html


def test_brackets_before_many_other_stops_are_no_way_around_the_bound() -> None:
    began = time.process_time()
    check(render("[" * (MARKS - 10) + "$" * 57_000, (), {}))
    assert time.process_time() - began < 0.3, "a hundredth of that is usual; it was ten times as much"


@pytest.mark.anyio
async def test_what_was_begun_is_kept_although_nobody_waits_any_more() -> None:
    pages, long = MarkdownPages(), ("a *b* " * 3_000, ())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pages.rendered([long], {})
    await until(lambda: bool(pages._kept))
    assert "<em>b</em>" in pages.at_once(long, {})


@pytest.mark.anyio
async def test_a_short_text_waits_for_one_long_text_and_not_for_a_page_of_them() -> None:
    pages, done = MarkdownPages(), list[str]()

    async def ask(name: str, texts: Sequence[Any]) -> None:
        await pages.rendered(texts, {})
        done.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "page", [(f"{number} *b* " * 2_000, ()) for number in range(20)])
        await asyncio.sleep(0)
        group.start_soon(ask, "short", [("c *d* " * 400, ())])
    assert done == ["short", "page"]
