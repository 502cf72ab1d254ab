"""The command line. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

Importing this module loads the standard library only; a command's module is loaded when it is chosen.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskforge.parts.names import PARTS

if TYPE_CHECKING:
    from taskforge.settings import Settings

__all__ = ["main", "parser", "run"]

FAILED, USAGE = 1, 2


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


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if wrong := [part for part in parts if part not in PARTS] or ([] if parts else ["nothing"]):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(wrong)} (there are {', '.join(PARTS)})")
    return parts
