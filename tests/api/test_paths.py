"""One table of paths: what the router reads and what links say are made from it."""

from uuid import UUID

from api import paths
from api.paths import link, pattern

SOME, OTHER = UUID(int=1), UUID(int=2)


def test_a_pattern_says_the_kinds_of_its_parameters() -> None:
    assert pattern(paths.TASKS) == "/v1/tasks"
    assert pattern(paths.TEAM_MEMBER) == "/v1/teams/{uuid:team_id}/members/{uuid:user_id}"
    assert pattern(paths.TEAM_TASK_BY_NUMBER) == "/v1/teams/{uuid:team_id}/tasks/by-number/{int:number}"
    assert pattern("/problems/{code}") == "/problems/{code}"


def test_a_link_has_the_ids_in_the_places_of_the_parameters() -> None:
    assert link(paths.ME) == b"/v1/me"
    assert link(paths.TEAM_LABEL, SOME, OTHER) == f"/v1/teams/{SOME}/labels/{OTHER}".encode()
