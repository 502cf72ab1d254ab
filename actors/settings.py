"""What `actors` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["ActorSettings"]


class ActorSettings(Struct, frozen=True, kw_only=True):
    """Bounds of the actor system: every queue, wait and byte has a limit."""

    mailbox_size: Annotated[int, Meta(ge=1, le=1_000_000, description="Commands waiting per team; full means 503.")] = (
        1024
    )
    idle_seconds: Annotated[
        float, Meta(gt=0, description="A team leaves memory after this long without a command.")
    ] = 900.0
    memory_budget_bytes: Annotated[
        int, Meta(ge=1024 * 1024, description="Boards in memory per process; least recently used leave first.")
    ] = 512 * 1024 * 1024
    snapshot_every: Annotated[int, Meta(ge=1, description="Events between two snapshots of a team in Valkey.")] = 500
    deadline_seconds: Annotated[
        float,
        Meta(gt=0, description="A request has its answer within this, whatever hangs: past it a command is dropped."),
    ] = 5.0
    check_seconds: Annotated[float, Meta(gt=0, description="Between two checks of a team's position in Postgres.")] = (
        5.0
    )
