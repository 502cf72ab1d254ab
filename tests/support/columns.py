"""Columns as tests speak of them: by category, where a team has one of each."""

from core.columns import Category, default_columns
from core.commands import AnyCommand, UpdateColumn, UpdateTeam
from core.ranking import Place
from core.task import Task
from core.team import TeamState

__all__ = ["default_columns", "limited", "placed", "places_of", "tasks_of"]


def places_of(state: TeamState, category: Category) -> list[Place]:
    """The places in the first column of a category."""
    return state.places_in(state.firsts[category].id)


def tasks_of(state: TeamState, category: Category) -> list[Task]:
    """The tasks in the first column of a category, from top to bottom."""
    return state.ordered(state.firsts[category].id)


def placed(state: TeamState) -> dict[str, list[Place]]:
    """The places by column, without columns in which no task stands."""
    return {str(column_id): places for column_id, places in state.places.items() if places}


def limited(state: TeamState, **limits: int) -> tuple[AnyCommand, ...]:
    """What gives the first columns of categories limits, and has them enforced."""
    columns = {category: column.id for category, column in state.firsts.items()}
    given = (UpdateColumn(column_id=columns[name], wip_limit=limit) for name, limit in limits.items())  # type: ignore[index]
    return (UpdateTeam(wip="block"), *given)
