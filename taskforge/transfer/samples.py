"""The tasks of the demo team: real ones when they lie beside the checkout, else a small launch of our own."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from core.task import Priority, Status, TaskPatch
from taskforge.transfer.cells import COLUMNS, Wish
from taskforge.transfer.files import Row, read_table
from taskforge.transfer.scrubbing import scrub

__all__ = ["SOURCE", "sample_wishes"]

SOURCE: Final = "demo"
REAL: Final = "mesos.csv"
REAL_TASKS: Final = 160

STATUSES: Final[tuple[Status, ...]] = (
    *("open",) * 7, *("in_progress",) * 3, *("in_review",) * 2, *("done",) * 6, *("cancelled",) * 1,
)  # fmt: skip
PRIORITIES: Final[tuple[Priority, ...]] = ("urgent", "high", "high", "medium", "medium", "medium", "low", "none")
LABELS: Final = {
    "bug": ("fail", "crash", "fix", "wrong", "error", "broken", "leak", "race"),
    "test": ("test", "flaky", "coverage"),
    "docs": ("doc", "readme", "guide", "explain", "write"),
    "build": ("build", "cmake", "compile", "release", "package"),
    "api": ("api", "http", "endpoint", "json", "webhook"),
    "design": ("design", "layout", "colour", "onboarding", "page"),
}

T = TypeVar("T")

# (title, description, estimate, number of the parent, numbers that block it); numbers count from 1.
BUILT_IN: Final[tuple[tuple[str, str, float, int | None, tuple[int, ...]], ...]] = (
    ("Launch the public beta", "Everything that must be true on launch day hangs below this task.", 13, None, ()),
    ("Write the release notes", "One paragraph per visible change, newest first. Ask support for wording.", 2, 1, ()),
    ("Fix the login page losing its focus on Safari", "Tab jumps to the footer after a wrong password.", 3, 1, ()),
    ("Measure cold start on a small machine", "Two cores, 4 GB. Record numbers before and after.", 5, 1, ()),
    ("Rate-limit sign-up by address", "Bursts of sign-ups from one address slow everybody down.", 5, 1, ()),
    ("Design the empty board", "A new team sees five empty columns and no hint. Show what to do first.", 3, 1, ()),
    ("Explain roles in the guide", "Owner, admin, member, viewer: who may do what, with a table.", 2, 1, ()),
    ("Rehearse the restore from backup", "Time it. A backup nobody has restored is a hope.", 8, 1, ()),
    ("Webhook signatures fail for bodies over 64 KiB", "The body is signed before it is cut.", 3, None, ()),
    ("Move the board's drag handle to the left", "Right-handed people cover the title while dragging.", 1, None, ()),
    ("Upgrade PostgreSQL on staging", "Then production a week later, if the dashboards stay flat.", 5, None, ()),
    ("Flaky test: two browsers on one board", "Once in two hundred runs. What does it not wait for?", 3, None, ()),
    ("Add keyboard shortcuts to the board", "`n` for a new task, arrows to walk, `m` to move.", 5, None, (10,)),
    ("Export a team as CSV", "Customers ask for it before they trust us with anything.", 3, None, ()),
    ("Interview five teams about weekly planning", "What do they print? What do they copy into slides?", 8, None, ()),
    ("Write up the interviews", "Two pages, three quotes, one decision.", 3, None, (15,)),
    ("Dark mode for the board page", "Contrast at least 4.5 to 1 for text.", 5, None, ()),
    ("Alert when the relay falls behind by a minute", "Page nobody before five minutes.", 2, None, ()),
    ("Remove the old import endpoint", "Unused since March; the logs prove it.", 1, None, (14,)),
    ("Wrong due date when the clocks change", "A task due on the last Sunday of March shows Saturday.", 3, None, ()),
    ("Release checklist in the repository", "Ten boxes, no prose. Build, sign, publish, tell.", 1, 1, (2, 4)),
    ("Cap the size of attachments", "25 MiB, said before the upload starts and not after.", 2, None, ()),
    ("Onboarding mail after the first day", "One mail, one tip, one link. No second mail.", 3, None, (6,)),
    ("Memory grows by 2 MB an hour on the API", "On two of three hosts. Profile the heap overnight.", 8, None, ()),
    ("Translate the board page into German", "Words of the domain first: Aufgabe, Spalte, Frist.", 5, None, ()),
    ("Search finds nothing for words with umlauts", "`Ubersicht` should find `Übersicht`, and back.", 3, None, ()),
    ("Document every error code", "A page per problem type: what happened, what to do.", 3, 1, ()),
    ("Celebrate the beta", "Cake. Remember the two who only eat vegan.", 1, 1, (3, 5)),
)  # fmt: skip


def sample_wishes(folder: Path, emails: Sequence[str], now: datetime) -> list[Wish]:
    """The demo's tasks, spread over columns, priorities, dates and `emails`; always the same but for the dates."""
    real = folder / REAL
    titles = _real(real) if real.is_file() else _built_in()
    return [_spread(wish, number, emails, now) for number, wish in enumerate(titles)]


def _real(path: Path) -> list[Wish]:
    """Evenly spaced rows of the file, so that old and new ones are among them."""
    rows = read_table(path, "csv", COLUMNS).rows
    step = max(1, len(rows) // REAL_TASKS)
    wishes = []
    for row in rows[::step][:REAL_TASKS]:
        cells = scrub(row).row.cells
        estimate = float(cells["estimate"]) if cells.get("estimate") else None
        patch = TaskPatch(title=cells["title"][:500], description=cells["description"][:10_000], estimate=estimate)
        wishes.append(Wish(row=row, patch=patch, external=(SOURCE, cells["key"])))
    return wishes


def _built_in() -> list[Wish]:
    wishes = []
    for number, (title, description, estimate, parent, blockers) in enumerate(BUILT_IN, start=1):
        wishes.append(
            Wish(
                row=Row(number, {}),
                patch=TaskPatch(title=title, description=description, estimate=estimate),
                external=(SOURCE, str(number)),
                parent=None if parent is None else str(parent),
                blocked_by=tuple(map(str, blockers)),
            )
        )
    return wishes


def _spread(wish: Wish, number: int, emails: Sequence[str], now: datetime) -> Wish:
    dice = _dice(str(wish.external))
    title = str(wish.patch.title).lower()
    status = _of(STATUSES, dice[0])
    labels = [name for name, words in LABELS.items() if any(word in title for word in words)]
    due = now.replace(hour=17, minute=0, second=0, microsecond=0) + timedelta(days=dice[2] % 45 - 9)
    patch = TaskPatch(
        title=wish.patch.title,
        description=wish.patch.description,
        estimate=wish.patch.estimate,
        status=status,
        priority=_of(PRIORITIES, dice[1]),
        due_at=due if dice[3] % 5 < 2 else None,
    )
    idle = status in {"open", "cancelled"} and dice[4] % 2 == 0
    return Wish(
        row=Row(number + 1, wish.row.cells),
        patch=patch,
        external=wish.external,
        labels=tuple(labels[:3]),
        assignee=None if idle else _of(emails, dice[5]),
        parent=wish.parent,
        blocked_by=wish.blocked_by,
    )


def _dice(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _of(options: Sequence[T], die: int) -> T:
    return options[die % len(options)]
