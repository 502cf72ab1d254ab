"""From an ask and a command to an answer, whichever edge they came by: nothing here knows a request or a socket."""

from collections.abc import Callable, Iterable
from uuid import UUID

from actors.envelope import CommandResult
from actors.envelope import Render as StoringRender
from api.answers import Answer, Header, about_team, replay
from api.problems import problem_answer
from api.services import Services
from core.ask import Ask
from core.commands import AnyCommand
from core.errors import DomainError
from core.writes import StoredReply

__all__ = ["Changes", "Render"]

Render = Callable[[CommandResult], Answer]
"""Pure: it makes the first answer and the one that is stored for replays, so that both are equal to the byte."""


class Changes:
    """Has teams decide commands. Raises what `TeamSystem.ask` raises; an edge turns that into a problem of its own."""

    def __init__(self, services: Services) -> None:
        self._teams = services.teams
        self._locations = services.locations

    async def make(self, ask: Ask, team_id: UUID, command: AnyCommand, render: Render) -> Answer:
        """Have the command decided and committed: a new answer, or the stored one of the ask's key."""
        result = await self._teams.ask(team_id, command, ask, None if ask.key is None else _storing(render))
        return render(result) if result.replayed is None else replay(result.replayed)

    async def preview(self, ask: Ask, team_id: UUID, command: AnyCommand, render: Render) -> Answer:
        """The answer that `make` would give now; nothing is written or stored."""
        return render(await self._teams.preview(team_id, command, ask))

    def headers(
        self, team_id: UUID, result: CommandResult, more: Iterable[Header] = (), *, seq: int | None = None
    ) -> tuple[Header, ...]:
        """What every answer to a change carries; `seq` is another one than the result's where nothing was made."""
        if result.overfull:
            columns = b", ".join(b'wip-limit;column="%s"' % str(column_id).encode() for column_id in result.overfull)
            more = (*more, (b"taskforge-warning", columns))
        return about_team(self._locations.name(team_id), result.seq if seq is None else seq, result.epoch, more)


def _storing(render: Render) -> StoringRender:
    """The reply to store: refusals of the team's are kept as the problems that they are answered with."""

    def stored(answer: CommandResult | DomainError) -> StoredReply:
        if isinstance(answer, DomainError):
            return problem_answer(answer).stored(0)
        return render(answer).stored(answer.seq)

    return stored
