"""Which mails somebody wants: in their account, and by the link in a mail, without a login."""

from base64 import urlsafe_b64decode
from typing import Any
from uuid import UUID

import httpx
import pytest
import uuid_utils.compat as uuids

from core.notices import NoticeKind
from core.secret import Secret
from db.keyset import Keyset
from db.tokens import shown
from tests.support.desk import Desk, new_key, problem

pytestmark = pytest.mark.anyio

ALL = {"digest": True, "mentions": True, "assignments": True}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
ADDRESS = "/v1/mail/unsubscribe"


async def mails(desk: Desk, person: Any) -> Any:
    return (await desk.client.get("/v1/me", headers=person.headers)).json()["mail"]


def token_of(desk: Desk, person: Any, preference: NoticeKind = "digest.daily") -> str:
    return desk.site.services.unsubscribe_tokens.token(UUID(person.user_id), preference)


async def unsubscribe(desk: Desk, token: str, **options: Any) -> httpx.Response:
    return await desk.client.post(ADDRESS, params={"token": token}, **({"data": ONE_CLICK} | options))


async def test_everything_is_wanted_at_first_and_a_patch_changes_only_what_it_names(desk: Desk) -> None:
    person = await desk.site.person()
    assert await mails(desk, person) == ALL
    for patch, wanted in (
        ({"digest": False}, {**ALL, "digest": False}),
        ({"mentions": False, "digest": False}, {**ALL, "digest": False, "mentions": False}),
        ({}, {**ALL, "digest": False, "mentions": False}),
        ({"digest": True}, {**ALL, "mentions": False}),
    ):
        answer = await desk.client.patch("/v1/me", json={"mail": patch}, headers=person.headers)
        assert (answer.status_code, answer.json()["mail"]) == (200, wanted)
        assert await mails(desk, person) == wanted
    assert await mails(desk, desk["owner"]) == ALL, "nobody else's"


@pytest.mark.parametrize(
    ("mail", "pointer"),
    [
        ({"digest": None}, "/mail/digest"),
        ({"news": True}, "/mail/news"),
        ({"digest": "no"}, "/mail/digest"),
        (None, "/mail"),
    ],
)
async def test_what_is_no_preference_is_refused(desk: Desk, mail: Any, pointer: str) -> None:
    answer = await desk.client.patch("/v1/me", json={"mail": mail}, headers=desk["owner"].headers)
    assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("form", [{}, {"data": None, "files": {"List-Unsubscribe": (None, "One-Click")}}])
async def test_one_click_switches_one_sort_off_without_a_login(desk: Desk, form: Any) -> None:
    person = await desk.site.person()
    answer = await unsubscribe(desk, token_of(desk, person, "comment.mentioned"), **form)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "set-cookie" not in answer.headers
    assert await mails(desk, person) == {**ALL, "mentions": False}
    again = await unsubscribe(desk, token_of(desk, person, "comment.mentioned"))
    assert (again.status_code, again.content) == (200, answer.content), "twice is once"


async def test_to_look_at_the_link_changes_nothing(desk: Desk) -> None:
    person = await desk.site.person()
    token = token_of(desk, person)
    page = await desk.client.get(ADDRESS, params={"token": token})
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert f'action="{ADDRESS}?token={token}"' in page.text
    assert await mails(desk, person) == ALL


async def test_an_idempotency_key_gets_the_same_answer_again_and_no_second_effect(desk: Desk) -> None:
    person, key = await desk.site.person(), {"Idempotency-Key": new_key()}
    token = token_of(desk, person)
    first = await unsubscribe(desk, token, headers=key)
    await desk.client.patch("/v1/me", json={"mail": {"digest": True}}, headers=person.headers)
    second = await unsubscribe(desk, token, headers=key)
    assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
    assert await mails(desk, person) == ALL, "the replay has no effect of its own"


@pytest.mark.parametrize("how", ["changed", "cut", "padded", "another spelling", "another key", "another kind", "text"])
async def test_a_link_that_was_not_made_here_is_refused(desk: Desk, how: str) -> None:
    person = await desk.site.person()
    good = token_of(desk, person, "task.assigned")
    foreign = type(desk.site.services.unsubscribe_tokens)(Keyset([Secret("another key of another installation")]))
    raw = urlsafe_b64decode(good.removeprefix("tfu_") + "==")
    token = {
        "changed": good[:10] + ("A" if good[10] != "A" else "B") + good[11:],
        "cut": good[:-8],
        "padded": good + "=",
        "another spelling": good + "\n",
        "another key": foreign.token(UUID(person.user_id), "task.assigned"),
        "another kind": shown("tfu_", raw.replace(b"task.assigned", b"comment.mentioned")),
        "text": "tfu_é",
    }[how]
    for answer in (await unsubscribe(desk, token), await desk.client.get(ADDRESS, params={"token": token})):
        assert problem(answer, 400, "bad-input")["parameter"] == "token"
    assert await mails(desk, person) == ALL


@pytest.mark.parametrize("query", [{"token": "tfu_half"}, {}, {"token": "x" * 300}])
async def test_somebody_who_follows_a_damaged_link_reads_what_to_do(desk: Desk, query: Any) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await desk.client.get(ADDRESS, params=query, headers=browser)
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "This link is damaged" in page.text
    assert '<a href="/account#mail">' in page.text
    assert "<form" not in page.text
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    program = await desk.client.get(ADDRESS, params=query)
    problem(program, 400, "bad-input")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": {}}, 415),
        ({"data": {"List-Unsubscribe": "Two-Clicks"}}, 400),
        ({"data": {**ONE_CLICK, "more": "1"}}, 400),
        ({"json": ONE_CLICK, "data": None}, 415),
        ({"content": b"", "data": None, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"", "data": None, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400),
    ],
)
async def test_a_form_that_says_anything_else_is_refused(desk: Desk, options: Any, status: int) -> None:
    person = await desk.site.person()
    answer = await unsubscribe(desk, token_of(desk, person), **options)
    assert answer.status_code == status
    assert await mails(desk, person) == ALL


async def test_the_link_of_an_account_that_is_gone_says_the_same(desk: Desk) -> None:
    person = await desk.site.person()
    known = await unsubscribe(desk, token_of(desk, person))
    unknown = await unsubscribe(desk, desk.site.services.unsubscribe_tokens.token(uuids.uuid7(), "digest.daily"))
    assert (unknown.status_code, unknown.content) == (known.status_code, known.content)
