"""From bytes to typed input: bodies by prebuilt msgspec decoders, queries by exact names. Every mistake is a BadInput."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from blacksheep import Request
from msgspec import Struct

from api.calls import Call, call_of
from api.problems import UnsupportedMedia
from core.errors import BadInput
from db.principal import Principal

__all__ = ["body_of", "decode_body", "decoder_for", "path_value", "principal_of", "query_of", "read_page"]

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

_PLACE: Final = re.compile(r"^(.*?)(?: - at `(?:key in )?(\$[^`]*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def decoder_for(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder to build once per endpoint."""
    return msgspec.json.Decoder(kind)


async def principal_of(request: Request) -> Principal:
    """Who asks. Raises Unauthenticated."""
    return await call_of(request).principal()


def path_value(request: Request, name: str) -> Any:
    """A value from the path, parsed by the router: a UUID, an int or a str."""
    return call_of(request).values[name]


async def body_of(request: Request, decoder: msgspec.json.Decoder[T], *media_types: str) -> T:
    """The body as the decoder's type. Raises BadInput with a pointer, UnsupportedMedia, BodyTooLarge.

    `media_types` are what is accepted; application/json when none is named.
    """
    call = call_of(request)
    check_media_type(call, media_types or ("application/json",))
    return decode_body(await call.body(), decoder)


def check_media_type(call: Call, accepted: Iterable[str]) -> None:
    """Raise UnsupportedMedia unless the body is declared as one of `accepted`."""
    declared = call.headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower().decode("latin-1")
    if declared not in accepted:
        raise UnsupportedMedia(*accepted)


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON strictly. Raises BadInput: malformed, of the wrong shape, with duplicate keys, or nested too deep."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("The body is not valid JSON.") from error
    except RecursionError as error:
        raise BadInput("The body is nested too deeply.") from error


def _misfit(error: msgspec.ValidationError) -> BadInput:
    found = _PLACE.match(str(error))
    detail, place = (found[1], found[2] or "$") if found else (str(error), "$")
    return BadInput(detail, pointer=pointer_of(place))


def pointer_of(place: str) -> str:
    """A msgspec path as an RFC 6901 pointer: `$.a[0].b` is `/a/0/b`, the whole document is ""."""
    steps = (name or index for name, index in _STEP.findall(place))
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def query_of(request: Request, kind: type[S], names: Mapping[str, str] | None = None) -> S:
    """The query as a Struct of optional fields, each given at most once. Raises BadInput naming the parameter."""
    return read_query(call_of(request).query, kind, names)


def read_query(raw: bytes, kind: type[S], names: Mapping[str, str] | None = None) -> S:
    """`query_of` for the raw bytes. `names` renames parameters to fields."""
    given: dict[str, str] = {}
    for name, value in _pairs(raw):
        if name in given:
            raise BadInput(f"The parameter {name} is given twice.", parameter=name)
        given[name] = value
    known = set(kind.__struct_fields__)
    for name in given:
        if (names or {}).get(name, name) not in known:
            raise BadInput(f"There is no parameter {name[:100]}.", parameter=name[:100])
    fields = {(names or {}).get(name, name): value for name, value in given.items()}
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        misfit = _misfit(error)
        raise BadInput(misfit.detail, parameter=(misfit.pointer or "/").split("/")[1] or None) from error


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise BadInput("The query is not well-formed.") from error
    if any("\0" in value for _, value in pairs):
        raise BadInput("The query must not contain the NUL character.")
    return pairs


Parse = Callable[[str], Any]


class PageQuery(Struct, frozen=True, kw_only=True):
    """`limit` 1 to 100, `cursor` opaque."""

    limit: int = 50
    cursor: str | None = None


def read_page(request: Request) -> PageQuery:
    """limit and cursor of a list. Raises BadInput for a limit outside 1 to 100, never caps it silently."""
    page = query_of(request, PageQuery)
    if not 1 <= page.limit <= 100:
        raise BadInput("The limit must be from 1 to 100.", parameter="limit")
    return page


def read_uuid(text: str, parameter: str) -> UUID:
    """A UUID in its usual form. Raises BadInput."""
    try:
        if len(text) == 36:
            return UUID(text)
    except ValueError:
        pass
    raise BadInput(f"The parameter {parameter} must be a UUID.", parameter=parameter)
