"""What Granian bounds for us, below the application: how long a head may take and how long it may be.

The rest of the edge's limits are in `api/heads.py` and `api/calls.py`; what neither can refuse is in
`docs/http-edge.md`.
"""

from typing import Any, Final

from granian.constants import HTTPModes
from granian.http import HTTP1Settings, HTTP2Settings

from api.heads import FIELDS_LIMIT
from api.settings import HttpSettings

__all__ = ["server_limits"]

READ_BUFFER: Final = 64 * 1024
"""Bytes of a head beyond which Granian answers 431 itself; below it, `api/heads.py` answers with a problem document."""


def server_limits(http: HttpSettings) -> dict[str, Any]:
    """Keyword arguments for a Granian server."""
    return {
        "http": HTTPModes.auto if http.http2 else HTTPModes.http1,
        "http1_settings": HTTP1Settings(header_read_timeout=http.head_seconds * 1000, max_buffer_size=READ_BUFFER),
        "http2_settings": HTTP2Settings(max_headers_size=FIELDS_LIMIT),
    }
