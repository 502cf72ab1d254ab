"""The files that copies begin with, read by others' means: nothing is lost, and each proves itself."""

import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from msgspec import to_builtins

from core.checkpoints import canonical
from streams.bootstrap import FORMATS, ExtraMissing, check_installed, media_type_of, parquet, write
from tests.support.bootstraps import lines_of, rows_of, spooled, state_of_lines
from tests.support.checkpoints import by_pages
from tests.support.core_team import CoreTeam, every_event

ROWS = [encoded.row for encoded in every_event().journal]
CHECKPOINT = by_pages(ROWS, 7)


def test_json_lines_have_the_checkpoint_first_and_prove_it(tmp_path: Path) -> None:
    with spooled(tmp_path, ROWS) as spool:
        write("jsonl", tmp_path / "file", spool.checkpoint(), spool)
    data = (tmp_path / "file").read_bytes()
    checkpoint, things = lines_of(data)
    assert checkpoint == to_builtins(CHECKPOINT)
    assert Counter(one["kind"] for one in things) == Counter(+Counter(CHECKPOINT.things))
    assert state_of_lines(data) == CHECKPOINT.state
    assert state_of_lines(data.replace(b'"name":"N"', b'"name":"M"')) != CHECKPOINT.state


def test_parquet_has_the_same_things_with_fields_of_their_types(tmp_path: Path) -> None:
    with spooled(tmp_path, ROWS) as spool:
        for form in FORMATS:
            write(form, tmp_path / form, CHECKPOINT, spool)
    checkpoint, rows = rows_of(tmp_path / "parquet")
    assert checkpoint == to_builtins(CHECKPOINT)
    _, lines = lines_of((tmp_path / "jsonl").read_bytes())
    assert [(row["kind"], row["id"], row["thing"]) for row in rows] == [
        (line["kind"], line["id"], canonical(line["thing"])) for line in lines
    ]
    for row, line in zip(rows, lines, strict=True):
        thing = line["thing"]
        assert row["team_id"] == str(CHECKPOINT.team)
        assert row["task_id"] == thing.get("task_id")
        assert (row["number"], row["title"], row["estimate"]) == tuple(
            thing.get(name) for name in ("number", "title", "estimate")
        )
        if thing.get("created_at"):
            assert row["created_at"].isoformat() == thing["created_at"].replace("Z", "+00:00")


def test_a_calendar_date_stays_one(tmp_path: Path) -> None:
    team = CoreTeam()
    team.task("Due", due_on=date(2026, 3, 1))
    with spooled(tmp_path, [encoded.row for encoded in team.journal]) as spool:
        write("parquet", tmp_path / "file", spool.checkpoint(), spool)
    _, rows = rows_of(tmp_path / "file")
    assert [row["due_on"] for row in rows if row["kind"] == "task"] == [date(2026, 3, 1)]


def test_the_rows_of_a_large_team_are_in_several_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    monkeypatch.setattr("db.bootstrap.spool.READ_SLICE", 2)
    with spooled(tmp_path, ROWS) as spool:
        write("parquet", tmp_path / "file", CHECKPOINT, spool)
    assert pq.ParquetFile(tmp_path / "file").num_row_groups > 3
    assert len(rows_of(tmp_path / "file")[1]) == sum(CHECKPOINT.things.values())


def test_without_the_extra_only_parquet_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("streams.bootstrap.files.find_spec", lambda _: None)
    check_installed("jsonl")
    with pytest.raises(ExtraMissing, match=r"taskforge-server\[parquet\]"):
        check_installed("parquet")


def test_each_format_has_its_media_type() -> None:
    assert [media_type_of(form) for form in FORMATS] == ["application/x-ndjson", "application/vnd.apache.parquet"]


def test_a_file_of_a_team_in_which_little_happened_is_whole(tmp_path: Path) -> None:
    with spooled(tmp_path, ROWS[:1]) as spool:
        checkpoint = spool.checkpoint()
        for form in FORMATS:
            write(form, tmp_path / form, checkpoint, spool)
    assert len(lines_of((tmp_path / "jsonl").read_bytes())[1]) == len(rows_of(tmp_path / "parquet")[1])
