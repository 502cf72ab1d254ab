"""The fixtures of the floors that these tests look at from outside."""

from tests.api.conftest import desk, guarded, site

__all__ = ["desk", "guarded", "site"]
