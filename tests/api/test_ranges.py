"""Parts of a file against the plainest reading of RFC 9110, 14.1.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import NoSuchRange, part_of

ETAG = b'"digest"'
number = st.integers(0, 12)


@given(first=st.none() | number, last=st.none() | number, size=number)
def test_a_part_has_the_bytes_that_are_asked_for(first: int | None, last: int | None, size: int) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}".encode()
    data = list(range(size))
    if first is None:
        wanted = data[max(0, size - (last or 0)) :] if last else []
    else:
        wanted = [byte for byte in data if byte >= first and (last is None or byte <= last)]
    means_nothing = (first is None and last is None) or (first is not None and last is not None and last < first)
    if means_nothing:
        assert part_of({b"range": header}, ETAG, size) is None
    elif not wanted:
        with pytest.raises(NoSuchRange):
            part_of({b"range": header}, ETAG, size)
    else:
        assert part_of({b"range": header}, ETAG, size) == (wanted[0], wanted[-1] + 1)


@pytest.mark.parametrize(
    "header", [b"bytes=0-1,3-4", b"lines=1-2", b"bytes=-1-2", b"bytes= 0-1x", b"bytes=" + b"9" * 30]
)
def test_what_is_no_single_range_asks_for_all(header: bytes) -> None:
    assert part_of({b"range": header}, ETAG, 10) is None


def test_a_part_of_another_file_is_not_given() -> None:
    asked = {b"range": b"bytes=0-1"}
    assert part_of({**asked, b"if-range": ETAG}, ETAG, 10) == (0, 2)
    for other in (b'"other"', b'W/"digest"', b"Fri, 27 Nov 2026 09:30:00 GMT"):
        assert part_of({**asked, b"if-range": other}, ETAG, 10) is None
    assert part_of({}, ETAG, 10) is None
