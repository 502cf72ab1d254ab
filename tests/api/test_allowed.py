"""Whoever sends a value that is none of an enumeration is told what is: in every body and every query."""

from typing import Any, Literal

import msgspec
import msgspec.inspect
import pytest
from msgspec import UNSET, Struct, UnsetType

from api.binding import decode_body, decoder_for, read_query
from api.endpoints import all_operations
from core.errors import BadInput
from core.task import PRIORITIES
from tests.support.desk import Desk, problem

Letter = Literal["a", "b"]


class One(Struct, tag="one", tag_field="op"):
    letter: Letter | None = None


class Two(Struct, tag="two", tag_field="op"):
    letters: list[Letter] = []
    by_letter: dict[Letter, str] | UnsetType = UNSET


class Body(Struct):
    operations: list[One | Two] = []
    letter: Letter = "a"


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ('{"letter": "foo"}', "/letter", "'foo' is not one of a, b"),
        ('{"operations": [{"op": "one", "letter": "c"}]}', "/operations/0/letter", "'c' is not one of a, b"),
        ('{"operations": [{"op": "three"}]}', "/operations/0/op", "'three' is not one of one, two"),
        ('{"operations": [{"op": "two", "letters": ["a", "c"]}]}', "/operations/0/letters/1", "'c' is not one of a, b"),
        (
            '{"operations": [{"op": "two", "by_letter": {"c": ""}}]}',
            "/operations/0/by_letter/...",
            "is not one of a, b",
        ),
    ],
)
def test_a_body_is_told_what_may_stand_there(body: str, pointer: str, detail: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_body(body.encode(), decoder_for(Body))
    assert detail in caught.value.detail
    assert (caught.value.pointer or "").startswith(pointer.removesuffix("/..."))


def test_a_query_is_told_so_too() -> None:
    with pytest.raises(BadInput, match="'z' is not one of a, b") as caught:
        read_query(b"letter=z", Body)
    assert caught.value.parameter == "letter"


def _enumerations(kind: Any) -> list[tuple[Any, ...]]:
    """Fields of a body, on its first level, that are enumerations of texts."""
    shape = msgspec.inspect.type_info(kind)
    if not isinstance(shape, msgspec.inspect.StructType):
        return []
    found = []
    for field in shape.fields:
        options = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        found += [
            (field.encode_name, *one.values)
            for option in options
            if isinstance(
                one := option.type if isinstance(option, msgspec.inspect.Metadata) else option,
                msgspec.inspect.LiteralType,
            )
        ]
    return found


def test_every_enumeration_of_every_body_is_told() -> None:
    told = 0
    for operation in all_operations():
        for name, *values in _enumerations(operation.body) if operation.body is not None else ():
            with pytest.raises(BadInput) as caught:
                decode_body(msgspec.json.encode({name: "no such value"}), decoder_for(operation.body))
            if caught.value.pointer == f"/{name}" and all(isinstance(value, str) for value in values):
                told += 1
                assert caught.value.detail == f"'no such value' is not one of {', '.join(values)}", operation.id
    assert told > 8


@pytest.mark.anyio
async def test_over_http(desk: Desk) -> None:
    body = {"team_id": desk.team, "title": "t", "priority": "foo"}
    found = problem(await desk.post("/v1/tasks", body), 400, "bad-input")
    assert f"'foo' is not one of {', '.join(sorted(PRIORITIES))}" in str(found)
