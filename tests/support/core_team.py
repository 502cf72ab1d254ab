"""One team under test: a clock and ids that count, a state that moves only by decide, evolve and merge."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.codec import Encoded, encode
from core.commands import (
    AddMember,
    AnyCommand,
    Asking,
    CreateLabel,
    CreateTask,
    CreateTeam,
)
from core.decide import decide
from core.events import AnyEvent, TaskArchived, TaskDeleted, TaskEvent
from core.needs import needs
from core.permissions import Role
from core.principal import Principal
from core.task import Status, Task, TaskFields
from core.team import TeamState, evolve

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
TEAM = UUID(int=1)
SALT = bytes(range(16))
OWNER, ADMIN, MEMBER, VIEWER, STRANGER = (UUID(int=number) for number in range(11, 16))
MISSING = UUID(int=99)
ROLE_OF: dict[UUID, Role] = {ADMIN: "admin", MEMBER: "member", VIEWER: "viewer"}


class CoreTeam:
    """A team whose commands are asked one at a time, archived tasks kept aside like the database does."""

    def __init__(self, *, with_members: bool = True) -> None:
        self.state = TeamState()
        self.archive: dict[UUID, Task] = {}
        self.journal: list[Encoded] = []
        self.now = START
        self._ids = 1000
        self.ask(CreateTeam(TEAM, "Engineering", "ENG", "Olga"), OWNER)
        if with_members:
            for user_id, role in ROLE_OF.items():
                self.ask(AddMember(user_id, role.title(), role), OWNER)

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)

    def decide(self, command: AnyCommand, actor: UUID = OWNER) -> tuple[TeamState, list[AnyEvent]]:
        """What an actor does up to the commit: the working copy after the command, and its events."""
        draft = self.state.fork()
        for task_id in needs(command).tasks:
            if (task := self.archive.get(task_id)) is not None:
                draft.archived[task_id] = task
        self.now += timedelta(seconds=1)
        events = decide(draft, command, Asking(Principal.of_user(actor), self.now, self.new_id))
        for event in events:
            evolve(draft, event)
        return draft, events

    def ask(self, command: AnyCommand, actor: UUID = OWNER) -> list[AnyEvent]:
        """Decide, commit and merge; returns the events, or raises what the team's rules raised."""
        draft, events = self.decide(command, actor)
        self.journal.extend(encode(event, salt=SALT) for event in events)
        for event in events:
            if isinstance(event, TaskEvent):
                self.archive.pop(event.task.id, None)
            if isinstance(event, TaskArchived):
                self.archive[event.task.id] = event.task
        self.state = draft.merge()
        return events

    def task(self, title: str = "Paint the shed", actor: UUID = OWNER, **fields: object) -> Task:
        """A new task as it stands on the board."""
        (event,) = self.ask(CreateTask(TaskFields(title=title, **fields)), actor)  # type: ignore[arg-type]
        assert isinstance(event, TaskEvent)
        return event.task

    def label(self, name: str = "bug") -> UUID:
        """The id of a new label."""
        (event,) = self.ask(CreateLabel(name, "#aa0000"))
        return event.subject

    def now_at(self, task_id: UUID) -> Task:
        """The task as it is now, on the board or archived."""
        task = self.state.tasks.get(task_id) or self.archive.get(task_id)
        assert task is not None
        return task

    def titles(self, status: Status = "open") -> list[str]:
        """The column from top to bottom."""
        return [task.title for task in self.state.ordered(status)]


def gone(events: list[AnyEvent]) -> list[UUID]:
    """The tasks that the events delete for good."""
    return [event.task.id for event in events if isinstance(event, TaskDeleted)]
