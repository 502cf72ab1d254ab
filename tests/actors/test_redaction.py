"""Once history is redacted, no team in memory and no snapshot serves what was forgotten."""

from uuid import UUID

import pytest

from actors.system import TeamSystem
from core.ask import Ask
from core.commands import DeleteTask, RedactHistory, RemoveMember
from core.errors import Forbidden
from core.principal import Principal
from core.redaction import DELETED_USER
from tests.support.actor_harness import MEMBER, OWNER, Ports, new_task, new_team, some_turns
from tests.support.asking import by
from tests.support.representations import LISTS
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CANARY = "canary-4711"
SYSTEM = Ask(Principal.of_system(OWNER))


async def redact(system: TeamSystem, team: UUID, *subjects: UUID) -> int:
    view = await system.view(team)
    return (await system.ask(team, RedactHistory(subjects, view.seq), SYSTEM)).seq


async def test_that_history_was_redacted_is_the_teams_next_event() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team, CANARY)
        await system.ask(team, DeleteTask(task), by(OWNER))
        assert await redact(system, team, task) == 6
        row = ports.journal.rows[team][-1]
        assert (row.type, row.seq, row.actor_kind, row.actor_id) == ("history.redacted", 6, "system", OWNER)
        assert row.payload == b'{"subjects":["%s"],"through_seq":5}' % str(task).encode()
        with pytest.raises(Forbidden):
            await system.ask(team, RedactHistory((task,), 6), by(OWNER))


async def test_the_snapshot_is_replaced_at_once_and_ready_answers_are_dropped() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team, CANARY)
        view = await system.view(team)
        view.board(LISTS)
        view.coded[(b"a page", 5)] = (b"a page", b"packed")
        await system.ask(team, DeleteTask(task), by(OWNER))
        assert not ports.snapshots.states
        seq = await redact(system, team, task)
        await until(lambda: team in ports.snapshots.states)
        assert ports.snapshots.states[team].seq == seq
        assert view.coded == {}
        assert CANARY.encode() not in view.board(LISTS)


async def test_another_process_replaces_its_snapshot_when_it_hears_of_it() -> None:
    ports = Ports()
    async with ports.system() as here, ports.system() as there:
        team = await new_team(here)
        await there.view(team)
        task = await new_task(here, team, CANARY)
        await here.ask(team, DeleteTask(task), by(OWNER))
        seq = await redact(here, team, task)
        await until(lambda: team in ports.snapshots.states)
        ports.snapshots.states.clear()
        there.catch_up_to(team, seq)
        await until(lambda: team in ports.snapshots.states)
        assert ports.snapshots.states[team].seq == seq


async def test_a_snapshot_from_before_is_not_used_although_its_digest_fits() -> None:
    """It was on its way while another process redacted, and is of the same history; yet it names who was erased."""
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        await new_task(system, team)
    before = ports.snapshots.states[team]
    assert before.members[MEMBER].name == "Bob"
    async with ports.system() as system:
        await system.ask(team, RemoveMember(MEMBER), by(OWNER))
        await redact(system, team, MEMBER)
        await until(lambda: ports.snapshots.states[team].seq > before.seq)
    ports.snapshots.states[team] = before
    loads = ports.journal.loads
    async with ports.system() as system:
        view = await system.view(team)
        assert ports.journal.loads == loads + 1, "from the tables"
        assert MEMBER not in view.state.members
        await until(lambda: ports.snapshots.states[team].seq > before.seq)


async def test_a_snapshot_from_after_is_used() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        await redact(system, team, MEMBER)
        await some_turns()
        await until(lambda: team in ports.snapshots.states)
    loads = ports.journal.loads
    async with ports.system() as system:
        view = await system.view(team)
        assert ports.journal.loads == loads
        assert view.state.members[MEMBER].name == DELETED_USER
