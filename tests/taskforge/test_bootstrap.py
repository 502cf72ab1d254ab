"""`taskforge bootstrap`: a file of each team, whole and proven by the manifest, or none."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs, to_builtins
from rich.console import Console

from core.commands import AddComment, CreateTask, DeleteTask
from core.task import TaskFields
from db.bootstrap.folding import begun, folded, still_stands
from db.bootstrap.spool import Spool
from db.pool import Pools
from db.redaction.boards import drop_boards
from db.redaction.history import redact_history
from db.settings import DatabaseSettings
from db.transaction import reading
from taskforge.cli import parser
from taskforge.commands import bootstrap
from taskforge.settings import Settings
from tests.support.site import settings_for
from tests.support.team_writer import Writer, add_user, new_team, opened
from tests.support.warehouse import open_warehouse, part

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database: DatabaseSettings, valkey_url: str) -> Settings:
    return settings_for(database, valkey_url)


@pytest.fixture
async def teams(database: DatabaseSettings) -> list[Writer]:
    """Three teams with tasks and a comment in each."""
    found = []
    async with opened(database) as (pools, journal):
        owner = await add_user(pools)
        for number in range(3):
            writer = await new_team(journal, owner, tasks=number + 1, key=f"T{number}")
            task_id = next(writer.state.tasks.values()).id
            await writer.commit(journal, AddComment(task_id=task_id, body="Ünïcödé \u2028 🚀"))
            found.append(writer)
    return found


def arguments(*words: str | Path) -> Any:
    return parser().parse_args(["bootstrap", *map(str, words)])


async def write(settings: Settings, folder: Path, form: Any, team: UUID | None = None) -> bootstrap.Manifest:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 (nothing else runs here)
    return await bootstrap._write(settings, team, form, folder, Console(file=io.StringIO()))


@pytest.fixture
def warehouse() -> Iterator[Any]:
    opened = open_warehouse()
    yield opened
    opened.close()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_every_team_has_a_file_that_the_manifest_proves(
    settings: Settings, teams: list[Writer], tmp_path: Path, warehouse: Any, form: str
) -> None:
    manifest = await write(settings, tmp_path / "out", form)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["manifest.json", *(f"{one.team_id}.{form}" for one in teams)]
    )
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == to_builtins(manifest)
    for writer in teams:
        path = tmp_path / "out" / f"{writer.team_id}.{form}"
        assert part("__main__").begun(warehouse, path) == 0
        checkpoint = manifest.files[path.name]
        assert (checkpoint.team, checkpoint.seq) == (writer.team_id, writer.state.seq)
        assert checkpoint.things["task"] == len(writer.state.tasks)
        assert part("proof").differences(warehouse, str(writer.team_id), to_builtins(checkpoint)) == []


async def test_one_team_is_enough(settings: Settings, teams: list[Writer], tmp_path: Path) -> None:
    manifest = await write(settings, tmp_path / "out", "jsonl", teams[1].team_id)
    assert list(manifest.files) == [f"{teams[1].team_id}.jsonl"]
    assert not (await write(settings, tmp_path / "none", "jsonl", UUID(int=1))).files


async def test_a_team_that_has_ended_is_in_none(
    settings: Settings, teams: list[Writer], superuser: Any, tmp_path: Path
) -> None:
    await superuser.execute("update teams set deleted_at = now(), deleted_by = id where id = $1", teams[1].team_id)
    manifest = await write(settings, tmp_path / "out", "jsonl")
    assert {one.team for one in manifest.files.values()} == {teams[0].team_id, teams[2].team_id}
    assert not (await write(settings, tmp_path / "one", "jsonl", teams[1].team_id)).files


async def test_what_is_forgotten_while_a_team_is_read_is_read_again(
    database: DatabaseSettings, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database) as (pools, journal):
        writer = await new_team(journal, await add_user(pools))
        await writer.commit(journal, CreateTask(TaskFields(title="A secret")))
        (task,) = [one.id for one in writer.state.tasks.values()]
        await writer.commit(journal, DeleteTask(task))
        folds: list[int] = []

        async def forgetting(*arguments: Any) -> Any:
            checkpoint = await folded(*arguments)
            if not folds:
                await redact_history(pools.worker, writer.team_id, {task}, among={task})
                await drop_boards(pools.worker, writer.team_id, {task})
            folds.append(checkpoint.seq)
            return checkpoint

        monkeypatch.setattr(bootstrap, "folded", forgetting)
        manifest = await write(settings, tmp_path / "out", "jsonl")
    assert folds == [writer.state.seq] * 2
    assert b"A secret" not in (tmp_path / "out" / f"{writer.team_id}.jsonl").read_bytes()
    assert len(manifest.files) == 1


async def test_a_team_that_never_stays_as_it_was_read_is_given_up(
    settings: Settings, teams: list[Writer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> bool:
        return False

    monkeypatch.setattr(bootstrap, "still_stands", never)
    with pytest.raises(bootstrap._Restless, match="try again later"):
        await write(settings, tmp_path / "out", "jsonl")
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_history_that_was_taken_back_meanwhile_is_no_bootstrap(
    database: DatabaseSettings, pools: Pools, teams: list[Writer], tmp_path: Path
) -> None:
    beginning = await begun(pools.worker, teams[0].team_id)
    assert beginning is not None
    with Spool(tmp_path / "spool") as spool:
        await folded(pools.worker, beginning, spool)
        async with reading(pools.worker, None) as tx:
            assert await still_stands(tx, beginning, spool.digest)
            assert not await still_stands(tx, beginning, bytes(32))
            assert not await still_stands(tx, structs.replace(beginning, seq=beginning.seq + 1), spool.digest)


def test_a_folder_with_a_manifest_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert bootstrap.run(arguments(tmp_path, "--all"), None) == 2  # type: ignore[arg-type]
    assert "name another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_without_the_extra_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.bootstrap.files.find_spec", lambda _: None)
    assert bootstrap.run(arguments(tmp_path / "out", "--all", "--format", "parquet"), None) == 2  # type: ignore[arg-type]
    assert "taskforge-server[parquet]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("out",), ("out", "--all", "--team", str(UUID(int=1))), ("out", "--team", "x")])
def test_it_is_said_whose_files_are_wanted(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(*words)
    assert (ended.value.code, "usage:" in capsys.readouterr().err) == (2, True)


def test_pyarrow_is_loaded_by_nobody_who_does_not_write_parquet() -> None:
    program = (
        "import sys, taskforge.commands.bootstrap, taskforge.parts.long_work, api.endpoints.bootstraps;"
        " sys.exit('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
