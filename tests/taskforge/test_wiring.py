"""The composition root closes everything and hides nothing."""

import asyncio

import pytest

from tests.support.office import Office

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_the_block_raises_comes_out_as_itself(office: Office, grouped: bool) -> None:
    """Also from a task group of asyncio, which leaves its task marked as being cancelled: that once hid the failure."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("the real one")

    with pytest.RaisesGroup(LookupError) if grouped else pytest.raises(LookupError, match="the real one"):
        async with office.open():
            if not grouped:
                await fail()
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.Event().wait())
                group.create_task(fail())
