"""Names and types of files: one name that is no path, and a type that the bytes do not speak against."""

import pytest

from core.field_error import FieldError
from core.file_names import file_name
from core.file_types import BYTES, HEAD_BYTES, PICTURES, declared_type, file_type

PNG, JPEG, PDF, ZIP = b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff\xe0", b"%PDF-1.7\n", b"PK\x03\x04...."
DOCUMENT = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\a\\b.txt", "b.txt"),
        ("/a/b/", None),
        ("..\\..", None),
        ("...", None),
        (".profile", ".profile"),
        ("e\u0301", "é"),
        ("\u200b\u2060", None),
        ("a\u202ebc", None),
        ("a\u200fbc", None),
        ("a\u2066b", None),
        ("a\x00b", None),
        ("a\nb", None),
        ("a\ufdd0", None),
        ("é" * 127, "é" * 127),
        ("é" * 128, None),
        ("👩\u200d💻.png", "👩\u200d💻.png"),
    ],
)
def test_a_name_is_one_name_or_none(given: str, name: str | None) -> None:
    if name is not None:
        assert file_name(given) == name
        assert file_name(name) == name
    else:
        with pytest.raises(FieldError) as refused:
            file_name(given, "file")
        assert refused.value.field == "file"


@pytest.mark.parametrize(
    ("head", "declared", "found"),
    [
        (PNG, "image/png", "image/png"),
        (PNG, "IMAGE/PNG; a=b", "image/png"),
        (PNG, "", "image/png"),
        (PNG, BYTES, "image/png"),
        (PNG, "image/jpeg", BYTES),
        (JPEG, "image/jpeg", "image/jpeg"),
        (b"GIF87a", "", "image/gif"),
        (b"RIFF\x0a\x00\n\x00WEBPVP8 ", "", "image/webp"),
        (PDF, "application/pdf", "application/pdf"),
        (PDF, "text/plain", BYTES),
        (ZIP, DOCUMENT, DOCUMENT),
        (ZIP, "application/epub+zip", "application/epub+zip"),
        (ZIP, "application/x-other", BYTES),
        (b"a,b\n", "text/csv", "text/csv"),
        (b"{}", "application/json", "application/json"),
        (b"alert(1)", "text/javascript", BYTES),
        (b"text", "text/html", BYTES),
        (b"<p>", "text/plain", BYTES),
        (b"\n\t <!--", "", BYTES),
        (b"a < b", "text/plain", "text/plain"),
        (b"\xef\xbb\xbf<?xml", "", BYTES),
        (b"a\x00b", "text/plain", BYTES),
        (b"\xff\xfea\x00", "text/plain", BYTES),
        (b"", "text/plain", BYTES),
        (b"x" * (HEAD_BYTES - 1) + "é".encode(), "text/plain", "text/plain"),
        (b"abc\xc3", "text/plain", "text/plain"),
        (b"abc\xc3abcd", "text/plain", BYTES),
    ],
)
def test_a_type_is_what_the_bytes_say(head: bytes, declared: str, found: str) -> None:
    assert file_type(head, declared) == found


def test_no_type_of_a_file_can_run_anything() -> None:
    for claimed in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/javascript"):
        for head in (PNG, PDF, ZIP, b"text", b"<html>", b"\x00"):
            assert file_type(head, claimed) == BYTES
    assert not {"image/svg+xml", "text/html"} & PICTURES


@pytest.mark.parametrize("declared", ["", "a", "a/", "/b", "a/b/c", "a\0/b", "é/b", "a/b c", "x" * 99 + "/y", "a/b\n"])
def test_what_is_no_media_type_is_bytes(declared: str) -> None:
    assert declared_type(declared) in {BYTES, "a/b"}
    assert "\n" not in declared_type(declared)
