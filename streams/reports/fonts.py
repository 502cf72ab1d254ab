"""The fonts that reports are set in: the Noto families of the extra `reports`, which have every script's letters."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["EXTRA", "SCRIPTS", "ExtraMissing", "font_folders"]

EXTRA: Final = "reports"
"""The extra of our package that brings typst and the fonts."""
PACKAGES: Final = ("manimgx_fonts", "manimgx_fonts_cjk")
LIBRARY: Final = "typst"
SCRIPTS: Final = (
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Thai",
    "Bengali",
    "Tamil",
    "Telugu",
    "Gujarati",
    "Gurmukhi",
    "Kannada",
    "Malayalam",
    "Oriya",
    "Sinhala",
    "Armenian",
    "Georgian",
    "Ethiopic",
    "Khmer",
    "Lao",
    "Myanmar",
)
"""Scripts with a Noto family of their own, besides those of `Noto Sans` (Latin, Greek, Cyrillic) and Noto Sans CJK."""


class ExtraMissing(Exception):
    """This process cannot print: it was installed without the extra."""


def font_folders() -> list[Path]:
    """Where the fonts are. Raises ExtraMissing, naming the extra."""
    found = {name: find_spec(name) for name in (LIBRARY, *PACKAGES)}
    if missing := [name for name, spec in found.items() if spec is None]:
        raise ExtraMissing(
            f"Reports need the extra “{EXTRA}” where the worker runs (pip install 'taskforge-server[{EXTRA}]'):"
            f" {', '.join(missing)} is not installed."
        )
    return [
        Path(place) for name in PACKAGES if (spec := found[name]) for place in spec.submodule_search_locations or ()
    ]
