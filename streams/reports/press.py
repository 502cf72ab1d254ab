"""Sets one report: `python press.py FOLDER FONTS…`, a process that a report may bring down without harm.

FOLDER holds `report.typ` and `report.json` and nothing else, and is all that the template could read. The PDF is
written into it, as `report.pdf`; the number of its pages goes to standard output. It imports nothing of ours, so that
it starts quickly and holds nothing worth stealing. Exit codes: 0 set; 3 the report cannot be set; anything else is a
failure of ours, or the end by a limit.
"""

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typst

MEMORY_BYTES: Final = 3 * 1024 * 1024 * 1024
"""Of addresses, of which the fonts and the stacks of typst's threads take one gigabyte before anything is set."""
CPU_SECONDS: Final = 60
FILE_BYTES: Final = 64 * 1024 * 1024
REFUSED: Final = 3


def confine() -> None:
    """Take no more of the machine than a report needs; whoever wants more is ended by the kernel."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def compiler_of(folder: Path, fonts: list[str]) -> "typst.Compiler":
    """What sets the report in the folder."""
    import typst

    # Packages come from the network unless their folder is given: this one stays empty.
    packages = folder / "packages"
    return typst.Compiler(
        folder / "report.typ",
        root=folder,
        font_paths=typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=fonts),
        ignore_system_fonts=True,
        package_path=packages,
        package_cache_path=packages,
        sys_inputs={"report": (folder / "report.json").read_text(encoding="utf-8")},
    )


def set_report(folder: Path, fonts: list[str]) -> int:
    """Write the PDF; how many pages it has. Raises what typst raises."""
    compiler = compiler_of(folder, fonts)
    compiler.compile(output=folder / "report.pdf", format="pdf")
    return int(compiler.query("<pages>", field="value", one=True))


def main(folder: str, *fonts: str) -> int:
    """The exit code."""
    confine()
    try:
        sys.stdout.write(f"{set_report(Path(folder), list(fonts))}\n")
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
