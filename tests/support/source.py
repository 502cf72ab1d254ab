"""The project's own files, as the lints see them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("core", "db", "actors", "streams", "api", "taskforge")


@cache
def tracked() -> tuple[Path, ...]:
    """Files that git knows or would add, relative to the root; without git, what lies in the folders of the project."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        found = [Path(name) for name in listing.stdout.split("\0") if name]
    else:
        folders = (*LAYERS, "tests", "benchmarks", "docs")
        found = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
        found = [path for path in found if "__pycache__" not in path.parts]
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def modules(*folders: str) -> list[Path]:
    """Python files below the folders, relative to the root."""
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in folders]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), filename=str(path))


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below a node with its dotted name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from functions(child, f"{name}.")
        else:
            yield from functions(child, prefix)
