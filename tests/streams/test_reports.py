"""The pages of reports: what stands on them, in every script, at every size, and what a hostile title cannot do."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unicodedata import bidirectional

import anyio
import pytest
from msgspec import structs

from db.report_data.activity import ActivityData
from db.report_data.board import BoardData
from db.report_data.overdue import OverdueData
from db.report_data.shares import allotted
from db.report_data.team import Group, Line
from db.zones import zone_named
from streams.operations.report import Wanted, file_name
from streams.reports import fonts, press, printing
from streams.reports.fonts import ExtraMissing, font_folders
from streams.reports.layout import Document, said
from streams.reports.pages import activity_report, board_report, overdue_report
from streams.reports.printing import CannotBePrinted, print_report
from streams.reports.times import parts_of, period_in_words
from tests.support.printed import ADA, BOB, SCRIPTS, a_cover, a_line, a_team, text_of, throughput_of, words_of

pytestmark = pytest.mark.anyio

BERLIN = zone_named("Europe/Berlin")


def board(*lines: Line, count: int | None = None) -> Document:
    """A board with these in its first column."""
    cover = a_cover()
    group = Group(len(lines) if count is None else count, lines)
    return board_report(cover, BoardData({cover.team.columns[0].id: group}, throughput_of(cover)))


async def text_on(document: Document, folder: Path) -> tuple[str, int]:
    """The text of the printed pages, and how many there are."""
    pdf, pages = await print_report(document, folder)
    return text_of(pdf.read_bytes()), pages


def strict(document: Document, folder: Path) -> None:
    """Set it as PDF/A, which typst refuses for a letter that no font has."""
    printing.prepare(document, folder)
    compiler = press.compiler_of(folder, [str(one) for one in font_folders()])
    compiler.compile(format="pdf", pdf_standards="a-2b", timestamp=0)


def press_with(folder: Path, limit: str, value: int) -> Path:
    """The program with another limit."""
    program = folder / "press.py"
    source = Path(press.__file__).read_text()
    program.write_text(re.sub(rf"^{limit}: Final = .*$", f"{limit}: Final = {value}", source, flags=re.MULTILINE))
    assert program.read_text() != source
    return program


class TestScripts:
    @pytest.mark.parametrize("script", SCRIPTS)
    async def test_every_script_has_its_letters(self, script: str, tmp_path: Path) -> None:
        strict(board(a_line(1, SCRIPTS[script])), tmp_path)

    async def test_a_letter_that_no_font_has_would_be_noticed(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="could not be displayed"):
            strict(board(a_line(1, "\N{CUNEIFORM SIGN A}")), tmp_path)

    async def test_a_letter_that_no_font_has_is_printed_as_a_box(self, tmp_path: Path) -> None:
        text, _ = await text_on(board(a_line(1, "cuneiform \N{CUNEIFORM SIGN A}")), tmp_path)
        assert "cuneiform" in text

    def test_each_text_runs_its_own_way(self) -> None:
        leftwards = {name for name, title in SCRIPTS.items() if said(title).rtl}
        assert leftwards == {"Arabic", "Hebrew"}
        assert said("  42 תיקון").rtl
        assert not said("Ada moved it to תיקון", ours=True).rtl

    def test_han_looks_japanese_beside_kana(self) -> None:
        assert {name for name, title in SCRIPTS.items() if said(title).japanese} == {"Japanese"}


class TestHostile:
    async def test_markup_and_code_are_text(self, tmp_path: Path) -> None:
        title = '#read("/etc/passwd") *bold* $x$ @ref <label> #import "@preview/x:1.0.0": * \\ `raw` // no'
        text, _ = await text_on(board(a_line(1, title)), tmp_path)
        shown = " ".join(text.split())
        for piece in ('#read("/etc/passwd")', "*bold*", "$x$", "@ref", "<label>", "`raw`", "// no"):
            assert piece in shown, shown

    async def test_a_word_without_end_stays_in_its_column(self, tmp_path: Path) -> None:
        letters = "x\N{CYRILLIC SMALL LETTER SHCHA}\N{HANGUL SYLLABLE HAN}"
        long = [a_line(n, char * 500, assignee_id=ADA, due_on=date(2026, 11, 3)) for n, char in enumerate(letters)]
        text, pages = await text_on(board(*long), tmp_path)
        assert text.count("Ada Lovelace") == 4  # Of the cover line, too: nothing is printed over it.
        assert pages == 2

    def test_no_mark_is_parted_from_its_letter(self) -> None:
        word = said("a\N{COMBINING ACUTE ACCENT}" * 200).text
        assert "\N{ZERO WIDTH SPACE}\N{COMBINING ACUTE ACCENT}" not in word
        assert word.replace("\N{ZERO WIDTH SPACE}", "") == "a\N{COMBINING ACUTE ACCENT}" * 200

    async def test_what_takes_too_long_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(printing, "SECONDS", 0.05)
        with pytest.raises(CannotBePrinted, match="too long"):
            await print_report(board(a_line(1)), tmp_path)

    @pytest.mark.parametrize(("limit", "value"), [("MEMORY_BYTES", 300_000_000), ("CPU_SECONDS", 1)])
    async def test_what_takes_too_much_is_ended(
        self, limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = press_with(tmp_path, limit, value)
        monkeypatch.setattr(printing, "PROGRAM", program)
        folder = tmp_path / "work"
        folder.mkdir()
        many = [a_line(n, "A title of some length, in words, once more and again " * 8) for n in range(6_000)]
        with pytest.raises(CannotBePrinted):
            await print_report(board(*many), folder)

    async def test_the_press_knows_nothing_of_our_settings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TASKFORGE_KEYS", "secret")
        program = tmp_path / "press.py"
        program.write_text("import os, sys\nsys.stderr.write(repr(dict(os.environ)))\nsys.exit(3)\n")
        monkeypatch.setattr(printing, "PROGRAM", program)
        with pytest.raises(CannotBePrinted) as refused:
            await print_report(board(a_line(1)), tmp_path)
        assert "TASKFORGE" not in str(refused.value)

    async def test_without_the_extra_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fonts, "LIBRARY", "typst_that_is_not_installed")
        with pytest.raises(ExtraMissing, match=r"taskforge-server\[reports\]"):
            await print_report(board(a_line(1)), tmp_path)


class TestPages:
    async def test_a_board_has_its_columns_tasks_and_marks(self, tmp_path: Path) -> None:
        late = a_line(7, "Late already", priority="urgent", assignee_id=BOB, due_on=date(2026, 11, 3))
        soon = a_line(8, "Not yet", due_at=datetime(2026, 12, 24, 15, tzinfo=UTC))
        done = a_line(9, "Done in time", status="done", due_on=date(2025, 11, 3))
        text, pages = await text_on(board(late, soon, done, count=15), tmp_path)
        for piece in (
            "BOARD REPORT",
            "Engineering",
            "1 \N{EN DASH} 28 November 2026",
            "Made 28 November 2026, 04:20 by Ada Lovelace",
            "Created and done by day",
            "Open 15 tasks",
            "and 12 more",
            "1 of 1",
        ):
            assert piece in re.sub(" +", " ", text), text
        assert re.search(r"ENG-7 +Late already +urgent +Bob +! 3 Nov\n", text), text
        assert re.search(r"ENG-8 +Not yet +\N{EN DASH} +\N{EN DASH} +24 Dec, 16:00\n", text), text
        assert re.search(r"ENG-9 +Done in time +\N{EN DASH} +\N{EN DASH} +3 Nov 2025\n", text), text
        assert pages == 1

    async def test_an_empty_team_has_a_page_that_says_so(self, tmp_path: Path) -> None:
        text, pages = await text_on(board(), tmp_path)
        assert "There is nothing on the board." in text
        assert pages == 1

    async def test_headings_are_repeated_and_pages_are_numbered(self, tmp_path: Path) -> None:
        text, pages = await text_on(board(*[a_line(n, f"Task {n}") for n in range(150)]), tmp_path)
        sheets = text.split("\f")[:pages]
        assert pages >= 3
        assert all(re.search(r"Open +150 tasks", sheet) and re.search(r"Key +Title", sheet) for sheet in sheets)
        assert all(f"{number} of {pages}" in sheet for number, sheet in enumerate(sheets, 1))
        assert all(f"Task {n}\n" in re.sub(" +[\N{EN DASH}]\n", "\n", text) or f"Task {n} " in text for n in range(150))

    async def test_what_is_overdue_stands_by_assignee(self, tmp_path: Path) -> None:
        hers = [a_line(1, "First", assignee_id=ADA, due_on=date(2026, 11, 26))]
        his = [a_line(n, f"His {n}", assignee_id=BOB, due_at=datetime(2026, 11, 27, n, tzinfo=UTC)) for n in (2, 3)]
        nobodys = [a_line(4, "Left", due_on=date(2026, 10, 1))]
        groups = {ADA: Group(1, hers), None: Group(1, nobodys), BOB: Group(2, his)}
        document = overdue_report(a_cover(), OverdueData(groups, 0, (3, 0, 1)))
        assert [section.title.text for section in document.sections] == ["Bob", "Ada Lovelace", "Nobody"]
        text, _ = await text_on(document, tmp_path)
        assert re.search(r"ENG-1 +First +\N{EN DASH} +Open +! 26 Nov +2 days\n", text), text
        assert re.search(r"ENG-4 +Left +\N{EN DASH} +Open +! 1 Oct +58 days\n", text), text
        assert re.search(r"ENG-3 +His 3 +\N{EN DASH} +Open +! 27 Nov, 04:00 +1 day", text), text

    async def test_what_is_ours_is_not_drawn_into_the_direction_of_a_name(self, tmp_path: Path) -> None:
        """The number of tasks stands behind the name, whichever way the name runs, on the page."""
        team = a_team()
        team = structs.replace(team, members={**team.members, BOB: "عمر الخيّام"})
        lines = [a_line(n, assignee_id=BOB, due_on=date(2026, 11, 20)) for n in (1, 2)]
        document = overdue_report(a_cover(team), OverdueData({BOB: Group(2, lines)}, 0, (0, 2, 0)))
        pdf, _ = await print_report(document, tmp_path)
        words = words_of(pdf)
        place = next(n for n, (text, _) in enumerate(words) if text == "tasks")
        (_, tasks), (_, two) = words[place], max(words[place - 6 : place], key=lambda word: word[0] == "2")
        names = [left for text, left in words[place - 6 : place] if bidirectional(text[0]) == "AL"]
        assert names
        assert max(names) < two < tasks

    @pytest.mark.parametrize(
        ("due_on", "due_at", "late"),
        [
            (date(2026, 11, 20), None, "8 days"),
            (date(2026, 11, 27), None, "1 day"),
            (None, datetime(2026, 11, 28, 3, 10, tzinfo=UTC), "today"),
            (None, datetime(2026, 11, 27, 22, 59, tzinfo=UTC), "1 day"),
        ],
    )
    def test_late_is_said_in_days_of_the_calendar(
        self, due_on: date | None, due_at: datetime | None, late: str
    ) -> None:
        line = a_line(1, due_on=due_on, due_at=due_at)
        document = overdue_report(a_cover(), OverdueData({None: Group(1, [line])}, 0, (1, 0, 0)))
        assert document.sections[0].rows[0][-1] == late

    async def test_nothing_overdue_is_good_news(self, tmp_path: Path) -> None:
        text, _ = await text_on(overdue_report(a_cover(), OverdueData({}, 0, (0, 0, 0))), tmp_path)
        assert "Nothing is overdue." in text

    async def test_nothing_happened(self, tmp_path: Path) -> None:
        cover = a_cover()
        nothing: Any = [{} for _ in cover.parts.days]
        data = ActivityData(
            total=0, by_part=nothing, by_actor={}, throughput=throughput_of(cover), newest=(), names={ADA: "Ada"}
        )
        text, _ = await text_on(activity_report(cover, data), tmp_path)
        assert "Nothing happened in this period." in text

    async def test_thirty_columns_fit(self, tmp_path: Path) -> None:
        cover = a_cover(
            a_team([(f"{title} {n}", "open") for n in range(2) for title in SCRIPTS.values()][:30]), days=366
        )
        groups = {column.id: Group(1, [a_line(n)]) for n, column in enumerate(cover.team.columns)}
        pdf, pages = await print_report(board_report(cover, BoardData(groups, throughput_of(cover))), tmp_path)
        assert pages > 2
        assert pdf.stat().st_size > 10_000


class TestTimes:
    @pytest.mark.parametrize(
        ("since", "until", "said"),
        [
            (datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 1, 23, tzinfo=UTC), "1 November 2026"),
            (datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 28, 23, tzinfo=UTC), "1 - 28 November 2026"),
            (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), "1 October - 2 November 2026"),
            (datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "1 January 2026"),
            (datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "30 December 2025 - 1 January 2026"),
            (datetime(1900, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "until 1 January 2026"),
        ],
    )
    def test_a_period_is_said_shortly(self, since: datetime, until: datetime, said: str) -> None:
        assert period_in_words(since, until, BERLIN) == said.replace(" - ", " \N{EN DASH} ")

    def test_days_then_weeks(self) -> None:
        since = datetime(2026, 10, 23, 22, tzinfo=UTC)
        days = parts_of(since, datetime(2026, 10, 26, 23, tzinfo=UTC), BERLIN)
        assert (days.noun, [day.day for day in days.days]) == ("day", [24, 25, 26])
        assert [begin.hour for begin in days.begins] == [22, 22, 23], "the clocks are put back on the 25th"
        weeks = parts_of(since, datetime(2026, 12, 10, tzinfo=UTC), BERLIN)
        assert (weeks.noun, weeks.days[0], weeks.days[-1]) == ("week", date(2026, 10, 19), date(2026, 12, 7))


def test_a_file_is_named_after_its_team_kind_and_days() -> None:
    until = datetime(2026, 11, 28, 23, tzinfo=UTC)
    activity = Wanted("activity", datetime(2026, 10, 31, 23, tzinfo=UTC), until)
    assert file_name(activity, "ENG", "Europe/Berlin") == "ENG-activity-2026-11-01-to-2026-11-28.pdf"
    one_day = Wanted("activity", datetime(2026, 11, 27, 23, tzinfo=UTC), until)
    assert file_name(one_day, "ENG", "Europe/Berlin") == "ENG-activity-2026-11-28.pdf"
    overdue = Wanted("overdue", datetime(1900, 1, 1, tzinfo=UTC), until)
    assert file_name(overdue, "ENG", "Europe/Berlin") == "ENG-overdue-until-2026-11-28.pdf"


class TestShares:
    def test_small_groups_are_whole_and_large_ones_share_the_rest(self) -> None:
        assert allotted({"a": 10, "b": 5_000, "c": 700}, 1_000) == {"a": 10, "c": 495, "b": 495}
        assert allotted({"a": 10, "b": 20}, 1_000) == {"a": 10, "b": 20}
        assert allotted({}, 1_000) == {}
        assert sum(allotted({n: 50 + n for n in range(300)}, 2_000).values()) == 2_000


async def test_several_are_printed_side_by_side(tmp_path: Path) -> None:
    async def one(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        text, _ = await text_on(board(a_line(number, f"Task {number}")), folder)
        assert f"ENG-{number} " in text

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(one, number)
