"""The fixtures of the floors that these tests look at from outside."""

from tests.api.conftest import desk, guarded

__all__ = ["desk", "guarded"]
