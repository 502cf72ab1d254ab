"""How much of a long proof is played: all of it by hand, a share of it where the whole suite has an hour."""

import os

__all__ = ["share"]


def share(whole: int) -> int:
    """That part of so many rounds which `TASKFORGE_PROOF_SHARE` names (0.05 is a twentieth), at least one; else all."""
    return max(1, round(whole * float(os.environ.get("TASKFORGE_PROOF_SHARE", "1"))))
