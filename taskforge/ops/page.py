"""The operators' page: its paths, and what each of them asks of the process."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from http import HTTPMethod
from importlib.resources import files
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from msgspec import Struct

from api.markup import policy
from core.errors import StorageUnavailable
from streams.dead_letters.letters import Wanted, parse_id
from streams.dead_letters.replaying import Judge, Judged, Outcome, count, judged, replay
from streams.kafka.broker import BrokerUnavailable
from taskforge.letters_shown import LetterView
from taskforge.ops import markup
from taskforge.ops.access import Access, Operator, from_the_page
from taskforge.ops.overview import look
from taskforge.parts.failures import GROUPS
from taskforge.parts.process import Process
from taskforge.settings import Settings

__all__ = ["OpsPage", "PageAnswer"]

PATH: Final = "/ops"
CONSUMERS: Final = tuple(group.consumer for group in GROUPS)
SECONDS: Final = 8.0
"""For what a page shows."""
REPLAY_SECONDS: Final = 60.0
"""For a replay; what takes longer is for the command line."""
LONGEST_FORM: Final = 64 * 1024
LETTERS: Final = 200

HTML: Final = "text/html; charset=utf-8"
ASSETS: Final = {
    "/assets/board/board.css": "text/css; charset=utf-8",
    "/assets/board/ops.css": "text/css; charset=utf-8",
    "/assets/board/icon.svg": "image/svg+xml",
}
OK: Final = "200 OK"
UNKNOWN: Final = "401 Unauthorized"
FOREIGN: Final = "403 Forbidden"
NOT_FOUND: Final = "404 Not Found"
NOT_POSSIBLE: Final = "422 Unprocessable Content"
NOT_READY: Final = "503 Service Unavailable"
HEADERS: Final = (
    ("Content-Security-Policy", policy("self")[1].decode()),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)
SIGN_IN: Final = ("WWW-Authenticate", 'Basic realm="TaskForge operators", charset="UTF-8"')

T = TypeVar("T")
Ask = Callable[[Callable[[], Coroutine[Any, Any, Any]], float], Any]
"""Runs a question in the event loop for so many seconds at most; None when there is no answer by then."""


class PageAnswer(Struct, frozen=True):
    """What goes out."""

    status: str
    body: bytes
    kind: str = HTML
    headers: tuple[tuple[str, str], ...] = HEADERS


class _Refused(Exception):
    """The form cannot be meant so. The text is for who sent it."""


class OpsPage:
    """Answers in the listener's threads, as long as a process is shown."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._access, self._view = settings, Access(settings), LetterView(settings)
        self._process: Process | None = None

    @contextmanager
    def showing(self, process: Process) -> Iterator[None]:
        """Show this process until the block ends."""
        self._process = process
        try:
            yield
        finally:
            self._process = None

    def is_at(self, path: str) -> bool:
        """Whether the path is one of the page's."""
        return path == PATH or path.startswith(f"{PATH}/") or path in ASSETS

    def answer(self, environ: Mapping[str, Any], ask: Ask) -> PageAnswer:
        """The page, or why there is none."""
        path, method = str(environ["PATH_INFO"]), environ["REQUEST_METHOD"]
        operator = self._access.operator(environ)
        if operator == "nobody":
            return PageAnswer(NOT_FOUND, b'{"status":"not found"}', "application/json")
        if path in ASSETS:
            return PageAnswer(OK, _asset(path.rpartition("/")[2]), ASSETS[path])
        if operator == "unknown":
            return _said(UNKNOWN, "Sign in with a name of yours and the operators' token.", SIGN_IN)
        if method == HTTPMethod.POST and not from_the_page(environ):
            return _said(FOREIGN, "This form was not sent from this page.")
        try:
            return self._page(path, method, environ, operator, ask)
        except _Refused as error:
            return _said(NOT_POSSIBLE, str(error))
        except (BrokerUnavailable, StorageUnavailable) as error:
            return _said(NOT_READY, self._view.text(f"Not now: {error}"))

    def _page(self, path: str, method: str, environ: Mapping[str, Any], operator: Operator, ask: Ask) -> PageAnswer:
        process = self._process
        if process is None:
            return _said(NOT_READY, "This worker waits for its database, or is about to end.")
        match method, path.removeprefix(PATH).strip("/"):
            case "GET" | "HEAD", "":
                return _html(markup.overview(_in_time(ask(lambda: look(process, SECONDS / 2), SECONDS))))
            case "GET" | "HEAD", "dead-letters":
                wanted = _wanted(_fields(environ.get("QUERY_STRING", "")))
                found = _in_time(ask(lambda: _newest(self._judge(process), wanted), SECONDS))
                return _html(markup.letters(self._view, wanted, found, CONSUMERS, LETTERS))
            case "GET" | "HEAD", letter if letter.startswith("dead-letters/"):
                return self._letter(letter.partition("/")[2], process, ask)
            case "POST", "dry-run" | "replay" as action:
                return self._replay(action, process, _form(environ), operator, ask)
            case _:
                return _said(NOT_FOUND, "There is no such page.")

    def _judge(self, process: Process) -> Judge:
        return Judge(process.pools.worker, self._settings.kafka)

    def _letter(self, letter_id: str, process: Process, ask: Ask) -> PageAnswer:
        wanted = _wanted({"id": [letter_id]})
        found = _in_time(ask(lambda: _newest(self._judge(process), wanted), SECONDS))
        if not found:
            return _said(NOT_FOUND, "There is no such dead letter.")
        return _html(markup.letter(self._view, found[0]))

    def _replay(
        self, action: str, process: Process, fields: Mapping[str, Sequence[str]], operator: Operator, ask: Ask
    ) -> PageAnswer:
        if not fields.get("id") and not fields.get("consumer"):
            raise _Refused("Choose some letters.")
        wanted, judge = _wanted(fields), self._judge(process)
        if action == "dry-run":
            outcome = _in_time(ask(lambda: count(judge, wanted), SECONDS))
            return _html(markup.dry_run(wanted, outcome, operator.name))
        who, why = operator.name or _one(fields, "who"), _one(fields, "why")
        if not who.strip() or not why.strip():
            raise _Refused("Say who you are and why, for the audit.")
        if "\0" in who + why:
            raise _Refused("The audit keeps no NUL.")
        outcome = ask(lambda: replay(judge, wanted, who=who.strip()[:200], why=why.strip()[:500]), REPLAY_SECONDS)
        if outcome is None:
            raise _Refused(
                f"It took longer than {REPLAY_SECONDS:g} seconds and was cut off: what was sent is marked as replayed. "
                "`taskforge dlq replay` takes the time that it needs."
            )
        assert isinstance(outcome, Outcome)
        return _html(markup.replayed(outcome))


async def _newest(judge: Judge, wanted: Wanted) -> Sequence[Judged]:
    """The newest of them, newest first."""
    found: list[Judged] = []
    async with aclosing(judged(judge, wanted)) as slices:
        async for some in slices:
            found = [*found, *some][-LETTERS:]
    return sorted(found, key=lambda one: one.letter.at, reverse=True)


def _in_time(answer: T | None) -> T:
    if answer is None:
        raise BrokerUnavailable("there was no answer in time")
    return answer


def _fields(text: str) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(text, max_num_fields=1_000)
    except ValueError as error:
        raise _Refused("That is too much for one form.") from error


def _form(environ: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    length = environ.get("CONTENT_LENGTH") or "0"
    # `isdigit` has digits of all scripts, and superscripts, of which `int` makes nothing.
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > LONGEST_FORM:
        raise _Refused("That is too much for one form.")
    return _fields(environ["wsgi.input"].read(int(length)).decode("utf-8", "replace"))


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _wanted(fields: Mapping[str, Sequence[str]]) -> Wanted:
    """The letters that a form or a link names: ids, or those of a consumer whose error has some words in it."""
    ids = frozenset(fields.get("id", ()))
    try:
        consumers = tuple(sorted({parse_id(text)[0] for text in ids}))
    except ValueError as error:
        raise _Refused("That is no dead letter.") from error
    consumers = consumers or tuple(name for name in fields.get("consumer", ()) if name) or CONSUMERS
    if not set(consumers) <= set(CONSUMERS):
        raise _Refused("There is no such consumer.")
    return Wanted(consumers=consumers, ids=ids, error=_one(fields, "error") or None, again="again" in fields)


def _html(page: str) -> PageAnswer:
    return PageAnswer(OK, page.encode())


def _said(status: str, text: str, *headers: tuple[str, str]) -> PageAnswer:
    return PageAnswer(status, markup.said(text).encode(), headers=(*HEADERS, *headers))


def _asset(name: str) -> bytes:
    return files("api.pages").joinpath("static", name).read_bytes()
