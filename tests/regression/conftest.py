"""The fixtures of the floors that these tests look at from outside."""

from tests.api.conftest import desk, guarded, site
from tests.streams.conftest import journal, kafka, settings

__all__ = ["desk", "guarded", "journal", "kafka", "settings", "site"]
