"""`taskforge dlq list|show|replay`: what consumers have given up, and having it tried again."""

import argparse
import asyncio
import getpass
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from db.installation import check_format
from db.pool import open_pools
from streams.dead_letters.letters import Wanted, parse_id
from streams.dead_letters.replaying import VERDICTS, Judge, Judged, Outcome, count, judged, replay
from streams.kafka.broker import BrokerUnavailable, calm_logs
from taskforge.letters_shown import LetterView
from taskforge.parts.failures import GROUPS
from taskforge.settings import Settings

__all__ = ["run"]

FAILED, USAGE = 1, 2
CONSUMERS: Final = tuple(group.consumer for group in GROUPS)
NARROWING: Final = ("ids", "kind", "error", "team", "event", "since", "until", "first", "last")


class WrongUsage(Exception):
    """What was asked for cannot be meant. The text is for who asked."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what `args.action` says; returns the exit code."""
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    actions: dict[str, Callable[..., Coroutine[Any, Any, int]]] = {"list": _list, "show": _show, "replay": _replay}
    try:
        wanted = _wanted(args)
        with calm_logs():
            return asyncio.run(actions[args.action](args, settings, wanted, say))
    except WrongUsage as error:
        say.print(str(error), style="red", markup=False)
        return USAGE
    except BrokerUnavailable as error:
        say.print(f"the broker cannot be reached: {error}", style="red", markup=False)
        return FAILED


def _wanted(args: argparse.Namespace) -> Wanted:
    """The letters that the arguments ask for. Raises WrongUsage."""
    ids = [args.id] if args.action == "show" else getattr(args, "ids", [])
    try:
        of_ids = {parse_id(text)[0] for text in ids}
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    if ids and getattr(args, "consumer", None):
        raise WrongUsage("--consumer: an id names its consumer already")
    consumers = tuple(of_ids or getattr(args, "consumer", None) or CONSUMERS)
    if unknown := sorted(set(consumers) - set(CONSUMERS)):
        raise WrongUsage(f"no such consumer: {', '.join(unknown)} (there are {', '.join(CONSUMERS)})")
    first, last = getattr(args, "offsets", None) or (0, None)
    if args.action == "show":
        return Wanted(consumers=consumers, ids=frozenset(ids), again=True)
    if (first, last) != (0, None) and len(consumers) != 1:
        raise WrongUsage("--offsets: needs one --consumer, whose offsets they are")
    names = ("kind", "error", "team", "event", "since", "until")
    given = {name: getattr(args, name) for name in names}
    again = bool(getattr(args, "again", False))
    return Wanted(consumers=consumers, ids=frozenset(ids), first=first, last=last, again=again, **given)


@asynccontextmanager
async def _judging(settings: Settings) -> AsyncIterator[Judge]:
    async with open_pools(settings.database) as pools:
        await check_format(pools.worker)
        yield Judge(pools.worker, settings.kafka)


async def _found(judge: Judge, wanted: Wanted, limit: int) -> tuple[list[Judged], bool]:
    """The first so many, and whether there are more."""
    found: list[Judged] = []
    async with aclosing(judged(judge, wanted)) as slices:
        async for some in slices:
            found += some
            if len(found) > limit:
                break
    return found[:limit], len(found) > limit


async def _list(args: argparse.Namespace, settings: Settings, wanted: Wanted, say: Console) -> int:
    async with _judging(settings) as judge:
        found, more = await _found(judge, wanted, args.limit)
    view = LetterView(settings)
    if args.json:
        _print_json({"items": [view.summary(one) for one in found], "more": more})
        return 0
    if found:
        Console(highlight=False).print(_table(view, found))
    total = _number(len(found)) if found else "no dead letters"
    say.print(f"{total}, and there are more: narrow it, or raise --limit" if more else total)
    return 0


def _table(view: LetterView, found: list[Judged]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("id", "status", "since", "what", "tried", "error"):
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "since"))
    for one in found:
        shown, letter = view.summary(one), one.letter
        error = f"{shown['error_class']}: {shown['error']}"
        cells = (letter.id, one.verdict, f"{letter.at:%Y-%m-%d %H:%M:%SZ}", shown["kind"] or "unreadable",
                 str(letter.attempts), error if len(error) <= 160 else f"{error[:160]}…")  # fmt: skip
        table.add_row(*map(_plain, cells))
    return table


def _plain(text: str) -> str:
    """Without a meaning for rich."""
    return text.replace("[", r"\[")


async def _show(args: argparse.Namespace, settings: Settings, wanted: Wanted, say: Console) -> int:
    async with _judging(settings) as judge:
        # As a replay would judge it that was not told to go through with what has been sent again before.
        found, _ = await _found(judge, structs.replace(wanted, again=False), 1)
    if not found:
        say.print(f"there is no dead letter {args.id}", style="red", markup=False)
        return FAILED
    view = LetterView(settings)
    shown = view.details(found[0])
    if args.content:
        shown["content"] = view.content(found[0].letter)
    if args.json:
        _print_json(shown)
        return 0
    for name, value in shown.items():
        _show_one(name, value)
    return 0


def _show_one(name: str, value: Any) -> None:
    out = Console(highlight=False, soft_wrap=True)
    if name == "headers":
        for header, text in value:
            out.print(f"  {header}: {text}", markup=False)
    elif name == "content":
        text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()
        out.print(f"content:\n{text}", markup=False)
    else:
        out.print(f"{name}: {'' if value is None else value}", markup=False)


async def _replay(args: argparse.Namespace, settings: Settings, wanted: Wanted, say: Console) -> int:
    if not args.all and not getattr(args, "consumer", None) and not any(getattr(wanted, name) for name in NARROWING):
        raise WrongUsage("name ids, a filter, or --all")
    if not args.dry_run and not (args.why or "").strip():
        raise WrongUsage("--why: say why, for the audit (or --dry-run, which changes nothing)")
    async with _judging(settings) as judge:
        outcome = await count(judge, wanted)
        if not args.dry_run and outcome.sent:
            outcome = await _replay_with_progress(judge, wanted, args, outcome.sent, say)
    missing = len(wanted.ids) - sum(outcome.counts.values()) if wanted.ids else 0
    if args.json:
        counts = {verdict: outcome.counts.get(verdict, 0) for verdict in VERDICTS}
        _print_json({"dry_run": bool(args.dry_run), "replay_id": outcome.replay_id, "sent": outcome.sent,
                     "missing": missing, "counts": counts})  # fmt: skip
    else:
        _say_outcome(say, outcome, missing, dry_run=bool(args.dry_run))
    return FAILED if missing else 0


async def _replay_with_progress(
    judge: Judge, wanted: Wanted, args: argparse.Namespace, total: int, say: Console
) -> Outcome:
    with Progress(TextColumn("sending again"), BarColumn(), MofNCompleteColumn(), console=say) as progress:
        task = progress.add_task("sending again", total=total)
        return await replay(
            judge,
            wanted,
            who=(args.who or _login())[:200],
            why=args.why.strip()[:500],
            told=lambda sent: progress.update(task, completed=sent),
        )


def _say_outcome(say: Console, outcome: Outcome, missing: int, *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "was" if outcome.sent == 1 else "were"
    whose = "its consumer" if outcome.sent == 1 else "their consumers"
    say.print(f"{_number(outcome.sent)} {verb} sent to {whose} again")
    for verdict, number in outcome.counts.items():
        say.print(f"  {number} {verdict}: {VERDICTS[verdict]}", markup=False)
    if missing:
        say.print(f"  {missing} asked for by id: not there", style="red", markup=False)
    if outcome.replay_id:
        say.print(f"  the audit has it as replay {outcome.replay_id}", markup=False)


def _number(letters: int) -> str:
    return f"{letters} dead letter{'' if letters == 1 else 's'}"


def _login() -> str:
    """Who runs this, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # A container may have no name for its user.
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _print_json(value: Any) -> None:
    """In colours for nobody: this is for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=_time)).decode() + "\n")


def _time(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
