"""Text at the door: what is refused, what is dropped, and what is the same."""

import sys
import time
import unicodedata
from functools import partial

import pytest

from core.text import MOST_MARKS, clean_line, clean_lines, drop_forbidden, fold_name, fold_search, is_visible

title = partial(clean_line, most=500)

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_forbidden(char: str) -> bool:
    code = ord(char)
    nowhere = unicodedata.category(char) in {"Cc", "Cs"} or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return nowhere or char in BIDI


def refused(clean: object, text: str) -> bool:
    try:
        clean(text)  # type: ignore[operator]
    except ValueError:
        return True
    return False


def test_lines_hold_every_character_but_controls_overrides_surrogates_and_noncharacters() -> None:
    wrong = [char for char in EVERY if refused(clean_lines, f"a{char}b") != (is_forbidden(char) and char not in "\n\t")]
    assert wrong == []


def test_a_line_holds_no_breaks_either() -> None:
    breaks = set("\n\t\u2028\u2029")
    wrong = [char for char in EVERY if refused(title, f"a{char}b") != (is_forbidden(char) or char in breaks)]
    assert wrong == []


def test_what_is_dropped_is_what_is_refused() -> None:
    everything = "".join(EVERY)
    for lines, clean in ((True, clean_lines), (False, title)):
        for start in range(0, len(everything), 100):
            kept, _ = drop_forbidden(everything[start : start + 100], lines=lines)
            clean("a" + kept)
    assert drop_forbidden("a\r\nb\tc\x00", lines=False) == ("a b c", 1)
    assert drop_forbidden("a\r\nb\tc\x00\u202e", lines=True) == ("a\nb\tc", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u00a0\u2003",
        "\u200b",
        "\ufeff",
        "\u2060\u200d\u200c",
        "\u00ad",
        "\u034f",
        "\u061c",
        "\u115f\u1160",
        "\u17b4",
        "\u180e\u180b",
        "\u2800",
        "\u3164\uffa0",
        "\ufe0f",
        "\U000e0041",
        "\U0001d173",
        "\U0001d159",
    ],
)
def test_nothing_visible_is_blank(text: str) -> None:
    assert not is_visible(text)
    with pytest.raises(ValueError, match="visible"):
        title(text)


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, with joiners
        "\u2764\ufe0f",  # a red heart, with a variation selector
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England, with tags
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner
        "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
        "abc \u200f(\u05d0)",  # a direction mark
        "\U0001f600",
        "\ue000",  # private use
    ],
)
def test_scripts_and_emoji_keep_what_they_are_written_with(text: str) -> None:
    assert title(text) == text
    assert clean_lines(text) == text


def test_a_refusal_says_what_and_where() -> None:
    for text, detail in (
        ("a\0", "the NUL character (U+0000, character 2)"),
        ("\u202ea", "bidirectional overrides or isolates (U+202E, character 1)"),
        ("a\nb", "tabs or line breaks (U+000A, character 2)"),
        ("ab\x1b", "control characters (U+001B, character 3)"),
        ("\ud800", "lone surrogates (U+D800, character 1)"),
        ("\U0001fffe", "noncharacters (U+1FFFE, character 1)"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared below)
            title(text)
        assert str(caught.value) == f"text must not contain {detail}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Stra\u00dfe", "STRASSE"),
        ("\u0130stanbul", "istanbul"),
        ("\u0130STANBUL", "\u0130stanbul"),
        ("e\u0301", "\u00c9"),
        ("\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3", "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2"),
        ("\uff22\uff35\uff27", "bug"),
        ("\ufb01x", "FIX"),
        ("b\u200bug", "Bug"),
    ],
)
def test_names_and_searches_know_no_case_and_no_normal_form(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)
    assert fold_search(one) == fold_search(other)


@pytest.mark.parametrize(
    "other",
    ["To  do", " To do", "To do ", "to\u00a0do", "To\u2003\u2003do", "TO\u3000DO", "To\u1680do", "\u00a0To \u202fdo"],
)
def test_blanks_of_any_kind_and_number_make_no_other_name(other: str) -> None:
    assert fold_name(other) == fold_name("To do")
    assert fold_name(other) != fold_name("Todo")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe"),
        ("\u017b\u00f3\u0142\u0107", "zolc"),
        ("\u0438\u0306", "\u0438"),
        ("\u304c", "\u304b"),
        ("\u0643\u064e\u062a\u064e\u0628", "\u0643\u062a\u0628"),  # Arabic, with and without vowel points
        ("sm\u00f8rrebr\u00f8d", "smorrebrod"),
    ],
)
def test_accents_count_in_names_and_not_in_searches(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)
    assert fold_search(one) == fold_search(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u0915\u093f", "\u0915\u0941"),  # Hindi: ki and ku
        ("\u0e01\u0e38", "\u0e01\u0e39"),  # Thai: a short and a long u
        ("\uac00", "\uac01"),  # Korean: ga and gag; the one does not even begin the other
    ],
)
def test_marks_that_are_letters_count_everywhere(one: str, other: str) -> None:
    assert fold_search(one) != fold_search(other)
    assert fold_search(one) not in fold_search(other)


def test_folding_twice_changes_nothing() -> None:
    text = "".join(char for char in EVERY if not is_forbidden(char))
    for fold in (fold_name, fold_search):
        wrong = [char for char in text if (folded := fold(char)) != char and fold(folded) != folded]
        assert wrong == []


def test_towers_of_marks_are_refused_before_they_cost_anything() -> None:
    most = "a" + "\u0301" * MOST_MARKS
    assert clean_lines(most) == unicodedata.normalize("NFC", most)
    began = time.process_time()
    for clean in (clean_lines, partial(clean_line, most=100)):
        with pytest.raises(ValueError, match=r"marks in a row \(character 2\)"):
            clean("a" + "\u0301" * 16_000 + "\u0316" * 16_000)
    lines = ("a" + "\u0301" * (MOST_MARKS // 2) + "\u0316" * (MOST_MARKS // 2)) * 1_000
    assert clean_lines(lines) == unicodedata.normalize("NFC", lines)
    assert time.process_time() - began < 0.2, "10 ms are usual"


def test_what_is_dropped_of_a_tower_leaves_the_most_there_may_be() -> None:
    assert drop_forbidden("a" + "\u0301" * 99 + "b", lines=True) == ("a" + "\u0301" * MOST_MARKS + "b", 0)


def test_every_mark_counts() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.combining(chr(code))]
    assert len(marks) > 800
    for mark in marks:
        with pytest.raises(ValueError, match="marks in a row"):
            clean_lines(mark * (MOST_MARKS + 1))
