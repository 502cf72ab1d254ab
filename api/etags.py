"""Answers with an ETag: the thing, or 304 to those who have it already (RFC 9110, 13.1.2)."""

from typing import Final

from api.answers import Answer, Header, epoch_header
from api.calls import Call

__all__ = [
    "PRIVATE",
    "fresh",
    "known_as",
    "matches",
    "not_modified",
    "team_headers",
    "version_tag",
    "versioned",
    "without_coding",
]

PRIVATE: Final = (b"cache-control", b"private, no-cache")


def fresh(call: Call, etag: bytes) -> bool:
    """Whether `If-None-Match` says that the client has this already."""
    known = call.headers.get(b"if-none-match")
    return known is not None and (known == etag or matches(known, etag))


def known_as(call: Call, etag: bytes) -> bytes | None:
    """The ETag in the form in which `If-None-Match` names it, of an answer that may be coded: then its tag is weak.

    None when the client does not have the answer.
    """
    known = call.headers.get(b"if-none-match")
    if known is None or known == etag:
        return known
    weak = b"W/" + etag
    if known == weak or matches(known, etag):
        return weak if weak in known else etag
    return None


def matches(known: bytes, etag: bytes) -> bool:
    """Whether the header `If-None-Match` names this ETag, by weak comparison, or says `*`."""
    parts = [without_coding(part.strip().removeprefix(b"W/")) for part in known.split(b",")]
    return etag in parts or parts == [b"*"]


def without_coding(tag: bytes) -> bytes:
    """An ETag as we gave it, when a proxy that compresses answers has put the coding's name at its end.

    Apache's mod_deflate makes `"7-gzip"` of `"7"`; others write `;` or `--` before the name.
    """
    if not tag.endswith(_CODED):
        return tag
    mark = max(tag.rfind(b"-"), tag.rfind(b";"))
    return tag[:mark].rstrip(b"-") + b'"'


_CODINGS: Final = (b"gzip", b"br", b"zstd", b"deflate")
_CODED: Final = tuple(b'%s%s"' % (mark, coding) for mark in (b"-", b";") for coding in _CODINGS)


def not_modified(call: Call, etag: bytes) -> Answer:
    """304, with the headers that the 200 would have had."""
    return Answer(304, b"", team_headers(call, etag), b"")


def version_tag(epoch: int, version: int) -> bytes:
    """The ETag of a thing with a version, which names the team's epoch from the second one on.

    So what a client saw in a history that was taken back never passes for what is at that version now.
    """
    return b'"%d"' % version if epoch == 1 else b'"%d.%d"' % (epoch, version)


def versioned(call: Call, version: int, body: bytes) -> Answer:
    """A thing of a team with its version as its ETag."""
    etag = version_tag(call.epoch, version)
    if fresh(call, etag):
        return not_modified(call, etag)
    return Answer(200, body, team_headers(call, etag))


def team_headers(call: Call, etag: bytes) -> tuple[Header, ...]:
    """What every answer with an ETag about a team carries."""
    return (
        (b"etag", etag),
        PRIVATE,
        (b"taskforge-team", call.team),
        (b"taskforge-seq", b"%d" % call.seq),
        epoch_header(call.epoch),
    )
