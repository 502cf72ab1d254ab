"""The consumer that the guide for data teams shows, as a module."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["example"]


@cache
def example() -> Any:
    place = Path(__file__).parents[2] / "docs" / "examples" / "board_from_topic.py"
    spec = importlib.util.spec_from_file_location("board_from_topic", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Where its dataclasses look for their names.
    spec.loader.exec_module(module)
    return module
