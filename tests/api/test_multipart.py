"""A form with a file, however its bytes are cut into pieces, and whatever stands in the file."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.multipart import FormFile, boundary_of
from api.problems import UnsupportedMedia
from core.errors import BadInput

HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a \\"b\\".txt"\r\nContent-Type: text/plain\r\n\r\n'
)
PARTS = [b"\r\n", b"\r", b"\n", b"--", b"--b", b"\r\n--", b"\r\n--a", b"x", b"\0"]
"""What a file is made of that looks as much as possible like the end of the form."""
DATA = st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join).filter(lambda data: b"\r\n--b" not in b"\r\n" + data)


async def pieces_of(form: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    places = sorted({0, len(form), *(cut % (len(form) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield form[start:end]


def read(form: bytes, cuts: Sequence[int] = ()) -> tuple[str, str, bytes]:
    """Name, type and data of a form that comes cut into pieces."""

    async def reading() -> tuple[str, str, bytes]:
        file = await FormFile(pieces_of(form, cuts), b"b").open()
        return file.name, file.media_type, b"".join([piece async for piece in file.pieces()])

    try:
        reading().send(None)  # Nothing in it waits, so that no event loop is needed for each of a thousand forms.
    except StopIteration as done:
        result: tuple[str, str, bytes] = done.value
        return result
    raise AssertionError("it waited")


@settings(max_examples=300, deadline=None)
@given(data=DATA, cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_a_form_is_read_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert read(HEAD + data + b"\r\n--b--\r\n", cuts) == ('a "b".txt', "text/plain", data)


def test_a_form_that_comes_byte_by_byte_is_read() -> None:
    form = HEAD + b"data\r\n-\r\n--" + b"\r\n--b--"
    assert read(form, range(len(form))) == ('a "b".txt', "text/plain", b"data\r\n-\r\n--")


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, len(HEAD) + 10), cuts=st.lists(st.integers(0, 500), max_size=5))
def test_a_form_that_ends_too_soon_is_refused(length: int, cuts: list[int]) -> None:
    with pytest.raises(BadInput):
        read((HEAD + b"some data\r\n--b--")[:length], cuts)


@pytest.mark.parametrize(
    "form",
    [
        b"preamble\r\n" + HEAD + b"\r\n--b--",
        HEAD.replace(b'name="file"', b'name="other"') + b"\r\n--b--",
        HEAD.replace(b"form-data", b"attachment") + b"\r\n--b--",
        HEAD.replace(b"a ", b"\xff") + b"\r\n--b--",
        HEAD + b"\r\n--b\r\n" + HEAD,
        HEAD + b"\r\n--bc",
        HEAD + b"\r\n--b--" + b"x" * 2000,
        b"--b\r\n" + b"a: b\r\n" * 1000 + b"\r\n\r\n--b--",
    ],
)
def test_what_is_more_or_other_than_a_file_is_refused(form: bytes) -> None:
    with pytest.raises(BadInput):
        read(form)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=x", b"x"),
        (b'Multipart/Form-Data; Boundary="a b"', b"a b"),
        (b"multipart/form-data;boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
    ],
)
def test_a_boundary_is_read(content_type: bytes, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/form-data; boundary=" + b"x" * 71])
def test_a_form_without_a_boundary_is_refused(content_type: bytes) -> None:
    with pytest.raises(BadInput):
        boundary_of(content_type)


@pytest.mark.parametrize("content_type", [b"", b"application/json", b"multipart/mixed; boundary=x"])
def test_other_bodies_are_of_another_type(content_type: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        boundary_of(content_type)
