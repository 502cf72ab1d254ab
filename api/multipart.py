"""A form with one file in it (RFC 7578), read as it comes: what is in memory is a piece of it and the part's head.

It is stricter than a mail reader: the file is the form's only field, called `file`, and nothing stands before it.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from api.problems import UnsupportedMedia
from core.errors import BadInput

__all__ = ["FORM", "FormFile", "boundary_of"]

FORM: Final = "multipart/form-data"
FIELD: Final = "file"
HEAD_LIMIT: Final = 4 * 1024
TRAILER_LIMIT: Final = 1024
"""After the last boundary, which nobody needs."""

_BOUNDARY: Final = re.compile(
    rb"""[ \t]*;[ \t]*boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))[ \t]*$""", re.IGNORECASE
)
_PARAMETER: Final = re.compile(r';[ \t]*([a-zA-Z*]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))')


def boundary_of(content_type: bytes) -> bytes:
    """What separates the parts of a form. Raises UnsupportedMedia for any other body, BadInput for a form without."""
    kind, semicolon, rest = content_type.partition(b";")
    if kind.strip().lower() != FORM.encode():
        raise UnsupportedMedia(FORM)
    found = _BOUNDARY.match(semicolon + rest)
    if found is None:
        raise BadInput("The form has no boundary.", parameter="Content-Type")
    return found[1] or found[2] or b""


class FormFile:
    """The file of a form: `open` reads its head, then `pieces` has its bytes. Raises BadInput, and as `chunks` does."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks, self._delimiter = chunks, b"\r\n--" + boundary
        self._read = b"\r\n"
        self.name = self.media_type = ""

    async def open(self) -> "FormFile":
        """Read up to the first byte of the file: from here on `name` and `media_type` are as the sender gives them."""
        start = self._delimiter + b"\r\n"
        while b"\r\n\r\n" not in self._read and len(self._read) <= HEAD_LIMIT:
            await self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        if len(head) > HEAD_LIMIT:
            raise BadInput("The head of the form's file is too long.")
        if not head.startswith(start):
            raise BadInput("The form does not begin with its boundary.")
        fields = dict(map(_field, head[len(start) :].split(b"\r\n")))
        disposition = fields.get("content-disposition", "")
        given = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(disposition)}
        if not disposition.lower().startswith("form-data") or given.get("name") != FIELD or "filename" not in given:
            raise BadInput("The form's only field must be a file.", pointer=f"/{FIELD}")
        self.name = given["filename"].replace('\\"', '"').replace("%22", '"')
        self.media_type = fields.get("content-type", "")
        return self

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file's bytes. When they end, so has the form."""
        delimiter = self._delimiter
        while (end := self._read.find(delimiter)) < 0:
            keep = len(delimiter) - 1
            ready, self._read = self._read[:-keep], self._read[-keep:]
            if ready:
                yield ready
            await self._more()
        if end:
            yield self._read[:end]
        self._read = self._read[end + len(delimiter) :]
        await self._finish()

    async def _finish(self) -> None:
        while len(self._read) < len(b"--"):
            await self._more()
        if not self._read.startswith(b"--"):
            raise BadInput("The form must have no more than its file.", pointer=f"/{FIELD}")
        size = len(self._read)
        async for chunk in self._chunks:
            size += len(chunk)
        if size > TRAILER_LIMIT:
            raise BadInput("There is more after the form's end.")

    async def _more(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise BadInput("The form ends before its file does.")
        self._read += chunk


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    try:
        return name.decode("ascii").strip().lower(), (value if colon else b"").decode().strip()
    except UnicodeDecodeError as error:
        raise BadInput("The head of the form's file is not UTF-8.") from error
