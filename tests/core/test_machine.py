"""A team lives through random commands of random people; after each one the promises of the core must hold.

`TASKFORGE_PROOF_RUNS` sets how many lives are lived (default 2,000), each of some fifty commands. The same selection of
tests lives the same lives again, so that a failure stays until it is mended; another one may live others, because
Hypothesis also draws the constants that it finds in our loaded modules. With `TASKFORGE_PROOF_SEED` others are lived,
for whoever wants to search further.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import hypothesis
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from msgspec import structs

from core.attached import Attached
from core.codec import JournalRow, decode, encode
from core.columns import MOST_COLUMNS
from core.commands import (
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Asking,
    Batch,
    ChangeRole,
    CloseColumn,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteColumn,
    DeleteComment,
    DeleteLabel,
    DeleteTask,
    EditComment,
    MoveColumn,
    MoveTask,
    RemoveMember,
    RenameMember,
    RestoreTask,
    UndoTask,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.comment import Comment
from core.decide import decide
from core.errors import DomainError
from core.event_data import encode_task
from core.events import EVENT_TYPES, AnyEvent, Attachment, CommentEvent, TaskArchived, TaskDeleted, TaskEvent
from core.loading import load_team
from core.needs import needs
from core.permissions import ROLES
from core.principal import Principal
from core.ranking import LONGEST
from core.redaction import redacted
from core.task import PRIORITIES, STATUSES, Task, TaskFields, TaskPatch
from core.task_history import history_of
from core.team import TeamState, evolve
from core.text import fold_name
from streams.cloud_events import cloud_event, parse_cloud_event
from tests.support.checkpoints import by_pages, forgotten, ledger_of
from tests.support.columns import limited, placed
from tests.support.core_team import MISSING, SALT, START, TEAM, an_attachment, keep_files

USERS = [UUID(int=number) for number in range(11, 17)]
MORE = 2
"""How often as many other lives are lived while something rare has not been met. Which lives the first ones are depends
on what else the process has loaded: Hypothesis takes numbers from it."""
RUNS = int(os.environ.get("TASKFORGE_PROOF_RUNS", "3000"))
SEED = os.environ.get("TASKFORGE_PROOF_SEED")

pick = st.integers(0, 1 << 32)


class Choices:
    """Turns one drawn number into as many even choices as wanted: far cheaper than drawing each one."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def below(self, count: int) -> int:
        return int(self._random.random() * count)

    def of(self, options: Any) -> Any:
        return options[self.below(len(options))]

    def maybe(self, options: Any) -> Any:
        """One of the options, or None half of the time."""
        return self.of(options) if self.below(2) else None


class Childhood(NamedTuple):
    """What all lives begin with, lived once: a team with every role and nine tasks."""

    state: TeamState
    replica: TeamState
    journal: list[JournalRow]
    now: datetime
    ids: int


class Life(RuleBasedStateMachine):
    """`state` moves like in an actor; `replica` only ever sees the bytes of the events."""

    seen: ClassVar[Counter[str]] = Counter()
    childhood: ClassVar[Childhood | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.archive: dict[UUID, Task] = {}
        self.comments: dict[UUID, Comment] = {}
        self.files: dict[UUID, Attachment] = {}
        self.deleted: set[UUID] = set()
        if Life.childhood is None:
            Life.childhood = self.begin()
        begun = Life.childhood
        self.state, self.replica, self.journal = begun.state.detach(), begun.replica.detach(), list(begun.journal)
        self.numbers = {task.number for task in self.state.tasks.values()}
        self.now, self.ids = begun.now, begun.ids

    def begin(self) -> Childhood:
        """Live what all lives begin with."""
        self.state, self.replica, self.journal, self.numbers = TeamState(), TeamState(), [], set()
        self.now, self.ids = START, 1000
        self.ask(CreateTeam(TEAM, "Team", "TT", "O"), USERS[0])
        self.ask(AddMember(USERS[1], "A", "admin"), USERS[0])
        self.ask(AddMember(USERS[2], "M", "member"), USERS[0])
        self.ask(AddMember(USERS[3], "V", "viewer"), USERS[0])
        for number in range(9):
            self.ask(CreateTask(TaskFields(title="T", status=STATUSES[number % 3 % 2])), USERS[0])
        for command in limited(self.state, in_progress=4, in_review=1):
            self.ask(command, USERS[0])
        return Childhood(self.state, self.replica, self.journal, self.now, self.ids)

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    @initialize(number=pick)
    def choose_kinds(self, number: int) -> None:
        """Each life goes without some kinds of command, so that it has more of the others.

        Groce, Zhang, Eide, Chen, Regehr: Swarm Testing. ISSTA 2012.
        """
        choices = Choices(number)
        tasks = [self.a_create, self.an_update, self.a_move, self.put_away, self.batch]
        beside = [self.an_undo, self.comment, self.attachments, self.columns]
        every = [*tasks, *beside, self.members, self.labels, self.team]
        self.kinds = [kind for kind in every if choices.below(4)] or every

    @rule(number=pick, count=st.integers(1, 9))
    def live(self, number: int, count: int) -> None:
        """Some commands: deciding one takes a quarter of the time that Hypothesis needs to draw it by itself."""
        choices = Choices(number)
        for _ in range(count):
            command, actor = choices.of(self.kinds)(choices), self.actor(choices)
            if isinstance(command, UndoTask):
                command = structs.replace(command, user_id=actor)
            self.ask(command, actor)

    # What people ask.

    def put_away(self, choices: Choices) -> AnyCommand:
        kinds = [self.an_archive, self.an_archive, self.a_restore, self.a_restore, self.a_delete]
        return choices.of(kinds)(choices)

    def batch(self, choices: Choices) -> AnyCommand:
        makers = [self.a_create, self.an_update, self.a_move, self.an_archive, self.a_restore]
        return Batch(tuple(choices.of(makers)(choices) for _ in range(1 + choices.below(6))))

    def members(self, choices: Choices) -> AnyCommand:
        user, role = choices.of(USERS), choices.of(ROLES)
        renaming = RenameMember(choices.of(["N", "M"]))
        changes = [AddMember(user, "N", role), ChangeRole(user, role), renaming, RemoveMember(user)]
        return choices.of(changes)

    def comment(self, choices: Choices) -> AnyCommand:
        comment_id = choices.of(list(self.comments)) if self.comments and choices.below(16) else MISSING
        body, version = choices.of(["@M and @o", "@A"]), self.version(choices)
        change = choices.of([EditComment(comment_id, body, version), DeleteComment(comment_id, version)])
        return choices.of([AddComment(self.any_task(choices), body), change])

    def labels(self, choices: Choices) -> AnyCommand:
        label, name = self.any_label(choices), choices.of(["bug", "Bug", "docs", "ops"])
        change = UpdateLabel(label_id=label, name=name)
        return choices.of([CreateLabel(name, "#00aa00"), change, DeleteLabel(label)])

    def attachments(self, choices: Choices) -> AnyCommand:
        """Mostly new files; sometimes one that is there already."""
        file_id = self.any_file(choices) if choices.below(8) == 0 else self.new_id()
        adding = an_attachment(self.any_task(choices), file_id, choices.below(100))
        return choices.of([adding, adding, DeleteAttachment(self.any_file(choices))])

    def columns(self, choices: Choices) -> AnyCommand:
        column, other, name = (
            self.any_column(choices),
            self.any_column(choices),
            choices.of(["Idea", "ﬁx", "FIX", "On"]),
        )
        if (closing := self.state.closing) is not None and choices.below(3):
            again = DeleteColumn(column_id=closing.id, move_to=closing.closing_into)
            into_it = DeleteColumn(column_id=column, move_to=closing.id)
            return choices.of([CloseColumn(closing.id), CloseColumn(closing.id), again, into_it])
        limit, side = choices.of([None, 1, 2, 5]), choices.of(["before_id", "after_id"])
        return choices.of(
            [
                *[CreateColumn(name=name, category=choices.of(STATUSES), wip_limit=limit)] * 2,
                UpdateColumn(column_id=column, name=name),
                UpdateColumn(column_id=column, wip_limit=limit),
                MoveColumn(column_id=column, **{side: other}),
                MoveColumn(column_id=column, **{side: other, "after_id": other}),
                DeleteColumn(column_id=column),
                *[DeleteColumn(column_id=column, move_to=other)] * 3,
            ]
        )

    def team(self, choices: Choices) -> AnyCommand:
        policy = choices.of(("off", "warn", "block", "block"))
        command = choices.of([UpdateTeam(name=choices.of("AB")), *[UpdateTeam(wip=policy)] * 3, None])
        return command or CreateTeam(TEAM, "Twice", "TT", "O")

    # How numbers become commands.

    def actor(self, choices: Choices) -> UUID:
        """Mostly somebody who may, sometimes whoever."""
        members = self.state.members.values()
        if choices.below(6) == 0:
            return choices.of(USERS)
        wanted = choices.of([("owner",), ("owner", "admin"), ("owner", "admin", "member")])
        return choices.of([member.user_id for member in members if member.role in wanted])

    def any_task(self, choices: Choices) -> UUID:
        kind, board = choices.below(16), list(self.state.tasks.values())
        if kind == 0:
            return MISSING
        if (kind <= 2 or not board) and self.archive:
            return choices.of(list(self.archive))
        return choices.of(board).id if board else MISSING

    def any_file(self, choices: Choices) -> UUID:
        return choices.of([*self.files, MISSING])

    def any_label(self, choices: Choices) -> UUID:
        return choices.of([*self.state.labels, MISSING])

    def any_column(self, choices: Choices) -> UUID:
        return MISSING if choices.below(16) == 0 else choices.of(list(self.state.columns))

    def version(self, choices: Choices) -> int | None:
        return choices.of([None] * 9 + [self.state.seq])

    def a_place(self, choices: Choices) -> dict[str, Any]:
        """Where a task goes: by status, by column, or by both, which may disagree. A column that closes is tempting."""
        if self.state.closing is not None and choices.below(4) == 0:
            return {"column_id": self.state.closing.id}
        status, column = {"status": choices.of(STATUSES)}, {"column_id": self.any_column(choices)}
        both = {**status, **column}
        return choices.of([status, status, column, column, column, both])

    def a_create(self, choices: Choices) -> CreateTask:
        external = choices.maybe("abcdefghijkl")
        return CreateTask(
            TaskFields(
                title="T",
                **self.a_place(choices),
                priority=choices.of(PRIORITIES),
                assignee_id=choices.maybe(USERS),
                label_ids=tuple(self.state.labels)[: choices.below(3)],
                estimate=choices.maybe([1.0, 0.5]),
                parent_id=self.any_task(choices) if choices.below(3) == 0 else None,
                blocked_by=(self.any_task(choices),) if choices.below(3) == 0 else (),
                external_id=external,
                external_source="x" if external else None,
            )
        )

    def an_update(self, choices: Choices) -> UpdateTask:
        task_id = self.any_task(choices)
        options: list[Callable[[], dict[str, Any]]] = [
            lambda: {"title": choices.of(["A", "B"]), "description": choices.of([None, "text"])},
            lambda: self.a_place(choices),
            lambda: {"parent_id": self.any_task(choices)},
            lambda: {"parent_id": None, "blocked_by": (self.any_task(choices), self.any_task(choices))},
            lambda: {"assignee_id": choices.maybe(USERS), "label_ids": (self.any_label(choices),)},
            lambda: {"blocked_by": None, "due_at": START + timedelta(days=choices.below(3)), "priority": "low"},
        ]
        return UpdateTask(task_id, TaskPatch(**choices.of(options)()), self.version(choices))

    def a_move(self, choices: Choices) -> MoveTask:
        task_id, side, place = self.any_task(choices), choices.below(5), choices.maybe([self.a_place(choices)]) or {}
        task, first = self.state.tasks.get(task_id), self.state.firsts.get(place.get("status", "open"))
        column_id = place.get("column_id") or (first.id if first and (place or not task) else task and task.column_id)
        places = self.state.places_in(column_id or MISSING)
        anchor = choices.of(places)[1] if places and choices.below(16) else self.any_task(choices)
        return MoveTask(
            task_id=task_id,
            **place,
            before_id=anchor if side in {0, 1, 4} else None,
            after_id=anchor if side in {2, 4} else None,
            if_match=self.version(choices),
        )

    def a_delete(self, choices: Choices) -> DeleteTask:
        return DeleteTask(self.any_task(choices), self.version(choices))

    def an_archive(self, choices: Choices) -> ArchiveTask:
        return ArchiveTask(self.any_task(choices), self.version(choices))

    def a_restore(self, choices: Choices) -> RestoreTask:
        archived = list(self.archive)
        return RestoreTask(choices.of(archived) if archived and choices.below(4) else self.any_task(choices))

    def an_undo(self, choices: Choices) -> UndoTask:
        """Of somebody's newest change of a task, or of any of the last changes of whatever it was."""
        recent, away = [row.seq for row in self.journal[-8:]], list(self.archive)
        task_id = choices.of(away) if away and choices.below(3) == 0 else self.any_task(choices)
        return UndoTask(task_id=task_id, user_id=USERS[0], seq=choices.maybe(recent))

    # What must hold.

    def ask(self, command: AnyCommand, actor: UUID) -> None:
        draft = self.state.fork()
        for task_id in needs(command).tasks:
            if (task := self.archive.get(task_id)) is not None:
                draft.archived[task_id] = task
        draft.histories = {
            wanted: history_of(wanted, [(decode(row), False) for row in self.journal if row.subject == wanted.task_id])
            for wanted in needs(command).histories
        }
        draft.comments = {one: self.comments[one] for one in needs(command).comments if one in self.comments}
        for file_id in needs(command).attachments:
            if (file := self.files.get(file_id)) is not None:
                draft.attachments[file_id] = file
        draft.attached = Attached(len(self.files), sum(file.size for file in self.files.values()))
        self.now += timedelta(seconds=1)
        try:
            principal = (Principal.of_system if isinstance(command, CloseColumn) else Principal.of_user)(actor)
            events = decide(draft, command, Asking(principal, self.now, self.new_id))
        except DomainError as refusal:
            self.seen[f"{type(command).__name__}: {getattr(refusal, 'reason', type(refusal).__name__)}"] += 1
            assert_same(draft, self.state)
            assert_same(self.state, self.replica)
            return
        for event in events:
            evolve(draft, event)
        assert_same(self.state, self.replica)
        self.state = draft.merge()
        for event in events:
            self.commit(event)
        assert_same(self.state, self.replica)
        self.seen[type(command).__name__ if events else f"{type(command).__name__}: nothing"] += 1
        if events:
            assert_whole(self.state, self.archive, self.numbers)
            assert_counted(self.state, self.archive, self.comments, self.files)

    def commit(self, event: AnyEvent) -> None:
        """What the journal and everybody behind it make of an event."""
        self.seen[event.type] += 1
        keep_files(self.files, event)
        encoded = encode(event, salt=SALT)
        row = parse_cloud_event(cloud_event(encoded.row))
        assert row == encoded.row
        assert row.seq == len(self.journal) + 1
        self.journal.append(row)
        evolve(self.replica, decode(row))
        if isinstance(event, TaskEvent):
            self.numbers.add(event.task.number)
            self.seen["ranks"] += bool(event.ranks)
            assert event.task.id not in event.ranks, "a task has one rank"
            self.archive.pop(event.task.id, None)
            assert event.task.version == event.seq
            if isinstance(event, TaskArchived):
                self.archive[event.task.id] = event.task
            if isinstance(event, CommentEvent):
                self.comments.pop(event.comment.id, None)
                self.comments |= {} if event.gone else {event.comment.id: event.comment}
        elif isinstance(event, TaskDeleted):
            self.archive.pop(event.task.id, None)
            self.deleted.add(event.task.id)
            self.comments = {key: one for key, one in self.comments.items() if one.task_id != event.task.id}

    def replay_redacted(self) -> None:
        """What was deleted for good, and who left, can be forgotten: the history that is left tells the same board."""
        said = {event.comment.id for event in map(decode, self.journal) if isinstance(event, CommentEvent)}
        gone = self.deleted | (set(USERS) - self.state.members.keys()) | (said - self.comments.keys())
        replayed = TeamState()
        for row in self.journal:
            payload = redacted(row.type, row.payload, gone)
            evolve(replayed, decode(row if payload is None else structs.replace(row, payload=payload)))
        assert_same(replayed, self.state)
        self.replay_checkpoints(gone)

    def replay_checkpoints(self, gone: Collection[UUID]) -> None:
        """Taken in by pages, of which hashes are kept, the journal adds up to the same, redacted or not."""
        whole = ledger_of(self.journal)
        checkpoint = by_pages(self.journal, 1 + len(self.journal) % 9)
        assert whole.differences(checkpoint) == []
        assert ledger_of(forgotten(self.journal, gone)).differences(checkpoint) == []
        tasks = {task_id for kind, task_id in whole.things.there if kind == "task"}
        assert tasks == {task.id for task in self.state.tasks.values()} | self.archive.keys()
        for task in self.state.tasks.values():
            assert whole.things.there["task", task.id] == msgspec.json.decode(encode_task(task))

    def teardown(self) -> None:
        replayed = TeamState()
        for row in self.journal:
            evolve(replayed, decode(row))
        assert_same(replayed, self.state)
        assert_remembered(self.state, self.journal)
        self.replay_redacted()
        rebuilt = load_team(
            team=self.state.team,
            seq=self.state.seq,
            epoch=self.state.epoch,
            top_number=self.state.top_number,
            members=self.state.members.values(),
            labels=self.state.labels.values(),
            columns=self.state.columns.values(),
            tasks=self.state.tasks.values(),
            archived_external={("x", task.external_id): task.id for task in self.archive.values() if task.external_id},
        )
        assert_same(rebuilt, self.state)


def assert_same(one: TeamState, other: TeamState) -> None:
    """Every part but `archived`, which holds only what a running batch needs."""
    assert (one.seq, one.epoch, one.top_number, one.team) == (other.seq, other.epoch, other.top_number, other.team)
    assert one.members == other.members
    assert one.labels == other.labels
    assert (one.columns, one.firsts, one.closing) == (other.columns, other.firsts, other.closing)
    assert placed(one) == placed(other)
    tasks = list(one.tasks.values())
    assert len(tasks) == len(other.tasks)
    assert [other.tasks.get(task.id) for task in tasks] == tasks
    assert len(one.external) == len(other.external)
    assert sorted(one.external.values()) == sorted(other.external.values())


def assert_whole(state: TeamState, archive: dict[UUID, Task], numbers: set[int]) -> None:
    """Numbers unique and gap-free, columns in step with the tasks, no cycles, somebody owns the team."""
    tasks = {task.id: task for task in state.tasks.values()}
    alive = [task.number for task in (*tasks.values(), *archive.values())]
    assert len(alive) == len(set(alive))
    assert numbers == set(range(1, state.top_number + 1))
    found = [(column, place) for column in state.columns.values() for place in state.places_in(column.id)]
    assert len(found) == len(tasks)
    assert sum(map(len, state.places.values())) == len(tasks), "no task stands in a column that is gone"
    assert all((tasks[i].column_id, tasks[i].status, tasks[i].rank) == (c.id, c.category, r) for c, (r, i) in found)
    for places in state.places.values():
        ranks = [rank for rank, _ in places]
        assert ranks == sorted(set(ranks))
    assert_columns(state)
    assert any(member.role == "owner" for member in state.members.values())
    assert_no_cycle({task.id: (task.parent_id,) for task in tasks.values() if task.parent_id in tasks})
    assert_no_cycle({task.id: task.blocked_by for task in tasks.values() if task.blocked_by})
    for task in (*tasks.values(), *archive.values()):
        if task.external_id is not None:
            assert state.external.get(("x", task.external_id)) == task.id
    known = {*tasks, *archive}
    assert all({task.parent_id, *task.blocked_by} - {None} <= known for task in tasks.values())
    assert all(label_id in state.labels for task in tasks.values() for label_id in task.label_ids)


def assert_remembered(state: TeamState, journal: list[JournalRow]) -> None:
    """When something changed last that is not on the board is what the journal says, and so is the version on it."""
    last = {row.subject: row.seq for row in journal}
    for subject, seq in state.off_board.items():
        assert subject in state.tasks or last[subject] == seq
    assert all(task.version >= last[task.id] for task in state.tasks.values())


def assert_counted(
    state: TeamState, archive: dict[UUID, Task], comments: dict[UUID, Comment], files: dict[UUID, Attachment]
) -> None:
    """Each task counts its own comments and files, and none of them is without its task."""
    tasks = (*state.tasks.values(), *archive.values())
    said = Counter({task.id: task.comment_count for task in tasks})
    assert +said == Counter(comment.task_id for comment in comments.values())
    attached = Counter({task.id: task.attachment_count for task in tasks})
    assert +attached == Counter(file.task_id for file in files.values())


def assert_columns(state: TeamState) -> None:
    """1 to 30 in one order, names apart, one that is open and one that is done; what is closing has somewhere to go."""
    columns = list(state.columns.values())
    assert 2 <= len(columns) <= MOST_COLUMNS
    assert [column.rank for column in columns] == sorted({column.rank for column in columns})
    assert len({fold_name(column.name) for column in columns}) == len(columns)
    assert {"open", "done"} <= state.firsts.keys()
    for column in columns:
        if column.closing_into is not None:
            assert state.columns[column.closing_into].closing_into is None


def assert_no_cycle(edges: dict[UUID, tuple[UUID | None, ...]]) -> None:
    """Take away nodes without outgoing edges until nothing is left; what remains is a cycle."""
    while edges:
        kept = {node: nexts for node, nexts in edges.items() if any(other in edges for other in nexts)}
        assert len(kept) < len(edges), f"a cycle among {sorted(edges)}"
        edges = kept


EXPECTED = {
    *(
        EVENT_TYPES.keys() - {"team.restored", "history.redacted"} - {"team.deleted"}
    ),  # No member causes them, or lives on.
    *(f"{name}: NotFound" for name in ("CreateTask", "UpdateTask", "MoveTask", "DeleteTask", "Batch", "UpdateLabel")),
    *(f"{name}: Forbidden" for name in ("CreateTask", "DeleteTask", "Batch", "UpdateTeam", "ChangeRole", "AddMember")),
    *(f"{name}: wip-limit" for name in ("CreateTask", "UpdateTask", "MoveTask", "RestoreTask", "Batch")),
    *(f"{name}: InvalidReference" for name in ("CreateTask", "UpdateTask", "MoveTask", "Batch")),
    *(f"{name}: StaleVersion" for name in ("UpdateTask", "MoveTask", "ArchiveTask", "DeleteTask", "Batch")),
    *(f"{name}: cycle" for name in ("UpdateTask", "Batch")),
    *(f"{name}: last-owner" for name in ("ChangeRole", "RemoveMember")),
    *(f"{name}: nothing" for name in ("UpdateTask", "MoveTask", "ChangeRole", "UpdateLabel", "UpdateTeam")),
    *(f"{name}: column-closing" for name in ("CreateTask", "UpdateTask", "MoveTask", "DeleteColumn")),
    *(f"{name}: no-column" for name in ("CreateTask", "UpdateTask", "MoveTask", "RestoreTask")),
    *(f"{name}: Contradiction" for name in ("CreateTask", "UpdateTask", "MoveTask")),
    *(f"{name}: NotFound" for name in ("UpdateColumn", "MoveColumn", "DeleteColumn")),
    *(f"{name}: name-taken" for name in ("CreateColumn", "UpdateColumn")),
    *(
        f"DeleteColumn: {why}"
        for why in ("last-column", "column-not-empty", "wip-limit", "InvalidReference", "nothing")
    ),
    "MoveColumn: nothing",
    "MoveColumn: InvalidReference",
    "CreateColumn: Forbidden",
    "CloseColumn",
    "RenameMember: nothing",
    *(f"UndoTask: {name}" for name in ("undo-conflict", "nothing-to-undo", "InvalidReference", "archived")),
    "UndoTask",
    *(f"{name}: archived" for name in ("AddComment", "EditComment")),
    *(f"{name}: NotFound" for name in ("AddComment", "EditComment", "DeleteComment")),
    *(f"{name}: StaleVersion" for name in ("EditComment", "DeleteComment")),
    *(f"{name}: Forbidden" for name in ("AddComment", "EditComment", "DeleteComment")),
    "EditComment: nothing",
    "CreateTask: external-id-taken",
    "UpdateTask: archived",
    "RestoreTask: not-archived",
    "CreateLabel: name-taken",
    "AddMember: already-member",
    "CreateTeam: team-exists",
    "AddAttachment: NotFound",
    "AddAttachment: Forbidden",
    "AddAttachment: archived",
    "AddAttachment: already-attached",
    "DeleteAttachment: NotFound",
    "DeleteAttachment: archived",
    "Batch",
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("longest", "runs"), [(LONGEST, RUNS), (2, RUNS // 5)], ids=["lives", "crowded-lives"])
def test_every_life_keeps_every_promise(monkeypatch: pytest.MonkeyPatch, longest: int, runs: int) -> None:
    """In crowded lives a gap closes at the first insertion, so that neighbours are spread all the time.

    Fewer than 3,000 lives do not meet everything for certain: of 400, one seed in twenty leaves something out.
    """
    monkeypatch.setattr("core.ranking.LONGEST", longest)
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 2)
    monkeypatch.setattr(Life, "seen", Counter())
    monkeypatch.setattr(Life, "childhood", None)
    proof = settings(
        max_examples=runs,
        stateful_step_count=11,  # The choice of kinds and ten times one to nine commands.
        deadline=None,
        database=None,
        derandomize=SEED is None,
        suppress_health_check=list(HealthCheck),
    )
    machine = Life if SEED is None else hypothesis.seed(int(SEED))(Life)
    run_state_machine_as_test(machine, settings=proof)
    wanted = {"ranks"} if longest == 2 else EXPECTED if runs >= 3000 else set()
    for number in range(MORE):
        if all(Life.seen[name] for name in wanted):
            break
        others = hypothesis.seed(number)(type("Others", (Life,), {}))
        run_state_machine_as_test(others, settings=proof)
    missing = sorted(name for name in wanted if not Life.seen[name])
    assert not missing, f"these lives never met {missing}"
