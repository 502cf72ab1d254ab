"""`python -m warehouse COMMAND`: see the README beside it."""

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .api import Api, Refused
from .proof import differences
from .store import Broken, Team, Warehouse
from .topic import Topic

QUERIES = Path(__file__).parent / "queries"


def main() -> int:
    args = arguments().parse_args()
    warehouse = Warehouse(args.db)
    try:
        return int(args.run(warehouse, args))
    except (Broken, Refused) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        warehouse.close()


def load(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Begin teams with bootstrap files."""
    return max(begun(warehouse, path) for path in args.files)


def bootstrap(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Have bootstraps made and begin teams with them."""
    api = Api(args.url, args.key)
    with TemporaryDirectory() as folder:
        return max(
            begun(warehouse, api.download(api.bootstrap(team, args.format), Path(folder)))
            for team in args.team or api.teams()
        )


def begun(warehouse: Warehouse, path: Path) -> int:
    """Begin a team with a file that proves itself, or leave everything as it was."""
    with warehouse.transaction():
        team, checkpoint = warehouse.begin(path)
        if found := differences(warehouse, team, checkpoint):
            raise Broken(f"{path} is damaged: {', '.join(found)} differ from the checkpoint in it")
    print(f"{team} begun at {checkpoint['epoch']}:{checkpoint['seq']}")
    return 0


def tail(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Bring teams up to date, page by page."""
    api, worst = Api(args.url, args.key), 0
    for team in args.team or warehouse.teams():
        at = warehouse.team(team) or Team()
        try:
            for events in api.events(team, at.epoch, at.seq):
                with warehouse.transaction():
                    warehouse.take(events)
        except Refused as error:
            if error.code != "history-rewritten":
                raise
            # The database was restored: what was taken here may not have happened.
            with warehouse.transaction():
                warehouse.drop(team)
            print(f"{team} was restored: begin it again with a bootstrap", file=sys.stderr)
            worst = 1
            continue
        at = warehouse.team(team) or Team()
        print(f"{team} at {at.epoch}:{at.seq}")
    return worst


def topic(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Bring all teams up to date by the topic."""
    run = asyncio.run(Topic(args.kafka, warehouse).run())
    print(f"{run.taken} events taken")
    if run.foreign:
        print(f"{run.foreign} records that TaskForge did not write passed over")
    for team, seq in run.lacking.items():
        print(f"{team}: the topic has forgotten what was before {seq}: begin it with a bootstrap", file=sys.stderr)
    for team, found in run.proven.items():
        tell(warehouse, team, found)
    return int(bool(run.lacking) or any(run.proven.values()))


def verify(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Compare teams with the newest checkpoint that is known, or with one that is made for where they are."""
    api, worst = Api(args.url, args.key) if args.url else None, 0
    for team in args.team or warehouse.teams():
        at = warehouse.team(team) or Team()
        checkpoint = warehouse.checkpoint(team)
        if checkpoint is None or (checkpoint["epoch"], checkpoint["seq"]) != (at.epoch, at.seq):
            checkpoint = api.bootstrap(team, "jsonl", at.seq)["checkpoint"] if api else None
        if checkpoint is None:
            print(f"{team} at {at.epoch}:{at.seq}: no checkpoint of this place is known")
            continue
        found = differences(warehouse, team, checkpoint)
        tell(warehouse, team, found)
        worst = max(worst, int(bool(found)))
    return worst


def tell(warehouse: Warehouse, team: str, found: list[str]) -> None:
    at = warehouse.team(team) or Team()
    print(f"{team} at {at.epoch}:{at.seq}: {'differs in ' + ', '.join(found) if found else 'proven'}")


def query(warehouse: Warehouse, args: argparse.Namespace) -> int:
    """Answer one of the questions."""
    warehouse.db.sql((QUERIES / f"{args.name}.sql").read_text()).show(max_rows=50)
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="warehouse", description=__doc__)
    parser.add_argument("--db", default="taskforge.duckdb", help="the DuckDB file")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (load, bootstrap, tail, topic, verify, query):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        if run in (bootstrap, tail, verify):
            command.add_argument("--url", required=run is not verify, help="where TaskForge is")
            command.add_argument("--key", default="", help="an API key that reads")
            command.add_argument("--team", action="append", help="a team's id; default: all")
        if run is bootstrap:
            command.add_argument("--format", choices=("jsonl", "parquet"), default="parquet")
        if run is load:
            command.add_argument("files", nargs="+", type=Path, metavar="FILE")
        if run is topic:
            command.add_argument("--kafka", default="localhost:9092", help="bootstrap servers")
        if run is query:
            command.add_argument("name", choices=sorted(path.stem for path in QUERIES.glob("*.sql")))
    return parser


if __name__ == "__main__":
    sys.exit(main())
