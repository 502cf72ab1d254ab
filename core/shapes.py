"""From a value of the domain to a shape that travels: chosen once, when a module is imported, and checked then.

A wire shape is a Struct of its own, so that one more field in the domain changes nobody's bytes. As long as both have
the same fields, the domain's value is encoded as it is, because a copy would cost a third of the encoding. Once they
differ, the fields of the wire shape are picked from the value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

__all__ = ["coincide", "encoder", "fields_encoder", "picker"]

_encode = msgspec.json.Encoder().encode
_CONFIG: Final = ("array_like", "omit_defaults", "tag", "tag_field")


def coincide(one: type[Struct], other: type[Struct]) -> bool:
    """Whether values of both that hold the same are the same bytes."""
    return _signature(one) == _signature(other)


def picker(source: type[Struct], shape: type[Struct]) -> Callable[[Any], Any]:
    """What makes a value of `shape` from one of `source`, or leaves it alone where it encodes to the same bytes.

    Raises TypeError when `source` lacks a field of `shape`, or has it with another type: then only a function written
    by hand knows what to do.
    """
    if coincide(source, shape):
        return _as_it_is
    have = {field.name: (index, field.type) for index, field in enumerate(structs.fields(source))}
    wanted = {field.name: field.type for field in structs.fields(shape)}
    if wrong := [name for name, kind in wanted.items() if name not in have or have[name][1] != kind]:
        names = ", ".join(wrong)
        raise TypeError(f"{source.__qualname__} does not hold what {shape.__qualname__} is made of: {names}")
    places = [have[name][0] for name in wanted]

    def pick(value: Any) -> Any:
        values = structs.astuple(value)
        return shape(**{name: values[place] for name, place in zip(wanted, places, strict=True)})

    return pick


def encoder(source: type[Struct], shape: type[Struct]) -> Callable[[Any], bytes]:
    """The JSON of values of `source` in the shape of `shape`. Raises TypeError as `picker` does."""
    if coincide(source, shape):
        return _encode
    pick = picker(source, shape)
    return lambda value: _encode(pick(value))


def fields_encoder(source: type[Struct], shape: type[Struct]) -> Callable[[Mapping[str, Any]], bytes]:
    """The JSON of an object that holds some fields of `source` by name, without those that `shape` does not have."""
    if coincide(source, shape):
        return _encode
    wanted = frozenset(shape.__struct_fields__)
    return lambda fields: _encode({name: value for name, value in fields.items() if name in wanted})


def _signature(kind: type[Struct]) -> tuple[Any, ...]:
    fields = [(field.name, field.encode_name, field.type) for field in structs.fields(kind)]
    return fields, *(getattr(kind.__struct_config__, name) for name in _CONFIG)


def _as_it_is(value: Any) -> Any:
    return value
