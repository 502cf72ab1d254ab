"""What may stand at a place of a body or a query, for whoever is told that what they sent is none of it."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec.inspect as shapes

__all__ = ["allowed_at"]


@cache
def _shape_of(kind: Any) -> shapes.Type:
    return shapes.type_info(kind)


def allowed_at(kind: Any, steps: Sequence[str], *, of_keys: bool = False) -> list[str]:
    """The values of the enumeration at a place in values of the type; none where there is no enumeration.

    A step is the name of a field, or whatever says an item of a list. Where a place is the tag of several kinds of
    objects, their tags are the values. `of_keys`: what is asked for is what the object at the place may have as keys.
    """
    here = [*_single(_shape_of(kind))]
    tags = list[str]()
    for step in steps:
        tags = [str(one.tag) for one in here if isinstance(one, shapes.StructType) and one.tag_field == step]
        here = [*_each(_below(here, step))]
    if of_keys:
        here = [*_each(one.key_type for one in here if isinstance(one, shapes.DictType))]
    values = [str(value) for one in here if isinstance(one, shapes.LiteralType) for value in one.values]
    return list(dict.fromkeys([*tags, *values]))


def _single(shape: shapes.Type) -> Iterator[shapes.Type]:
    """The shapes that a value may have, without what is only said about them."""
    if isinstance(shape, shapes.Metadata):
        yield from _single(shape.type)
    elif isinstance(shape, shapes.UnionType):
        yield from _each(shape.types)
    else:
        yield shape


def _each(found: Iterable[shapes.Type]) -> Iterator[shapes.Type]:
    for one in found:
        yield from _single(one)


def _below(here: Iterable[shapes.Type], step: str) -> Iterator[shapes.Type]:
    for one in here:
        match one:
            case shapes.StructType(fields=fields):
                yield from (field.type for field in fields if field.encode_name == step)
            case shapes.DictType(value_type=inner):
                yield inner
            case shapes.CollectionType(item_type=inner):
                yield inner
            case shapes.TupleType(item_types=items):
                yield from items
            case _:
                pass
