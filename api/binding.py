"""From bytes to typed input: bodies by prebuilt msgspec decoders, queries by exact names; mistakes are BadInput."""

import json
import re
from ast import literal_eval
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from json.scanner import make_scanner
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
import msgspec.inspect
from blacksheep import Request
from msgspec import Struct

from api.allowed import allowed_at
from api.calls import Call, call_of
from api.problems import UnsupportedMedia
from core.errors import BadInput
from core.field_error import FieldError
from db.ids import uuid_of

__all__ = [
    "MERGE_PATCH",
    "body_of",
    "check_names",
    "decode_body",
    "decoder_for",
    "no_query",
    "optional_body_of",
    "path_value",
    "query_of",
    "read_query",
    "read_uuid",
]

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

MERGE_PATCH: Final = ("application/merge-patch+json", "application/json")
"""The media types of a JSON merge patch (RFC 7396), the proper one first."""

_PLACE: Final = re.compile(r"^(.*?)(?: - at (`key` in )?`(\$[^`]*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"^Object (?:contains unknown|missing required) field `(.*)`$", re.DOTALL)
_OTHER: Final = re.compile(r"^Invalid (?:enum )?value (.*)$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def decoder_for(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder to build once per endpoint."""
    return msgspec.json.Decoder(kind)


def path_value(request: Request, name: str) -> Any:
    """A value from the path, parsed by the router: a UUID, an int or a str."""
    return call_of(request).values[name]


async def body_of(request: Request, decoder: msgspec.json.Decoder[T], *media_types: str) -> T:
    """The body as the decoder's type. Raises BadInput with a pointer, UnsupportedMedia, BodyTooLarge.

    `media_types` are what is accepted; application/json when none is named.
    """
    call = call_of(request)
    return decode_body(await _raw_body(call, *media_types), decoder)


async def optional_body_of(request: Request, decoder: msgspec.json.Decoder[T], default: T) -> T:
    """As `body_of`, and `default` for a request without a body, whatever it says that its type would be."""
    return await body_of(request, decoder) if await call_of(request).body() else default


async def _raw_body(call: Call, *media_types: str) -> bytes:
    """The body's bytes, once its media type is accepted. Raises UnsupportedMedia, BodyTooLarge, BadInput."""
    declared = call.headers.get(b"content-type", b"")
    accepted = media_types or ("application/json",)
    if declared != b"application/json" or accepted[0] != "application/json":
        plain = declared.split(b";", 1)[0].strip().lower().decode("latin-1")
        if plain not in accepted:
            raise UnsupportedMedia(*accepted)
        _check_charset(declared, accepted)
    return await call.body()


def _check_charset(declared: bytes, accepted: Collection[str]) -> None:
    """JSON is UTF-8 (RFC 8259, 8.1), and has no parameter that says so; many clients send one. Raises UnsupportedMedia.

    A client that means another coding would have its text read as something else than what it wrote.
    """
    for parameter in declared.decode("latin-1").split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower().replace("_", "-")
        if name.strip().lower() == "charset" and charset not in {"utf-8", "utf8"}:
            raise UnsupportedMedia(*accepted, charset="UTF-8")


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON strictly. Raises BadInput: malformed, of the wrong shape, or with a key twice in one object."""
    try:
        decoded = decoder.decode(body)
        _scan(body.decode().lstrip(_WHITESPACE), 0)
    except msgspec.ValidationError as error:
        raise _misfit(error, decoder.type) from error
    except _KeyTwice as error:
        raise BadInput(f"The key {error.key[:100]} is given twice in one object.") from error
    except (msgspec.DecodeError, ValueError, StopIteration) as error:
        raise BadInput("The body is not valid JSON.") from error
    except RecursionError as error:
        raise BadInput("The body is nested too deeply.") from error
    return decoded


class _KeyTwice(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise _KeyTwice(next(name for name in names if names.count(name) > 1))


_WHITESPACE: Final = " \t\n\r"
"""Of JSON (RFC 8259, 2): the scanner begins with a value."""

# msgspec keeps the last of two equal keys without a word; the C scanner of the standard library, given nothing but this
# hook, costs less than a microsecond for a usual body.
_scan: Callable[[str, int], object] = make_scanner(json.JSONDecoder(object_pairs_hook=_no_key_twice))  # type: ignore[arg-type]


def _misfit(error: msgspec.ValidationError, kind: Any) -> BadInput:
    found = _PLACE.match(str(error))
    detail, place = (found[1], found[3] or "$") if found else (str(error), "$")
    pointer = pointer_of(place)
    if isinstance(error.__cause__, FieldError):
        pointer += "/" + error.__cause__.field
    elif (named := _NAMED.match(detail)) is not None:
        pointer += "/" + _escaped(named[1][:100])
    elif (other := _OTHER.match(detail)) is not None and (
        allowed := allowed_at(kind, _steps(place), of_keys=(of_keys := found is not None and found[2] is not None))
    ):
        if of_keys:
            pointer += "/" + _escaped(str(literal_eval(other[1]))[:100])  # The library says it as Python writes it.
        detail = f"{other[1][:100]} is not one of {', '.join(allowed)}"
        return BadInput(detail, pointer=pointer)
    return BadInput(detail[:300], pointer=pointer)


def pointer_of(place: str) -> str:
    """A msgspec path as an RFC 6901 pointer: `$.a[0].b` is `/a/0/b`, the whole document is ""."""
    return "".join("/" + _escaped(step) for step in _steps(place))


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _steps(place: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(place)]


def query_of(request: Request, kind: type[S]) -> S:
    """The query as a Struct of optional fields, each given at most once. Raises BadInput naming the parameter."""
    return read_query(call_of(request).query, kind)


def read_query(raw: bytes, kind: type[S]) -> S:
    """`query_of` for the raw bytes of a query string."""
    given = check_names(raw, kind.__struct_encode_fields__)
    for field in _numbers_of(kind):
        if not given.get(field, "0").isdecimal():
            raise BadInput(f"The parameter {field} must be a whole number.", parameter=field)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        misfit = _misfit(error, kind)
        raise BadInput(misfit.detail, parameter=(misfit.pointer or "").strip("/") or None) from error


def check_names(raw: bytes, names: Collection[str]) -> dict[str, str]:
    """The parameters of a query string, each one of these and given once. Raises BadInput naming one that is not."""
    given: dict[str, str] = {}
    for name, value in _pairs(raw):
        if name not in names:
            raise BadInput(f"There is no parameter {name[:100]!r} here.", parameter=name[:100])
        if name in given:
            raise BadInput(f"The parameter {name} is given twice.", parameter=name)
        given[name] = value
    return given


@cache
def _numbers_of(kind: type[Struct]) -> tuple[str, ...]:
    """The fields that take a whole number, which msgspec would read from `1e1` and `1.0` as well."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return tuple(field.name for field in fields if isinstance(field.type, msgspec.inspect.IntType))


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    if not raw:
        return []
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise BadInput("The query is not well-formed.") from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise BadInput("The query must not contain the NUL character.")
    return pairs


def no_query(call: Call) -> None:
    """Raise BadInput when an endpoint without parameters is given some."""
    if call.query:
        read_query(call.query, _Nothing)


class _Nothing(Struct, frozen=True):
    pass


def read_uuid(text: str, parameter: str) -> UUID:
    """A UUID in its usual form. Raises BadInput."""
    if len(text) == 36:
        with suppress(ValueError):
            return uuid_of(text)
    raise BadInput(f"The parameter {parameter} must be a UUID.", parameter=parameter)
