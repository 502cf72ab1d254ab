"""Whoever has an account may want no invitations by mail; anybody else is asked nothing."""

from uuid import UUID

import pytest

from db.transaction import reading, writing
from streams.mail.letters import Letters, MailJob
from streams.mail.messages import Letter
from tests.api.test_invitations import keyset
from tests.support.desk import Desk

pytestmark = pytest.mark.anyio


async def invited(desk: Desk, email: str) -> Letter | None:
    """The mail of a new invitation, as it would leave; the invitation is revoked afterwards."""
    path = f"/v1/teams/{desk.team}/invitations"
    answer = await desk.client.post(path, json={"role": "member", "email": email}, headers=desk["owner"].headers)
    assert answer.status_code == 201, answer.text
    invitation_id, worker = answer.json()["id"], desk.site.services.pools.worker
    async with reading(worker, None) as tx:
        job_id = await tx.fetchval("select id from outbox where key = $1", invitation_id)
        letters = Letters(keyset(desk.site), "https://tasks.example")
        letter = await letters.letter(tx, MailJob(job_id, "invitation", UUID(invitation_id)))
    (await desk.client.delete(f"{path}/{invitation_id}", headers=desk["owner"].headers)).raise_for_status()
    return letter


async def test_an_invitation_can_be_switched_off_by_whose_address_it_is(desk: Desk) -> None:
    person = await desk.site.person()
    user_id = UUID(person.user_id)
    email = (await desk.client.get("/v1/me", headers=person.headers)).json()["email"]
    unproven = await invited(desk, email)
    assert unproven is not None
    assert unproven.unsubscribe == "", "it may be another's address"
    assert unproven.facts["role"] == "a member"
    async with writing(desk.site.services.pools.api, user_id) as tx:
        await desk.site.services.identity.verify_email_in(tx, user_id, None)
    wanted = await invited(desk, email.upper())
    assert wanted is not None
    assert wanted.about == "when somebody invites you to a team"
    token = wanted.unsubscribe.partition("=")[2]
    assert desk.site.services.unsubscribe_tokens.read(token) == (user_id, "team.invited")
    answer = await desk.client.post(
        wanted.unsubscribe.removeprefix("https://tasks.example"), data={"List-Unsubscribe": "One-Click"}
    )
    assert answer.status_code == 200
    assert await invited(desk, email) is None
    stranger = await invited(desk, "somebody@elsewhere.example")
    assert stranger is not None
    assert stranger.unsubscribe == ""
