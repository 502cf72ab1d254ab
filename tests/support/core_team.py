"""One team under test: a clock and ids that count, a state that moves only by decide, evolve and merge."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.attached import Attached
from core.codec import Encoded, decode, encode
from core.commands import (
    AddAttachment,
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Asking,
    ChangeRole,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteColumn,
    DeleteComment,
    DeleteLabel,
    DeleteTask,
    DeleteTeam,
    EditComment,
    MoveColumn,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RestoreTask,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.comment import Comment
from core.decide import decide
from core.events import (
    AnyEvent,
    Attachment,
    AttachmentAdded,
    AttachmentDeleted,
    CommentEvent,
    TaskArchived,
    TaskDeleted,
    TaskEvent,
    TeamRestored,
)
from core.needs import needs
from core.permissions import Role
from core.principal import Principal
from core.quotas import Quotas
from core.task import Status, Task, TaskFields, TaskPatch
from core.task_history import history_of
from core.team import TeamState, evolve
from tests.support.columns import limited, tasks_of

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
        self.comments: dict[UUID, Comment] = {}
        self.files: dict[UUID, Attachment] = {}
        self.quotas = Quotas()
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
        self._remember(draft, needs(command).last_changes)
        journal = [decode(encoded.row) for encoded in self.journal] if needs(command).histories else []
        draft.histories = {
            wanted: history_of(wanted, [(event, False) for event in journal if event.subject == wanted.task_id])
            for wanted in needs(command).histories
        }
        wanted = needs(command).comments
        draft.comments = {one: self.comments[one] for one in wanted if one in self.comments}
        for file_id in needs(command).attachments:
            if (file := self.files.get(file_id)) is not None:
                draft.attachments[file_id] = file
        draft.attached = Attached(len(self.files), sum(file.size for file in self.files.values()))
        self.now += timedelta(seconds=1)
        events = decide(draft, command, Asking(Principal.of_user(actor), self.now, self.new_id, self.quotas))
        for event in events:
            evolve(draft, event)
        return draft, events

    def remembering(self, *subjects: UUID) -> TeamState:
        """A working copy that knows when these changed last: an actor asks the journal for it."""
        draft = self.state.fork()
        draft.archived.update({task_id: self.archive[task_id] for task_id in subjects if task_id in self.archive})
        self._remember(draft, subjects)
        return draft

    def _remember(self, draft: TeamState, subjects: Sequence[UUID]) -> None:
        for subject in subjects:
            if subject not in draft.tasks and subject not in draft.off_board:
                about = [encoded.event.seq for encoded in self.journal if encoded.event.subject == subject]
                draft.note_change(subject, max(about, default=0))

    def ask(self, command: AnyCommand, actor: UUID = OWNER) -> list[AnyEvent]:
        """Decide, commit and merge; returns the events, or raises what the team's rules raised."""
        draft, events = self.decide(command, actor)
        self.journal.extend(encode(event, salt=SALT) for event in events)
        for event in events:
            keep_files(self.files, event)
            if isinstance(event, TaskEvent | TaskDeleted):
                self.archive.pop(event.task.id, None)
            if isinstance(event, TaskArchived):
                self.archive[event.task.id] = event.task
            if isinstance(event, CommentEvent):
                self._keep(event)
            if isinstance(event, TaskDeleted):
                self.comments = {key: one for key, one in self.comments.items() if one.task_id != event.task.id}
        self.state = draft.merge()
        return events

    def task(self, title: str = "Paint the shed", actor: UUID = OWNER, **fields: object) -> Task:
        """A new task as it stands on the board."""
        (event,) = self.ask(CreateTask(TaskFields(title=title, **fields)), actor)  # type: ignore[arg-type]
        assert isinstance(event, TaskEvent)
        return event.task

    def _keep(self, event: CommentEvent) -> None:
        if event.gone:
            del self.comments[event.comment.id]
        else:
            self.comments[event.comment.id] = event.comment

    def comment(self, task_id: UUID, body: str = "Is it dry?", actor: UUID = OWNER) -> Comment:
        """A new comment on a task."""
        (event,) = self.ask(AddComment(task_id, body), actor)
        assert isinstance(event, CommentEvent)
        return event.comment

    def attach(self, task_id: UUID, actor: UUID = OWNER, size: int = 9, name: str = "notes.txt") -> Attachment:
        """A file of a task."""
        (event,) = self.ask(an_attachment(task_id, self.new_id(), size, name), actor)
        assert isinstance(event, AttachmentAdded)
        return event.attachment

    def redact(self, *subjects: UUID) -> None:
        """The system says that history was redacted; the journal here is left as it is."""
        state = self.state.fork()
        command = RedactHistory(subjects, self.state.seq)
        for event in decide(state, command, Asking(Principal.of_system(OWNER), self.now, self.new_id)):
            evolve(state, event)
            self.journal.append(encode(event, salt=SALT))
        self.state = state.merge()

    def restore(self) -> None:
        """A new epoch begins, as after a restore that lost nothing."""
        state, seq = self.state, self.state.seq + 1
        event = TeamRestored(team_id=TEAM, seq=seq, actor_id=OWNER, at=self.now, epoch=state.epoch + 1, from_seq=seq)
        evolve(state, event)
        self.journal.append(encode(event, salt=SALT, epoch=state.epoch))

    def limit(self, **limits: int) -> None:
        """The first columns of categories have limits from now on, which are enforced."""
        for command in limited(self.state, **limits):
            self.ask(command)

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
        return [task.title for task in tasks_of(self.state, status)]


def an_attachment(task_id: UUID, file_id: UUID, size: int = 9, name: str = "notes.txt") -> AddAttachment:
    """The command for a text of this size."""
    kind, digest = "text/plain", "ab" * 32
    return AddAttachment(task_id=task_id, attachment_id=file_id, name=name, media_type=kind, size=size, digest=digest)


def keep_files(files: dict[UUID, Attachment], event: AnyEvent) -> None:
    """What the database makes of an event: files go with their tasks."""
    if isinstance(event, AttachmentAdded):
        files[event.attachment.id] = event.attachment
    elif isinstance(event, AttachmentDeleted):
        del files[event.attachment.id]
    elif isinstance(event, TaskDeleted):
        for file_id in [file.id for file in files.values() if file.task_id == event.task.id]:
            del files[file_id]


def gone(events: list[AnyEvent]) -> list[UUID]:
    """The tasks that the events delete for good."""
    return [event.task.id for event in events if isinstance(event, TaskDeleted)]


def every_event(*, ended: bool = False) -> CoreTeam:
    """A team in whose life every type of event happened, with text that is hard to carry; its end too, if `ended`."""
    team = CoreTeam()
    label = team.label('quotes " and \\ back')
    due = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    task = team.task("Ünïcødé 🚀 </script>", description="a\n\tb\u2028", due_at=due, estimate=0.1)
    other = team.task("Other", label_ids=(label,), parent_id=task.id, external_id="1", external_source="x")
    team.ask(UpdateTask(task.id, TaskPatch(due_at=None, assignee_id=MEMBER, estimate=1e-7)))
    team.ask(UpdateLabel(label_id=label, name="renamed"))
    team.ask(RenameMember("Vera \u2028"), VIEWER)
    team.ask(ChangeRole(VIEWER, "admin"))
    said = team.comment(task.id, "@Viewer \u2028 **ünï** </script> <@x>", MEMBER)
    team.ask(EditComment(said.id, "@Olga and @Viewer \\"), MEMBER)
    team.comment(other.id)
    team.ask(DeleteComment(said.id), MEMBER)
    team.ask(UpdateTeam(name="N"))
    team.limit(done=30)
    column = team.ask(CreateColumn(name="Blöcked", category="open", wip_limit=3))[0].subject
    team.ask(MoveColumn(column_id=column, before_id=next(iter(team.state.columns))))
    team.ask(MoveTask(task_id=other.id, column_id=column))
    team.ask(DeleteColumn(column_id=column, move_to=team.state.firsts["done"].id))
    team.ask(MoveTask(task_id=other.id, status="open"))
    for turn in range(120):  # Until the gap is too narrow and an event carries `ranks`.
        team.ask(MoveTask(task_id=(task, other)[turn % 2].id, before_id=(other, task)[turn % 2].id))
        team.task(f"Filler {turn}") if turn == 0 else None
    team.ask(DeleteLabel(label))
    file = team.attach(task.id, name='Ünïcødé " 🚀.txt')
    team.attach(task.id)
    team.ask(DeleteAttachment(file.id))
    team.ask(ArchiveTask(task.id))
    team.ask(RestoreTask(task.id))
    team.ask(RemoveMember(ADMIN))
    team.ask(DeleteTask(task.id))
    team.redact(task.id, ADMIN)
    team.restore()
    if ended:
        team.ask(DeleteTeam())
    return team
