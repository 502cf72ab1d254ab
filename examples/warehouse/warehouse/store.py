"""The DuckDB database: its tables, and the few ways in which they change, each in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from .events import Changes, Event, Thing, canonical, read, referred_to

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()
BEGINNING = bytes(32).hex()


@dataclass(frozen=True)
class Team:
    """How far a team's copy is. It began after the event `begun_seq`, where the chain was `begun_chain`."""

    epoch: int = 1
    seq: int = 0
    begun_seq: int = 0
    begun_chain: str = BEGINNING


class Broken(Exception):
    """What was read does not add up."""


class Warehouse:
    """Tables have no keys: what keeps a copy right is that it is proven (`proof.py`), not that it cannot be wrong."""

    def __init__(self, path: str | Path) -> None:
        self.db = duckdb.connect(str(path))
        self.db.execute("set time zone 'UTC'")
        self.db.execute(SCHEMA)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        self.db.begin()
        try:
            yield
        except BaseException:
            self.db.rollback()
            raise
        self.db.commit()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.db.execute(query, list(values)).fetchall()

    def teams(self) -> list[str]:
        return [row[0] for row in self.rows("select team from teams order by team")]

    def team(self, team: str) -> Team | None:
        found = self.rows("select epoch, seq, begun_seq, begun_chain from teams where team = ?", team)
        return Team(*found[0]) if found else None

    def drop(self, team: str) -> None:
        """Everything about the team; what is known of its epochs stays."""
        for statement in _DROP:
            self.db.execute(statement, [team])

    def begin(self, path: Path) -> tuple[str, Thing]:
        """Begin a team with a bootstrap file; its id and the checkpoint in it. To be called in a transaction."""
        parquet = path.suffix == ".parquet"
        checkpoint = read(self._one(_PARQUET_CHECKPOINT if parquet else _JSON_CHECKPOINT, str(path)))
        team = checkpoint["team"]
        self.drop(team)
        self.db.execute(_PARQUET_THINGS if parquet else _JSON_THINGS, {"team": team, "file": str(path)})
        at = Team(checkpoint["epoch"], checkpoint["seq"], checkpoint["seq"], checkpoint["chain"])
        self._put(team, at)
        self.keep_checkpoint(checkpoint)
        return team, checkpoint

    def take(self, events: list[Event]) -> None:
        """Events of one team that come next, in order. To be called in a transaction. Raises Broken for others."""
        team = events[0].team
        at = self.team(team) or Team()
        if [event.seq for event in events] != list(range(at.seq + 1, at.seq + 1 + len(events))):
            raise Broken(f"event {events[0].seq} does not follow {at.seq}")
        self._keep_events(events)
        changes = Changes(self._things(team, referred_to(events)))
        for event in events:
            changes.apply(event)
            if event.type == "history.redacted":
                self._forget(event)
        self._keep_things(team, changes)
        self._put(team, Team(events[-1].epoch, events[-1].seq, at.begun_seq, at.begun_chain))

    def keep_checkpoint(self, checkpoint: Thing) -> None:
        """The newest one of each team is enough."""
        self.db.execute("delete from checkpoints where team = ?", [checkpoint["team"]])
        values = [checkpoint["team"], checkpoint["epoch"], checkpoint["seq"], canonical(checkpoint)]
        self.db.execute("insert into checkpoints values (?, ?, ?, ?)", values)

    def drop_checkpoint(self, team: str) -> None:
        """The team has ended."""
        self.db.execute("delete from checkpoints where team = ?", [team])

    def checkpoint(self, team: str) -> Thing | None:
        found = self.rows("select body from checkpoints where team = ?", team)
        return read(found[0][0]) if found else None

    def _one(self, query: str, *values: Any) -> Any:
        found = self.rows(query, *values)
        if not found:
            raise Broken("this is no bootstrap file: it has no checkpoint")
        return found[0][0]

    def _put(self, team: str, at: Team) -> None:
        self.db.execute("delete from teams where team = ?", [team])
        self.db.execute(
            "insert into teams values (?, ?, ?, ?, ?)", [team, at.epoch, at.seq, at.begun_seq, at.begun_chain]
        )

    def _things(self, team: str, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Thing]:
        found: dict[tuple[str, str], Thing] = {}
        for kind, group in groupby(keys, lambda key: key[0]):
            ids = [key[1] for key in group]
            for one, thing in self.rows(_THINGS, team, kind, ids):
                found[kind, one] = read(thing)
        return found

    def _keep_things(self, team: str, changes: Changes) -> None:
        keys = [*changes.there, *changes.gone]
        if changes.emptied:
            self.db.execute("delete from things where team = ?", [team])
        self.db.execute(_DROP_THINGS, [team, [f"{kind} {one}" for kind, one in keys], sorted(changes.ended)])
        if changes.there:
            kinds, ids = zip(*changes.there, strict=True)
            things = list(changes.there.values())
            tasks = [thing.get("task_id") for thing in things]
            self.db.execute(_PUT_THINGS, [team, list(kinds), list(ids), tasks, [canonical(one) for one in things]])

    def _keep_events(self, events: list[Event]) -> None:
        tasks = [event.data.get("task", {}) for event in events]
        columns: list[list[Any]] = [
            [event.epoch for event in events],
            [event.seq for event in events],
            [event.type for event in events],
            [event.time for event in events],
            [event.actor for event in events],
            [event.subject for event in events],
            [task.get("status") for task in tasks],
            [task.get("column_id") for task in tasks],
            [task.get("assignee_id") for task in tasks],
            [event.about for event in events],
            [event.salt.hex() or None for event in events],
            [event.digest.hex() for event in events],
            [event.written.decode() for event in events],
        ]
        self.db.execute(_PUT_EVENTS, [events[0].team, *columns])

    def _forget(self, event: Event) -> None:
        """What was deleted for good is forgotten here as well. The digests stay, and with them the chain."""
        team, through, subjects = event.team, event.data["through_seq"], event.data["subjects"]
        if team in subjects:
            self.db.execute(_FORGET_TEAM, [team, through])
        else:
            self.db.execute(_FORGET, [team, through, subjects])


_DROP = tuple(f"delete from {table} where team = ?" for table in ("things", "events", "teams"))  # noqa: S608
_JSON_CHECKPOINT = """
select checkpoint from read_json(?, format = 'newline_delimited', columns = {checkpoint: 'json'})
where checkpoint is not null
"""
_JSON_THINGS = """
insert into things select $team, kind, id, thing->>'$.task_id', thing from read_json(
    $file, format = 'newline_delimited', columns = {kind: 'varchar', id: 'varchar', thing: 'json'}
) where kind is not null
"""
_PARQUET_CHECKPOINT = "select decode(value) from parquet_kv_metadata(?) where decode(key) = 'taskforge.checkpoint'"
_PARQUET_THINGS = "insert into things select $team, kind, id, task_id, thing from read_parquet($file)"
_THINGS = "select id, thing from things where team = ? and kind = ? and id in (select unnest(?::varchar[]))"
_DROP_THINGS = """
delete from things where team = ? and (
    kind || ' ' || id in (select unnest(?::varchar[])) or task_id in (select unnest(?::varchar[]))
)
"""
_PUT_THINGS = """
insert into things select ?, unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[])
"""
_PUT_EVENTS = """
insert into events select ?, unnest(?::integer[]), unnest(?::bigint[]), unnest(?::varchar[]), unnest(?::timestamptz[]),
    unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]),
    unnest(?::varchar[][]), unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[])
"""
_FORGET_TEAM = "update events set data = null, salt = null where team = ? and seq <= ?"
_FORGET = """
update events set data = null, salt = null
where team = ? and seq <= ? and list_has_any(about, ?::varchar[]) and data is not null
"""
