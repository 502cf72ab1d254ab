"""A wire shape has the bytes it says, whatever else the domain's Struct holds."""

from datetime import date

import msgspec
import pytest
from msgspec import Struct

from core.shapes import coincide, encoder, fields_encoder, picker


class Thing(Struct, frozen=True, kw_only=True):
    name: str
    size: int = 0


class Same(Struct, frozen=True, kw_only=True):
    name: str
    size: int = 7


class Richer(Thing, frozen=True, kw_only=True):
    due: date | None = None


class Turned(Struct, frozen=True, kw_only=True):
    size: int
    name: str


class Renamed(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    size: int = 0
    due_on: date | None = None


class Retyped(Struct, frozen=True, kw_only=True):
    name: str
    size: float = 0


class Tagged(Struct, frozen=True, kw_only=True, tag=True):
    name: str
    size: int = 0


class Sparse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    size: int = 0


def test_two_structs_with_the_same_fields_are_the_same_bytes() -> None:
    assert coincide(Thing, Same)
    thing = Thing(name="x", size=1)
    assert picker(Thing, Same)(thing) is thing
    assert encoder(Thing, Same)(thing) == msgspec.json.encode(thing)


@pytest.mark.parametrize("other", [Richer, Turned, Retyped, Tagged, Sparse])
def test_whatever_changes_the_bytes_is_a_difference(other: type[Struct]) -> None:
    assert not coincide(Thing, other)
    assert not coincide(other, Thing)


def test_a_new_name_for_an_old_field_is_a_difference() -> None:
    class Plain(Struct):
        due_on: date

    class Camel(Struct, rename="camel"):
        due_on: date

    assert not coincide(Plain, Camel)


def test_what_the_domain_has_beyond_the_shape_stays_at_home() -> None:
    richer = Richer(name="x", size=1, due=date(2026, 1, 1))
    assert encoder(Richer, Same)(richer) == b'{"name":"x","size":1}'
    assert picker(Richer, Turned)(richer) == Turned(name="x", size=1)
    assert encoder(Richer, Turned)(richer) == b'{"size":1,"name":"x"}'
    assert encoder(Thing, Sparse)(Thing(name="x")) == b'{"name":"x"}'


def test_some_fields_alone_are_those_of_the_shape() -> None:
    fields = {"due": date(2026, 1, 1), "name": "old"}
    assert fields_encoder(Richer, Same)(fields) == b'{"name":"old"}'
    assert fields_encoder(Thing, Same)({"size": 3}) == b'{"size":3}'


@pytest.mark.parametrize(("source", "shape", "missing"), [(Thing, Renamed, "due_on"), (Thing, Retyped, "size")])
def test_a_shape_that_picking_cannot_fill_is_refused_at_once(source: type[Struct], shape: type, missing: str) -> None:
    with pytest.raises(TypeError, match=rf"Thing does not hold what {shape.__name__} is made of: {missing}$"):
        encoder(source, shape)
