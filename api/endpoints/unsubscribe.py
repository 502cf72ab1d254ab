"""`/v1/mail/unsubscribe`: no more mails of one kind, by the link in one, without a login and without a cookie.

RFC 8058: a mailbox posts `List-Unsubscribe=One-Click` to the address in the header `List-Unsubscribe`. A person opens
the same address, and finds a page with one button that does the same.
"""

import html
from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl

from blacksheep import Content, Request, Response, Router
from msgspec import Meta, Struct, field

from api import accept, paths
from api.answers import NO_STORE, Answer, Header, replay
from api.asks import anonymous_ask
from api.binding import query_of
from api.calls import Call, call_of
from api.markup import HTML, HTML_UTF8, document, policy
from api.openapi import Operation, Parameter, Reply
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.problems import UnsupportedMedia, status_of
from api.services import Services
from core.errors import BadInput
from core.notices import KINDS, NoticeKind
from core.rights import ANYBODY
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.notices.preferences import choose_in
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
ONE_CLICK: Final = [("List-Unsubscribe", "One-Click")]
NO_REFERRER: Final[Header] = (b"referrer-policy", b"no-referrer")
"""The address has the token in it, and the page a link."""

Token = Annotated[str, Meta(min_length=1, max_length=200, description="From the link in the mail.")]


class Unsubscribing(Struct, frozen=True):
    """The query of both."""

    token: Token


class OneClick(Struct, frozen=True):
    """The form, as RFC 8058 has it."""

    list_unsubscribe: Literal["One-Click"] = field(name="List-Unsubscribe")


_TOKEN: Final = Parameter(
    name="token",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    description="From the link in the mail.",
    required=True,
    example="tfu_…",
)

_PAGE: Final = "<!doctype html><html lang=en>…</html>"

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.UNSUBSCRIBE,
        id="showUnsubscribe",
        summary="A page with a button that switches off the mails of one kind",
        tag="Mail",
        description="It changes nothing, so that a program that only looks at links does no harm.",
        replies={
            200: Reply(
                description="The page.", body=str, media_type="text/html", headers=("Cache-Control",), example=_PAGE
            )
        },
        parameters=(_TOKEN,),
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="POST",
        path=paths.UNSUBSCRIBE,
        id="unsubscribe",
        summary="No more mails of one kind",
        tag="Mail",
        description=(
            "For the address in the header `List-Unsubscribe` of a mail (RFC 8058). The account switches them on again "
            "by `PATCH /v1/me/notification-preferences`."
        ),
        replies={
            200: Reply(
                description="A page that says so.",
                body=str,
                media_type="text/html",
                headers=("Cache-Control",),
                example=_PAGE,
            )
        },
        parameters=(_TOKEN,),
        body=OneClick,
        body_media_types=FORMS,
        body_example={"List-Unsubscribe": "One-Click"},
        secured=False,
        keyed=True,
        requires=ANYBODY,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    unsubscribing = _Unsubscribing(services)
    router.add_get(pattern(paths.UNSUBSCRIBE), unsubscribing.page)
    router.add_post(pattern(paths.UNSUBSCRIBE), unsubscribing.unsubscribe)


class _Unsubscribing:
    def __init__(self, services: Services) -> None:
        self._pool, self._sealed = services.pools.api, services.sealed
        self._tokens = services.unsubscribe_tokens

    async def page(self, request: Request) -> Response:
        """The page with the button. Raises BadInput for a bad token, which somebody who reads pages is told on one."""
        try:
            token = query_of(request, Unsubscribing).token
            _, kind = self._tokens.read(token)
        except BadInput as error:
            if not accept.names(call_of(request).headers.get(b"accept", b""), HTML):
                raise
            return _page(status_of(error), _damaged())
        return _page(200, _question(token, kind), policy("self"))

    async def unsubscribe(self, request: Request) -> Response:
        """200 whether the mails were on, or the account is still there. Raises BadInput for a bad token or form."""
        call = call_of(request)
        refuse_if_match(call)
        token = query_of(request, Unsubscribing).token
        user_id, kind = self._tokens.read(token)
        await _check_form(call)
        ask = await anonymous_ask(call, token, self._sealed)

        async def run(tx: Writing) -> StoredReply:
            await choose_in(tx, user_id, {(kind, "mail"): False})
            headers = (NO_STORE, NO_REFERRER, policy())
            return Answer(200, _done(kind).encode(), headers, HTML_UTF8).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id)
        return replay(ran.reply, replayed=ran.replayed).response()


async def _check_form(call: Call) -> None:
    """Raise UnsupportedMedia, or BadInput when the form says anything but what RFC 8058 has it say."""
    declared = call.headers.get(b"content-type", b"")
    kind = declared.split(b";", 1)[0].strip().lower().decode("latin-1")
    if kind not in FORMS:
        raise UnsupportedMedia(*FORMS)
    body = await call.body()
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True) if kind == FORMS[0] else _parts(declared, body)
    if pairs != ONE_CLICK:
        raise BadInput("The form says List-Unsubscribe=One-Click, and nothing else.", pointer="/List-Unsubscribe")


def _parts(declared: bytes, body: bytes) -> list[tuple[str, str]]:
    """The fields of a form of parts (RFC 7578), as far as they are text."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + declared + b"\r\n\r\n" + body)
    return [
        (str(part.get_param("name", "", "content-disposition")), str(part.get_payload()).strip())
        for part in message.walk()
        if not part.is_multipart()
    ]


def _page(status: int, written: str, allowed: Header | None = None) -> Response:
    headers = [NO_STORE, NO_REFERRER, policy() if allowed is None else allowed]
    return Response(status, headers, Content(HTML_UTF8, written.encode()))


def _damaged() -> str:
    return document(
        "This link is damaged",
        '<div class="letter"><p role="alert">This is not the whole link of a mail, so nothing was switched off.</p>'
        "<p>Copy it once more from the foot of the mail, to its last letter, or choose what you are told in "
        '<a href="/account#mail">your account</a>.</p></div>',
    )


def _question(token: str, kind: NoticeKind) -> str:
    return document(
        "Fewer mails",
        f'<form method="post" action="{paths.UNSUBSCRIBE}?token={html.escape(token)}" class="letter">'
        '<input type="hidden" name="List-Unsubscribe" value="One-Click">'
        f"<p>Do you want to stop getting mails {KINDS[kind].about}?</p>"
        '<p><button type="submit" class="primary">Unsubscribe</button></p></form>',
    )


def _done(kind: NoticeKind) -> str:
    return document(
        "Fewer mails",
        '<div class="letter"><p role="status">Done: you no longer get '
        f'mails {KINDS[kind].about}.</p><p>You can change that in <a href="/account#mail">your account</a>.</p></div>',
    )
