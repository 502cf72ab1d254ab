"""Rate limits for tests: so many that nobody reaches them, or as few as a test wants."""

from typing import Final

from msgspec import structs

from api.limits.settings import LimitSettings

__all__ = ["ENOUGH", "GENEROUS", "few", "variables_of"]

ENOUGH: Final = 1_000_000_000

GENEROUS: Final = LimitSettings(
    **{name: ENOUGH for name in LimitSettings.__struct_fields__ if not name.endswith("_seconds")}
)
"""Everything is counted, and nobody is ever refused."""


def few(**limits: int) -> LimitSettings:
    """The same with these limits."""
    return structs.replace(GENEROUS, **limits)


def variables_of(settings: LimitSettings) -> dict[str, str]:
    """The environment that sets them."""
    return {f"TASKFORGE_LIMITS__{name.upper()}": str(value) for name, value in structs.asdict(settings).items()}
