"""The command line. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

Importing this module loads the standard library only; a command's module is loaded when it is chosen.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskforge.parts.names import PARTS

if TYPE_CHECKING:
    from taskforge.settings import Settings

__all__ = ["main", "parser", "run"]

FAILED, USAGE = 1, 2
AGES = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; gives the exit code. Usage mistakes leave through argparse with code 2."""
    args = parser().parse_args(arguments)
    from core.errors import TaskForgeError
    from taskforge.devstack.errors import DevstackError
    from taskforge.settings import SettingsError

    try:
        return _command(args)
    except SettingsError as error:
        for problem in error.problems:
            _complain(problem)
        return USAGE
    except (DevstackError, TaskForgeError, OSError) as error:
        _complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        return 130


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def _command(args: argparse.Namespace) -> int:
    settings = None if args.needs == "nothing" else _settings_of(args)
    module: Any = importlib.import_module(f"taskforge.commands.{args.module}")
    return int(module.run(args, settings))


def _settings_of(args: argparse.Namespace) -> "Settings":
    """Valid settings, from now on also in the environment: what this process starts or imports reads the same."""
    from taskforge import embedded, logs, settings

    given, problems = settings.read_variables(os.environ, Path(".env"))
    given = embedded.complete(given, args.data)
    if problems:
        raise settings.SettingsError(problems)
    also = [embedded.OWNER] if args.needs == "owner" else []
    if not also:
        # Whoever serves or works has no use for the owner's rights, and what it does not hold cannot be taken from it.
        given.pop(embedded.OWNER, None)
        os.environ.pop(embedded.OWNER, None)
    chosen = settings.load(given, also=also)
    logs.configure(chosen.log_level, chosen.log_format)
    settings.adopt(os.environ, given)
    return chosen


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="taskforge", description="One team, one writer, one sequence.")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _up,
        _api,
        _worker,
        _migrate,
        _restored,
        _promoted,
        _openapi,
        _asyncapi,
        _import,
        _export,
        _bootstrap,
        _events,
        _dlq,
        _doctor,
        _settings,
    ):
        add(commands)
    return root


def _add(
    commands: Any, name: str, about: str, *, module: str | None = None, needs: str = "running"
) -> argparse.ArgumentParser:
    """`needs`: valid settings of running services (`running`), those and the schema's owner (`owner`), or `nothing`."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    command.add_argument(
        "--data", type=Path, default=Path(".taskforge"), metavar="DIR", help="where embedded services keep their data"
    )
    command.set_defaults(module=module or name, needs=needs)
    return command


def _up(commands: Any) -> None:
    command = _add(commands, "up", "Run everything: services, migrations, API, worker.", needs="nothing")
    command.add_argument("--workers", type=_positive, metavar="N", help="API processes")
    command.add_argument(
        "--port", type=_port, metavar="P", help="HTTP port; an error when taken (default: 8000 or next)"
    )
    command.add_argument("--demo", action="store_true", help="seed a demo team")
    _add(commands, "demo", "Seed a demo team (what `up --demo` does).")


def _api(commands: Any) -> None:
    _add(commands, "api", "Serve the API and the board page.")


def _worker(commands: Any) -> None:
    command = _add(commands, "worker", "Run the relay and the consumers.")
    command.add_argument("--only", type=_parts, metavar="PART,…", help=f"some of {', '.join(PARTS)}")


def _migrate(commands: Any) -> None:
    command = _add(commands, "migrate", "Bring the database schema up to date.", needs="owner")
    choice = command.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="only say what is pending; exit 1 when something is")
    choice.add_argument(
        "--finish", action="store_true", help="end what lets programs of the release before run: they stop at once"
    )
    choice.add_argument("--back", type=_positive, metavar="N", help="undo the last N migrations, and their data")


def _restored(commands: Any) -> None:
    about = "Say that the database was restored: every team begins a new epoch, and whoever has copies starts over."
    _add(commands, "restored", about, module="history")


def _promoted(commands: Any) -> None:
    about = "Say that another server has taken over, so that its new identity does not pass for a restore."
    command = _add(commands, "promoted", about, module="history")
    command.add_argument(
        "--lossless", action="store_true", required=True, help="it has everything that was ever acknowledged"
    )


def _asyncapi(commands: Any) -> None:
    _add(commands, "asyncapi", "Print the AsyncAPI document of the topics.", needs="nothing")


def _openapi(commands: Any) -> None:
    _add(commands, "openapi", "Print the OpenAPI document.", needs="nothing")


def _import(commands: Any) -> None:
    command = _add(commands, "import", "Import tasks from CSV or JSON Lines.", module="import_data")
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--team", required=True, help="team id, key or name")
    command.add_argument(
        "--as", dest="email", metavar="EMAIL", help="the member who imports (default: the team's owner)"
    )
    command.add_argument("--source", metavar="NAME", help="where the rows come from (default: the file's name)")
    command.add_argument("--format", choices=("csv", "jsonl"), help="default: by FILE's ending")
    command.add_argument("--create-team", action="store_true", help="make the team when there is none of that name")
    command.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")


def _export(commands: Any) -> None:
    command = _add(commands, "export", "Export a team's tasks as CSV or JSON Lines.", module="export_data")
    command.add_argument("file", type=Path, nargs="?", metavar="FILE", help="default: standard output")
    command.add_argument("--team", required=True, help="team id or name")
    command.add_argument("--format", choices=("csv", "jsonl"), help="default: by FILE's ending, else jsonl")


def _bootstrap(commands: Any) -> None:
    command = _add(commands, "bootstrap", "Write files that copies of teams begin with, and a manifest.")
    command.add_argument("folder", type=Path, metavar="DIR", help="where a file of each team is written to")
    whose = command.add_mutually_exclusive_group(required=True)
    whose.add_argument("--all", action="store_true", help="every team")
    whose.add_argument("--team", type=UUID, metavar="ID", help="one team")
    command.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="default: jsonl")


def _events(commands: Any) -> None:
    about = "Publish events of the journal again."
    actions = commands.add_parser("events", help=about, description=about).add_subparsers(
        metavar="ACTION", required=True
    )
    command = _add(actions, "replay", about, module="replay")
    command.add_argument("--team", help="one team's id; default: every team")
    command.add_argument(
        "--from", dest="from_seq", type=_positive, default=1, metavar="SEQ", help="first event of a team (1)"
    )
    command.add_argument("--dry-run", action="store_true", help="say how many events there are, publish nothing")


def _dlq(commands: Any) -> None:
    about = "Look at what consumers have given up (dead letters), and have it tried again."
    actions = commands.add_parser("dlq", help=about, description=about).add_subparsers(metavar="ACTION", required=True)
    listing = _add(actions, "list", "List dead letters, oldest first.", module="dlq")
    listing.add_argument("--limit", type=_number(1, 10_000), default=100, metavar="N", help="at most so many (100)")
    showing = _add(actions, "show", "Show one dead letter: its cause, its origin, its headers.", module="dlq")
    showing.add_argument("id", metavar="ID", help="as `dlq list` shows it, e.g. mail:0:17")
    showing.add_argument("--content", action="store_true", help="also what the record says, which may be personal")
    replaying = _add(actions, "replay", "Send dead letters to their consumer again, under the same ids.", module="dlq")
    replaying.add_argument("ids", nargs="*", metavar="ID", help="as `dlq list` shows them")
    replaying.add_argument("--all", action="store_true", help="all of them")
    replaying.add_argument("--again", action="store_true", help="also those that were sent again before")
    replaying.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
    replaying.add_argument("--why", metavar="TEXT", help="the reason, for the audit")
    replaying.add_argument("--who", metavar="NAME", help="who asks for it, for the audit (default: your login)")
    for command, action in ((listing, "list"), (showing, "show"), (replaying, "replay")):
        command.add_argument("--json", action="store_true", help="for programs")
        command.set_defaults(action=action)
    for command in (listing, replaying):
        _add_filters(command)


def _add_filters(command: argparse.ArgumentParser) -> None:
    which = command.add_argument_group("which of them")
    which.add_argument("--consumer", type=_words, metavar="NAME,…", help="of these consumers")
    which.add_argument("--type", dest="kind", metavar="TYPE", help="an event's type or a job's purpose")
    which.add_argument("--error", metavar="TEXT", help="a part of the error or of its class")
    which.add_argument("--team", type=UUID, metavar="ID", help="about events of this team")
    which.add_argument("--event", metavar="ID", help="the id of an event, or of a job")
    which.add_argument("--since", type=_moment, metavar="TIME", help="given up since then: a time, or an age (2h, 3d)")
    which.add_argument("--until", type=_moment, metavar="TIME", help="given up before then")
    which.add_argument("--offsets", type=_range, metavar="FIRST-LAST", help="a range of one consumer's offsets")


def _doctor(commands: Any) -> None:
    _add(commands, "doctor", "Check every dependency and say how to mend what is wrong.", needs="nothing")


def _settings(commands: Any) -> None:
    command = _add(commands, "settings", "Show the settings in force, secrets masked.", needs="nothing")
    command.add_argument("--example", action="store_true", help="print .env.example instead")


def _number(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low} to {high}, got {text!r}")
        return int(text)

    return number


_positive = _number(1, 2**31)
_port = _number(1, 65_535)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = (first, last if dash else first)
    if not all(number.isascii() and number.isdecimal() and len(number) < 19 for number in numbers):
        raise argparse.ArgumentTypeError(f"expected FIRST-LAST or one offset, got {text!r}")
    return int(numbers[0]), int(numbers[1])


def _moment(text: str) -> datetime:
    """A time, UTC unless it says otherwise, or so long ago."""
    now = datetime.now(UTC)
    if len(text) > 1 and text[:-1].isascii() and text[:-1].isdecimal() and len(text) < 7 and text[-1] in AGES:
        return now - int(text[:-1]) * AGES[text[-1]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time (2026-01-31T08:00Z) or an age (2h), got {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if wrong := [part for part in parts if part not in PARTS] or ([] if parts else ["nothing"]):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(wrong)} (there are {', '.join(PARTS)})")
    return parts
