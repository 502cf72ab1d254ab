"""A process that had not heard of a removal or a demotion gave the stored answer of a key to whoever had lost it.

A used key was found by the commit that it took part in, and answered at once; a key that is met says nothing about
whether the state that let its owner ask is still the newest.
"""

import pytest

from core.commands import ChangeRole, CreateTask, RemoveMember
from core.errors import DomainError, Forbidden, NotFound
from core.task import TaskFields
from tests.support.actor_harness import MEMBER, OWNER, Ports, keyed, new_task, new_team, retitle, stored
from tests.support.asking import by

pytestmark = pytest.mark.anyio

TASK = CreateTask(TaskFields(title="t"))


@pytest.mark.parametrize(
    ("losing", "refusal"), [(RemoveMember(MEMBER), NotFound), (ChangeRole(MEMBER, "viewer"), Forbidden)]
)
async def test_the_other_process_decides_anew_before_it_answers_a_used_key(
    losing: RemoveMember | ChangeRole, refusal: type[DomainError]
) -> None:
    ports, ask = Ports(), keyed("k" * 16, principal=MEMBER)
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        first = await other.ask(team, TASK, ask, stored)
        assert (await other.ask(team, TASK, ask, stored)).replayed is not None
        await one.ask(team, losing, by(OWNER))
        with pytest.raises(refusal):
            await other.ask(team, TASK, ask, stored)
        assert other.seq_of(team) == first.seq + 1


async def test_a_key_is_still_replayed_to_its_owner_though_others_write() -> None:
    ports, ask = Ports(), keyed("k" * 16, principal=MEMBER)
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        first = await other.ask(team, TASK, ask, stored)
        for number in range(5):
            await retitle(one, team, task, f"title {number}")
            again = await other.ask(team, TASK, ask, stored)
            assert again.replayed is not None
            assert again.seq == first.seq
        assert len(ports.journal.rows[team]) == first.seq + 5
