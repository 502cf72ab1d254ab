"""Links between tasks: against a search that knows nothing of bounds, over random graphs and batches."""

import itertools
import random
from contextlib import nullcontext
from uuid import UUID

import pytest

from core.circles import LINKS, Circles
from core.commands import ArchiveTask, Asking, Batch, RestoreTask, UpdateTask
from core.decide import decide
from core.errors import Conflict, InvalidReference, QuotaReached
from core.principal import Principal
from core.task import TaskPatch
from tests.support.core_team import OWNER, CoreTeam

TASKS = [UUID(int=number) for number in range(1, 15)]
Graph = dict[UUID, set[UUID]]


def reaches(graph: Graph, start: UUID, goal: UUID) -> bool:
    waiting, seen = [start], set[UUID]()
    while waiting:
        task_id = waiting.pop()
        if task_id == goal:
            return True
        if task_id not in seen:
            seen.add(task_id)
            waiting += graph[task_id]
    return False


@pytest.mark.parametrize("seed", range(20))
def test_random_links_close_a_circle_exactly_when_a_plain_search_says_so(seed: int) -> None:
    dice = random.Random(seed)
    found = {True: 0, False: 0}
    for _ in range(20):
        graph: Graph = {task_id: set() for task_id in TASKS}
        circles = Circles("/blocked_by")
        for _ in range(60):
            goal, start = dice.choice(TASKS), dice.sample(TASKS, dice.randint(1, 3))
            if graph[goal] and dice.random() < 0.2:
                graph[goal].pop()
            expected = any(reaches(graph, other, goal) for other in start)
            assert circles.closes(goal, start, graph.__getitem__) == expected
            found[expected] += 1
            if expected:
                circles = Circles("/blocked_by")  # The command is refused, and the next one knows nothing.
            else:
                graph[goal] |= set(start)
    assert min(found.values()) > 100


def test_a_graph_is_walked_once_for_all_operations_of_a_command() -> None:
    chain = [UUID(int=number) for number in range(1, 10_001)]
    graph = {one: (next_,) for one, next_ in itertools.pairwise(chain)}
    walked: list[UUID] = []

    def links(task_id: UUID) -> tuple[UUID, ...]:
        walked.append(task_id)
        return graph.get(task_id, ())

    circles = Circles("/blocked_by")
    for number in range(100):
        assert not circles.closes(UUID(int=20_000 + number), [chain[0]], links)
    assert len(walked) == len(chain)
    assert circles.closes(chain[-1], [chain[0]], links)


def update(task_id: UUID, *blockers: UUID) -> UpdateTask:
    return UpdateTask(task_id=task_id, patch=TaskPatch(blocked_by=blockers))


def layers(team: CoreTeam, depth: int, width: int) -> list[list[UUID]]:
    """Tasks in layers, each blocked by all of the layer before."""
    ids = [[team.task(f"{layer}.{number}").id for number in range(width)] for layer in range(depth)]
    for before, after in itertools.pairwise(ids):
        team.ask(Batch(tuple(update(task_id, *before) for task_id in after)))
    return ids


def test_a_batch_over_a_tangled_board_is_refused_soon_with_its_operation_named() -> None:
    """Thirty operations over 60 layers of 50 tasks held the event loop for eight seconds."""
    team = CoreTeam()
    top = layers(team, 14, 50)[-1]
    further = team.task("Further")
    with pytest.raises(QuotaReached) as refused:
        team.ask(Batch((update(further.id, *top),)))
    assert (refused.value.quota, refused.value.limit) == ("links-per-command", LINKS)
    assert refused.value.pointer == "/operations/0/blocked_by"
    below = layers(team, 10, 50)[-1]
    many = [team.task("One of many").id for _ in range(100)]
    team.ask(Batch(tuple(update(task_id, *below) for task_id in many)))


def test_links_that_stand_are_not_followed_again() -> None:
    team = CoreTeam()
    a, b, c, d = (team.task(name) for name in "ABCD")
    team.ask(update(a.id, d.id))
    team.ask(update(b.id, a.id))
    for command, refused in ((update(b.id, a.id, c.id), False), (update(c.id, a.id), True)):
        none_left = Circles("/blocked_by", links=0)
        asking = Asking(Principal.of_user(OWNER), team.now, team.new_id, blockers=none_left)
        with pytest.raises(QuotaReached) if refused else nullcontext():
            decide(team.state.fork(), command, asking)


def test_a_batch_sees_the_circle_that_its_own_operations_close() -> None:
    team = CoreTeam()
    a, b, c, d = (team.task(name) for name in "ABCD")
    team.ask(update(c.id, b.id))
    team.ask(ArchiveTask(c.id))
    operations = update(d.id, a.id), update(b.id, d.id), update(a.id, c.id)
    with pytest.raises(InvalidReference) as unknown:
        team.ask(Batch(operations))
    assert unknown.value.pointer == "/operations/2/blocked_by/0"
    with pytest.raises(Conflict) as refused:
        team.ask(Batch((RestoreTask(c.id), *operations)))
    assert (refused.value.reason, refused.value.pointer) == ("cycle", "/operations/3/blocked_by")
