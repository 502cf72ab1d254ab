"""`taskforge settings`: what is in force, and `.env.example`."""

import argparse
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from taskforge import embedded, settings
from taskforge.settings import SettingsError

__all__ = ["run"]

MASK = "********"


def run(args: argparse.Namespace, _: None) -> int:
    """Raises `SettingsError` with every mistake there is."""
    console = Console(highlight=False)
    if args.example:
        console.out(settings.example(), end="", highlight=False)
        return 0
    given, problems = settings.read_variables(os.environ, Path(".env"))
    if problems:
        raise SettingsError(problems)
    completed = embedded.complete(given, args.data)
    settings.load(completed)
    table = Table("variable", "value", "from", box=None)
    for variable in settings.variables():
        value = completed.get(variable.name)
        shown = settings.default_text(variable) if value is None else MASK if variable.secret else value
        source = "default" if value is None else "given" if variable.name in given else f"{args.data}"
        table.add_row(variable.name, shown, source)
    console.print(table)
    return 0
