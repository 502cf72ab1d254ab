"""How the endpoint of bootstraps is documented, and the shape of its body."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from api import paths
from api.endpoints.operations import OPERATION_EXAMPLE, OperationAnswer
from api.endpoints.team_docs import OF_TEAM
from api.openapi import MIN_SEQ, Operation, Reply
from core.rights import BOOTSTRAP_COPIES, in_team
from streams.bootstrap import Format
from streams.operations.bootstrap import BOOTSTRAP, BOOTSTRAP_DAYS

__all__ = ["OPERATIONS", "NewBootstrap"]


class NewBootstrap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a copy of the team is to begin with."""

    format: Annotated[Format, Meta(description="JSON Lines, or Parquet.")] = "jsonl"
    seq: (
        Annotated[int, Meta(ge=1, description="As it was after this event; default: the last one when it is made.")]
        | None
    ) = None


_TEAM: Final = "019a3b1e-5c00-7000-8000-00000000000a"
_EXAMPLE: Final[dict[str, Any]] = {
    **OPERATION_EXAMPLE,
    "kind": BOOTSTRAP.kind,
    "team_id": _TEAM,
    "status": "waiting",
    "steps": [{"name": step, "status": "waiting"} for step in BOOTSTRAP.steps],
    "progress": 0.0,
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.TEAM_BOOTSTRAPS,
        id="makeBootstrap",
        summary="Have a file made that a copy of the team begins with",
        tag="Teams",
        description=(
            "Starts an operation whose result is everything that is there after the event `seq`: tasks (archived ones "
            "too) with all fields, comments, attachments (without the files), members, labels, columns and the team, "
            "each as the events last said it. The result names the `checkpoint` (epoch, seq, count, chain, state), the "
            "`tail` (where the events from `seq` + 1 are read), `bytes`, `digest` (SHA-256) and a `download_url`. It "
            f"is kept for {BOOTSTRAP_DAYS} days, or until the journal forgets anything of the team. Every member may "
            "have one, and so may an API key that only reads: it has nothing that they cannot read event by event. One "
            "of yours at a time: another is refused with 409 (`conflict`, reason `bootstrap-running`). Parquet needs "
            "the extra `parquet` where the worker runs; without it the operation fails and says so."
        ),
        parameters=(MIN_SEQ,),
        body=NewBootstrap,
        body_example={"format": "parquet"},
        replies={
            202: Reply(
                description="The operation has been started.",
                body=OperationAnswer,
                headers=("Location", "Cache-Control", *OF_TEAM),
                example=_EXAMPLE,
            )
        },
        problems=("not-found", "forbidden", "conflict", "unavailable", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=in_team(BOOTSTRAP_COPIES),
    ),
)
